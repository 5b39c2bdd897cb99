"""Bodies: JSON in UTF-8 as RFC 8259 has it, and nothing that only some parsers take for it.

One parser for all routes, so that none takes what another refuses: NaN and Infinity, UTF-16, half of a surrogate pair,
more than 200 levels. Of a key that comes twice the last one counts, as in the reference server's. A mark of UTF-8 at
the begin is passed over.
"""

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import Request
from pydantic_core import from_json
from starlette.responses import Response

from .later import Later

_BOM = b"\xef\xbb\xbf"
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_MAY_BE_HUGE = re.compile(rb"[eE]\+?\d{3}|\d{309}")
"""Without one of these no number is too large for a double."""


class NotJson(json.JSONDecodeError):
    """`msg` says what was wrong, and where in the body."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "", 0)


def decoded(data: bytes) -> Any:
    """Raises `NotJson`."""
    data = data.removeprefix(_BOM)
    try:
        value: Any = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise NotJson(_said(data, str(error))) from None
    if _MAY_BE_HUGE.search(data) and (place := _infinite(value)) is not None:
        raise NotJson(f"the number at {place or 'its top'} is larger than a number can be")
    return value


def _said(data: bytes, error: str) -> str:
    if data.startswith(_WIDE) or b"\0" in data[:4]:
        return f"it is not UTF-8 but looks like UTF-16 or UTF-32 ({error})"
    if "hex escape" in error:
        return f"an escape \\u is cut off, or is half of a surrogate pair ({error})"
    return error


def _infinite(value: Any) -> str | None:
    """The path to the first infinity; never deeper than the parser goes."""
    match value:
        case float():
            return "" if math.isinf(value) else None
        case dict():
            inner = [(f'["{key}"]', item) for key, item in cast("dict[str, Any]", value).items()]
        case list():
            inner = [(f"[{at}]", item) for at, item in enumerate(cast("list[Any]", value))]
        case _:
            return None
    found = ((key, _infinite(item)) for key, item in inner)
    return next((f"{key}{rest}" for key, rest in found if rest is not None), None)


class _Read(Request):
    async def json(self) -> Any:
        return decoded(await self.body())


class Bodied(Later):
    """A route whose body is read by `decoded`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def read(request: Request) -> Response:
            return await handler(_Read(request.scope, request.receive))

        return read
