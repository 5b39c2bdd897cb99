"""The `mimo` command."""


def main() -> None:
    """Entry point of the `mimo` script."""
    from mimocode.cli.main import app

    app()
