"""`python -m mimocode` is `mimo`."""

from mimocode.cli import main

if __name__ == "__main__":
    main()
