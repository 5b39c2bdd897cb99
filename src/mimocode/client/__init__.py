"""Typed Python client of the server's own API."""
