"""A coding-agent server whose turns never look dead and are never lost."""

__version__ = "0.1.0"

WIRE_VERSION = "1.18.33"
"""The opencode release whose HTTP API this server speaks; what `/global/health` and sessions report."""
