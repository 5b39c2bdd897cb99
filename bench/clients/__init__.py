"""The loads, each a program of its own: `python -m bench.clients.…`, asked by lines of JSON (`bench.child`)."""
