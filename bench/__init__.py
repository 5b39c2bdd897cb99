"""How fast and how small, next to the peer: `python -m bench`."""
