"""A typed Python client of our own HTTP API: `AsyncMimo`, and `Mimo` for programs that are not asynchronous.

    with Mimo() as mimo:
        session = mimo.create_session(title="A first try")
        answer = mimo.prompt(session.id, "What does this project do?")

A prompt is held for as long as its turn takes, through lost connections, proxies' timers and restarts of the server.
"""

from .backoff import Backoff, Budget
from .blocking import Mimo
from .errors import ApiError, TurnFailed, Unauthorized, Unreachable
from .held import Lost
from .mimo import AsyncMimo
from .stream import EventStream, body

__all__ = [
    "ApiError",
    "AsyncMimo",
    "Backoff",
    "Budget",
    "EventStream",
    "Lost",
    "Mimo",
    "TurnFailed",
    "Unauthorized",
    "Unreachable",
    "body",
]
