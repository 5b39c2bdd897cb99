"""`mimo token`: who else may come in, and to what."""

import os
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from .audit import recorded
from .ends import Exit, conclude

if TYPE_CHECKING:
    from mimocode.server.tokens import Scope, Token, Tokens

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make, list and revoke tokens of this server.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What it is called, in lists and logs.")]

UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


@group.command("create")
def create(
    name: Name,
    *,
    scope: Annotated[str, typer.Option(help="read, answer or full.")] = "full",
    expires: Annotated[str | None, typer.Option(metavar="AGE", help="How long it is good for, such as 12h or 30d.")] = (
        None
    ),
    json: Json = False,
) -> None:
    """Make a token and print it. It is told this once: only a digest of it is kept."""

    def work() -> int:
        from mimocode import ids

        from . import printed

        expires_ms = None if expires is None else ids.now_ms() + span_ms(expires)
        wanted = scope_of(scope)
        end = {} if expires_ms is None else {"expires": expires_ms}
        with recorded("token.create", name=name, scope=wanted, **end):
            secret = tokens().create(name, wanted, expires_ms=expires_ms)
        if json:
            told = {"name": name, "scope": scope, "token": secret}
            printed.json(told if expires_ms is None else {**told, "expires": expires_ms})
        else:
            printed.line(secret)
        return Exit.DONE

    conclude(work)


@group.command("list")
def list_(*, json: Json = False) -> None:
    """The tokens there are: what they may do, since when and until when. Never what they are."""

    def work() -> int:
        from . import printed

        known = tokens().all()
        if json:
            printed.json([{**one.plain(), "expired": one.over()} for one in known])
        else:
            printed.table([(one.name, one.scope, f"made {_day(one.created)}", _until(one)) for one in known])
        return Exit.DONE

    conclude(work)


@group.command("revoke")
def revoke(name: Name) -> None:
    """Take a token back, also while a server runs: its next request is refused."""

    def work() -> int:
        from . import printed

        with recorded("token.revoke", name=name):
            tokens().revoke(name)
        printed.line(f"{name} is revoked.")
        return Exit.DONE

    conclude(work)


def tokens() -> "Tokens":
    """Those of the state directory that the environment names."""
    from mimocode.config import settings
    from mimocode.server.tokens import tokens_of

    return tokens_of(settings.read(os.environ))


def scope_of(given: str) -> "Scope":
    """Raises `Invalid`, as `span_ms` does."""
    from mimocode.errors import Invalid
    from mimocode.server.tokens import Scope

    scopes: tuple[Scope, ...] = get_args(Scope)
    for each in scopes:
        if given == each:
            return each
    raise Invalid(f"--scope: expected one of {', '.join(scopes)}, found {given!r}.")


def span_ms(given: str) -> int:
    """Of an AGE such as 12h."""
    from mimocode.errors import Invalid

    number, unit = given[:-1], given[-1:]
    if unit not in UNITS_MS or not number.isascii() or not number.isdecimal() or len(number) > 6 or int(number) == 0:
        raise Invalid(f"--expires: expected a number and m, h, d or w, such as 30d, found {given!r}.")
    return int(number) * UNITS_MS[unit]


def _until(token: "Token") -> str:
    if token.expires is None:
        return "for ever"
    return f"over since {_day(token.expires)}" if token.over() else f"until {_day(token.expires)}"


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
