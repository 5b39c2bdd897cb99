"""Reusable ASGI components: kept-alive answers and event streams. Imports nothing else of mimocode."""
