"""An application for what stands in front of one: it answers every request with one word."""

from mimocode.asgi.types import Receive, Scope, Send


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """Whoever gets here was let in."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
    await send({"type": "http.response.body", "body": b"inside"})
