"""How the four model APIs spell a stream."""

from collections.abc import Callable

from .base import History, Wire
from .chat import Chat
from .google import Google
from .messages import Messages
from .responses import Responses

__all__ = ["History", "Wire", "wire_for"]


def wire_for(path: str) -> Callable[[str], Wire] | None:
    """Which API a path belongs to, whatever stands before it."""
    route = path.partition("?")[0].rstrip("/")
    if route.endswith("/chat/completions"):
        return Chat
    if route.endswith("/responses"):
        return Responses
    if route.endswith("/messages"):
        return Messages
    if route.endswith(":streamGenerateContent"):
        return Google
    return None
