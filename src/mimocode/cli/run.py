"""`mimo run`: one prompt, its turn, and an exit code that says how it ended."""

import gc
from enum import StrEnum
from typing import Annotated

import typer

from .ends import conclude_in_loop


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"


def run(
    *,
    message: Annotated[
        list[str] | None, typer.Argument(help="What to do. Read from stdin when it is - or a pipe has data.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The model, as provider/model.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent, such as build or plan.")] = None,
    session: Annotated[str | None, typer.Option("--session", "-s", help="Go on in this session.")] = None,
    go_on: Annotated[bool, typer.Option("--continue", "-c", help="Go on in the last session.")] = False,
    fork: Annotated[bool, typer.Option("--fork", help="With -s or -c: in a copy of that session.")] = False,
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="Attach a file; repeatable.")] = None,
    directory: Annotated[str | None, typer.Option("--dir", help="The project to work in (default: here).")] = None,
    attach: Annotated[str | None, typer.Option(help="The URL of the server (default: the running one).")] = None,
    password: Annotated[str | None, typer.Option("--password", "-p", help="That server's password.")] = None,
    tls_ca: Annotated[
        str | None, typer.Option(metavar="FILE", help="The authorities to believe, instead of the system's.")
    ] = None,
    format: Annotated[Format, typer.Option(help="Text for people, or one JSON event a line.")] = Format.TEXT,
    title: Annotated[str | None, typer.Option(help="The title of a new session.")] = None,
    thinking: Annotated[bool, typer.Option("--thinking", help="Show the model's reasoning too.")] = False,
    variant: Annotated[str | None, typer.Option(help="The model's variant, such as high.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Allow once whatever asks for permission.")] = False,
    answer: Annotated[
        list[str] | None, typer.Option(help="The answer to the next question: a label, #2, or free text; repeatable.")
    ] = None,
    idle_timeout: Annotated[
        float | None, typer.Option(min=0.01, help="Give up after so many seconds without a sign of life.")
    ] = None,
    turn_budget: Annotated[
        float | None, typer.Option(min=0.01, help="Abort the turn after so many seconds in all.")
    ] = None,
) -> None:
    """Send a message, show what is done about it, and wait for the end.

    Questions and permissions are asked in the terminal; without one they are answered by --answer and --yes, or the
    run ends with code 4 and the turn stays waiting. With -s and no message it waits for that session's turn.

    Exit codes: 0 done, 1 the turn failed, 2 wrong usage, 3 time ran out, 4 a human is needed, 130 aborted.
    """
    gc.disable()  # until there is a server: what is made till then stays, and is not to be looked through
    from .running import Options, main

    options = Options(
        words=tuple(message or ()),
        model=model,
        agent=agent,
        session=session,
        go_on=go_on,
        fork=fork,
        files=tuple(file or ()),
        directory=directory,
        attach=attach,
        password=password,
        json=format is Format.JSON,
        title=title,
        thinking=thinking,
        variant=variant,
        yes=yes,
        answers=tuple(answer or ()),
        idle_timeout_s=idle_timeout,
        turn_budget_s=turn_budget,
        tls_ca=tls_ca,
    )
    conclude_in_loop(lambda: main(options))
