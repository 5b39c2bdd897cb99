"""`mimo link`: lets one browser in."""

import os
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from .audit import recorded
from .ends import Exit, conclude
from .token import Json, scope_of, span_ms, tokens

if TYPE_CHECKING:
    from mimocode.config.settings import Settings


def link(
    *,
    scope: Annotated[str, typer.Option(help="What the browser may do: read, answer or full.")] = "full",
    expires: Annotated[str, typer.Option(metavar="AGE", help="How long it is let in, such as 12h or 30d.")] = "12h",
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the browser finds the server, such as a proxy's https://… address."),
    ] = None,
    json: Json = False,
) -> None:
    """Print a link that lets one browser in, once and within five minutes."""

    def work() -> int:
        from mimocode import ids
        from mimocode.config import settings
        from mimocode.server.browser import PATH
        from mimocode.server.tokens import LINK_MS

        from . import printed

        places = settings.read(os.environ)
        where, wanted, lasts_ms = _where(places, url), scope_of(scope), span_ms(expires)
        with recorded("link.create", scope=wanted, lasts_ms=lasts_ms):
            opened = f"{where}{PATH}#{tokens().link(wanted, lasts_ms=lasts_ms)}"
        if json:
            printed.json({"url": opened, "scope": scope, "expires": ids.now_ms() + LINK_MS, "lasts_ms": lasts_ms})
        else:
            printed.line(opened)
        return Exit.DONE

    conclude(work)


def _where(places: "Settings", url: str | None) -> str:
    """The URL of the server, as this machine's browser reaches it. Raises `Invalid` or `Unavailable`."""
    from mimocode.client.http import checked_url, unix_path
    from mimocode.errors import Invalid

    found = checked_url(url) if url is not None else _running(places)
    if unix_path(found) is not None:
        raise Invalid(
            f"No browser can open {found}. Put a proxy with a port in front of it, and name its address with --url."
        )
    parts = urlsplit(found)
    if parts.query or parts.fragment or parts.username is not None:
        raise Invalid(f"--url: expected an address without user, query or fragment, found {url!r}.")
    here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(parts.hostname or "")  # noqa: S104 - compared, not bound
    return found if here is None else f"{parts.scheme}://{here}:{parts.port}"


def _running(places: "Settings") -> str:
    import anyio

    from mimocode.client.found import running
    from mimocode.errors import Unavailable

    async def find() -> str | None:
        found = await running(places)
        return None if found is None or found.embedded else found.url

    found = anyio.run(find)
    if found is None:
        raise Unavailable(
            "No server runs here that a browser could come to. Start `mimo serve`, and make the link while it runs; or "
            "name where the browser finds it with --url."
        )
    return found
