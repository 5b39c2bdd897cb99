"""The `mimo` command."""

import sys


def main() -> None:
    """Entry point of the `mimo` script."""
    if sys.argv[1:] == ["--version"]:  # which other programs ask for, and nothing needs to be loaded to tell
        from mimocode import __version__

        print(__version__)  # noqa: T201
        return
    from mimocode.cli.main import app_for

    app_for(sys.argv[1:])()
