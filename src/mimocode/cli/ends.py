"""How a command ends: its exit code, and one line for whatever went wrong."""

import os
import sys
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import cast

import typer

from mimocode.errors import Invalid, MimoError, NotFound

from .screen import plain


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    TIME = 3
    HUMAN = 4
    ABORTED = 130
    CLOSED = 141
    """Who read our output is gone: what a shell sees of a program that died of SIGPIPE."""


def conclude(work: Callable[[], int]) -> None:
    """Runs a command and ends the process with its code; errors become one line. Raises `typer.Exit`."""
    _speak_utf8()
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = Exit.ABORTED
    except BrokenPipeError:
        code = _closed()
    except MimoError as error:
        code = complain(error)
    except BaseExceptionGroup as group:
        code = _first(group)
    raise typer.Exit(int(code))


def conclude_in_loop(main: Callable[[], Awaitable[int]]) -> None:
    """The same for a command that needs an event loop."""
    import anyio

    conclude(lambda: anyio.run(main))


def complain(error: MimoError) -> Exit:
    """Says what was wrong on one line; the code tells the caller's fault from the world's."""
    from mimocode.config import secrets
    from mimocode.redaction import Redaction

    told = Redaction(*secrets.of_environment(os.environ)).text(secrets.bare(str(error)))
    line = " ".join(plain(told).split())
    print(f"mimo: {line}", file=sys.stderr)  # noqa: T201  the one place that complains
    return Exit.USAGE if isinstance(error, Invalid | NotFound) else Exit.FAILED


def _first(group: BaseExceptionGroup[BaseException]) -> Exit:
    """What ended a task group: errors that come together have one cause."""
    match leaf(group):
        case MimoError() as error:
            return complain(error)
        case BrokenPipeError():
            return _closed()
        case KeyboardInterrupt():
            return Exit.ABORTED
        case _:
            raise group


def leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in it that is not a group."""
    first = group.exceptions[0]
    return leaf(cast("BaseExceptionGroup[BaseException]", first)) if isinstance(first, BaseExceptionGroup) else first


def _closed() -> Exit:
    # Python flushes once more at its end, and would complain then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return Exit.CLOSED


def _speak_utf8() -> None:
    """A character that the terminal's encoding lacks must not end a turn."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
