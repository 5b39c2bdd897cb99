"""The commands besides `run` and `serve`: their flags, and nothing of what they do."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from .ends import conclude_in_loop

if TYPE_CHECKING:
    from mimocode.client import AsyncMimo

Attach = Annotated[str | None, typer.Option("--attach", help="The URL of the server (default: the running one).")]
Password = Annotated[str | None, typer.Option("--password", "-p", help="That server's password.")]
Directory = Annotated[str | None, typer.Option("--dir", help="The project it is about (default: here).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Session = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id, as `mimo session list` shows it.")]
Ask = Annotated[str, typer.Argument(metavar="ID", help="Its id, as the list shows it.")]


def _group(help: str) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=help)


session = _group("Look at sessions, archive, delete or export them.")
question = _group("Answer what a turn asks a human.")
permission = _group("Answer what a turn wants permission for.")


def _do(
    attach: str | None, password: str | None, directory: str | None, work: "Callable[[AsyncMimo], Awaitable[None]]"
) -> None:
    """Runs one command against its server."""

    async def main() -> int:
        from .connect import Where, reached

        async with reached(Where(attach, password, directory)) as there:
            await work(there.mimo)
        return 0

    conclude_in_loop(main)


@session.command("list")
def list_sessions(
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    search: Annotated[str | None, typer.Option(help="Only those with this in their title.")] = None,
    json: Json = False,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """List the project's sessions, the last changed first."""
    from . import sessions

    _do(attach, password, directory, lambda mimo: sessions.listed(mimo, limit=limit, search=search, json=json))


@session.command("show")
def show_session(
    id: Session, *, json: Json = False, directory: Directory = None, attach: Attach = None, password: Password = None
) -> None:
    """Show a session: what was said and done in it."""
    from . import sessions

    _do(attach, password, directory, lambda mimo: sessions.shown(mimo, id, json=json))


@session.command("archive")
def archive_session(
    ids: Annotated[
        list[str], typer.Argument(metavar="SESSION...", help="Their ids, as `mimo session list` shows them.")
    ],
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Take the mark back.")] = False,
    json: Json = False,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """Mark sessions as archived: they are kept, and clients may leave them out of their lists."""
    from . import sessions

    _do(attach, password, directory, lambda mimo: sessions.archived(mimo, ids, undo=undo, json=json))


@session.command("delete")
def delete_session(
    id: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="The session's id, as `mimo session list` shows it.")
    ] = None,
    *,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="AGE", help="All that did not change for so long: 30d, 12h, 2w."),
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="With --older-than: only those that are archived.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --older-than: do not ask whether to.")] = False,
    json: Json = False,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """Delete a session and its children, aborting a turn that runs in it; or all that are old, leaving busy ones."""
    from . import sessions

    if older_than is None:
        if id is None or archived:
            raise typer.BadParameter("say which: a session's id, or --older-than AGE with or without --archived")
        _do(attach, password, directory, lambda mimo: sessions.deleted(mimo, id, json=json))
        return
    if id is not None:
        raise typer.BadParameter(f"say {id} or --older-than {older_than}, not both")
    _do(
        attach, password, directory,
        lambda mimo: sessions.deleted_old(mimo, older_than, only_archived=archived, sure=yes, json=json),
    )  # fmt: skip


@session.command("export")
def export_session(
    id: Session,
    *,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write it to this file, one that is not there yet.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Nothing else is printed anyway.")] = True,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """Print a session with all its messages as JSON, or write it to a file."""
    from . import sessions

    _do(attach, password, directory, lambda mimo: sessions.exported(mimo, id, out=out, replace=force))


def models(
    *, json: Json = False, directory: Directory = None, attach: Attach = None, password: Password = None
) -> None:
    """List the models that can be used here, as provider/model."""
    from . import models as work

    _do(attach, password, directory, lambda mimo: work.listed(mimo, json=json))


@question.command("list")
def list_questions(
    *, json: Json = False, directory: Directory = None, attach: Attach = None, password: Password = None
) -> None:
    """List the project's questions that wait for an answer."""
    from . import asks

    _do(attach, password, directory, lambda mimo: asks.questions(mimo, json=json))


@question.command("reply")
def reply_question(
    id: Ask,
    answers: Annotated[
        list[str],
        typer.Argument(metavar="ANSWER...", help="One for each question: a label, #2, several by comma, or free text."),
    ],
    *,
    json: Json = False,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """Answer a question. The first answer counts."""
    from . import asks

    _do(attach, password, directory, lambda mimo: asks.reply(mimo, id, answers, json=json))


@question.command("reject")
def reject_question(
    id: Ask, *, json: Json = False, directory: Directory = None, attach: Attach = None, password: Password = None
) -> None:
    """Dismiss a question: its turn ends."""
    from . import asks

    _do(attach, password, directory, lambda mimo: asks.reject(mimo, id, json=json))


@permission.command("list")
def list_permissions(
    *, json: Json = False, directory: Directory = None, attach: Attach = None, password: Password = None
) -> None:
    """List what the project's turns want permission for."""
    from . import asks

    _do(attach, password, directory, lambda mimo: asks.permissions(mimo, json=json))


@permission.command("reply")
def reply_permission(
    id: Ask,
    reply: Annotated[str, typer.Argument(metavar="once|always|reject", help="What is allowed.")],
    *,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="With reject: what to do instead; the turn then goes on.")
    ] = None,
    json: Json = False,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """Allow or reject what a turn wants to do. The first answer counts."""
    from . import asks

    _do(attach, password, directory, lambda mimo: asks.permit(mimo, id, reply, message, json=json))


def why(
    id: Annotated[
        str | None, typer.Argument(metavar="[SESSION]", help="The session's id (default: all that are busy).")
    ] = None,
    *,
    json: Json = False,
    directory: Directory = None,
    attach: Attach = None,
    password: Password = None,
) -> None:
    """Say what sessions wait for, since when, and who could make them go on."""
    from .why import told

    _do(attach, password, directory, lambda mimo: told(mimo, id, json=json))


def doctor(
    *,
    through: Annotated[
        str | None, typer.Option(metavar="URL", help="Measure the way to the server at this URL, proxies and all.")
    ] = None,
    up_to: Annotated[
        float, typer.Option(min=0, max=900, metavar="SECONDS", help="Look for timers up to so long; 0: not at all.")
    ] = 75.0,
    lines: Annotated[
        str | None, typer.Option(metavar="PROXY", help="Print what to set for this proxy, or for all of them.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no provider whether it is there.")] = False,
    json: Json = False,
    password: Password = None,
) -> None:
    """Check this installation, and measure the way to a server: what cuts, holds back or swallows a waiting answer."""

    async def main() -> int:
        from .doctor import Asked, run

        return await run(Asked(through, password, up_to, lines, offline, json))

    conclude_in_loop(main)
