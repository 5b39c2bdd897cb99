"""`python -m mimocode` is `mimo`."""

from mimocode.cli import main

main()
