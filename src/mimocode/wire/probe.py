"""What measures a path to this server: an answer that is kept alive for nothing, and what was sent of it."""

from typing import Annotated

from pydantic import Field

from .base import Wire

LONGEST_S = 900


class ProbeInput(Wire):
    """`intervalMs` is the silence between two beats; None: one space at the begin, then nothing until the end."""

    seconds: Annotated[float, Field(ge=0, le=LONGEST_S)] = 5
    intervalMs: Annotated[int, Field(ge=20, le=LONGEST_S * 1000)] | None = None


class ProbeAnswer(Wire):
    """`sentMs` is when each byte before the JSON was handed to the socket, from the request on.

    `configuredMs` is how often answers beat on this server for a client of which nothing is known.
    """

    sentMs: list[int]
    configuredMs: int


class ProbeEvent(Wire):
    """One event of the probe's stream; `number` is its id."""

    number: int
