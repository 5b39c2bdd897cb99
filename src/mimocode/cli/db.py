"""`mimo db`: the database file looked through, copied, and made smaller."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .ends import Exit, conclude

if TYPE_CHECKING:
    from mimocode.config.settings import Settings

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check, back up or shrink the database.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@group.command("check")
def check(*, json: Json = False) -> None:
    """Look through the database for faults, also while a server runs. Changes nothing; exits with 1 if it finds any."""

    def work() -> int:
        from mimocode.store.check import checked

        from . import printed

        path = _places().database
        found = checked(path)
        if json:
            printed.json(
                {
                    "file": str(path),
                    "bytes": path.stat().st_size,
                    "schema": found.schema,
                    "sessions": found.sessions,
                    "messages": found.messages,
                    "faults": list(found.faults),
                }
            )
        elif found.faults:
            printed.line(f"{path} has faults:")
            for fault in found.faults:
                printed.line(f"  {fault}")
            printed.line("Restore a backup, or save what can be read: `mimo session export` for each session.")
        else:
            printed.line(f"{path} is whole: {_content(path, found.sessions, found.messages)}.")
        return Exit.FAILED if found.faults else Exit.DONE

    conclude(work)


@group.command("backup")
def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The copy, a file that is not there yet.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    json: Json = False,
) -> None:
    """Copy the database to FILE and check the copy, also while a server runs. FILE is there whole or not at all."""

    def work() -> int:
        from mimocode.store.upkeep import back_up

        from . import printed

        path, target = _places().database, Path(file).expanduser().absolute()
        made = back_up(path, target, replace=force)
        if json:
            size = target.stat().st_size
            counts = {"sessions": made.sessions, "messages": made.messages}
            printed.json({"file": str(target), "bytes": size, **counts, "faults": list(made.faults)})
        else:
            printed.line(f"{target} is a whole copy of {path}: {_content(target, made.sessions, made.messages)}.")
            if made.faults:
                printed.line("It has the faults of the original, which `mimo db check` names.")
        return Exit.FAILED if made.faults else Exit.DONE

    conclude(work)


@group.command("vacuum")
def vacuum(*, json: Json = False) -> None:
    """Write the database anew without what was deleted. No server may run; needs free disk space of twice its size."""

    def work() -> int:
        from mimocode.store.check import must_be_there
        from mimocode.store.upkeep import vacuum as done

        from . import printed
        from .claim import claimed, held_by_another

        places = _places()
        must_be_there(places.database)
        with claimed(places) as mine:
            if not mine:
                raise held_by_another(places)
            sizes = done(places.database)
        if json:
            printed.json({"file": str(places.database), "bytes": {"before": sizes.before, "after": sizes.after}})
        else:
            printed.line(f"{places.database}: {_size(sizes.before)} before, {_size(sizes.after)} now.")
        return Exit.DONE

    conclude(work)


def _places() -> "Settings":
    from mimocode.config import settings

    return settings.read(os.environ)


def _content(path: Path, sessions: int, messages: int) -> str:
    counts = f"{sessions} {_plural('session', sessions)}, {messages} {_plural('message', messages)}"
    return f"{counts}, {_size(path.stat().st_size)}"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count / 1000:.1f} kB"
