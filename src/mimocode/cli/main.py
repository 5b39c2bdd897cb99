"""The commands of `mimo`, and nothing of what they do."""

import typer

from mimocode import __version__

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback(invoke_without_command=True)
def main(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """A coding agent whose turns never look dead and are never lost."""
    if version:
        typer.echo(__version__)
        raise typer.Exit
