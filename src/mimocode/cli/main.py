"""The commands of `mimo`, and nothing of what they do."""

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mimocode import __version__

from . import commands, db, token
from .audit import audit
from .ends import conclude
from .link import link
from .run import run


def _typer() -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        # Plain help: rich would cost every command 50 ms.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


app = _typer()


def app_for(words: Sequence[str]) -> typer.Typer:
    """The command that is named first, alone: the options of all the others would be looked into too. Else all."""
    for one in app.registered_commands:
        if words and one.callback is not None and one.callback.__name__ == words[0]:
            alone = _typer()
            alone.callback()(main)
            alone.registered_commands.append(one)
            return alone
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A coding agent whose turns never look dead and are never lost."""


@app.command()
def serve(
    *,
    hostname: Annotated[str | None, typer.Option(help="The address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[
        int | None, typer.Option(help="The port to listen on; 0 is any free one (default: 4096).", min=0, max=65535)
    ] = None,
    unix: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Listen on this socket, for this user alone, and on no port.")
    ] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask nobody for a password; for loopback only.")] = False,
    no_resume: Annotated[
        bool, typer.Option("--no-resume", help="Leave the turns that an earlier server did not finish as they are.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One more name to answer for, such as a proxy's; may be said again."),
    ] = None,
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Let pages of this origin ask too; may be said again."),
    ] = None,
    behind_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="A proxy, or its network, that says who its clients are; may be said again."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Speak TLS with this certificate and its chain (PEM).")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key (PEM).")] = None,
    sandbox: Annotated[
        str | None,
        typer.Option(metavar="on|auto|off", help="Whether commands of tools run in a sandbox (default: auto)."),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning, error or critical (default: info).")
    ] = None,
) -> None:
    """Serve the HTTP API until SIGTERM or SIGINT. It says on stdout when and where it answers."""

    def work() -> int:
        gc.disable()  # until the server answers: what is made till then stays, and is not to be looked through
        from .loading import load_fastapi

        load_fastapi()
        from .serve import Serving
        from .serve import run as served

        served(
            Serving(
                hostname=hostname,
                port=port,
                unix=unix,
                no_auth=no_auth,
                no_resume=no_resume,
                log_level=log_level,
                allowed_hosts=allowed_host or (),
                cors=cors or (),
                behind_proxy=behind_proxy or (),
                tls_cert=tls_cert,
                tls_key=tls_key,
                sandbox=sandbox,
            )
        )
        return 0

    conclude(work)


app.command()(run)
app.command()(link)
app.command()(audit)
app.command()(commands.models)
app.command()(commands.why)
app.command()(commands.doctor)
app.add_typer(commands.session, name="session")
app.add_typer(commands.question, name="question")
app.add_typer(commands.permission, name="permission")
app.add_typer(db.group, name="db")
app.add_typer(token.group, name="token")
