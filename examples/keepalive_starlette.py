"""A Starlette application with one slow answer that never looks dead.

    python examples/keepalive_starlette.py          # listens on port 8000
    curl -N -X POST localhost:8000/reports/7        # waits: a space a second, then JSON
    curl -X POST localhost:8000/reports/7/finish    # ends the wait

The report belongs to the application, not to the request: a client that leaves and asks again waits for the same one.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypedDict

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker


@dataclass
class Report:
    """Something that takes its time; somebody else sets `finished`."""

    number: int
    finished: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self) -> bytes:
        await self.finished.wait()
        return json.dumps({"report": self.number, "pages": 12}).encode()


class State(TypedDict):
    ticker: Ticker
    reports: dict[int, Report]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[State]:
    async with Ticker() as ticker:  # one for all answers
        yield {"ticker": ticker, "reports": {}}


def report_of(request: Request[State]) -> Report:
    number: int = request.path_params["number"]
    return request.state["reports"].setdefault(number, Report(number))


async def ask(request: Request[State]) -> KeptAlive:
    """What can fail with a status must fail here: once the answer is returned the status is 200."""
    report = report_of(request)
    return KeptAlive(
        report.wait,
        interval_s=1.0,
        ticker=request.state["ticker"],
        headers=[(b"content-location", request.url.path.encode())],
    )


async def finish(request: Request[State]) -> JSONResponse:
    report_of(request).finished.set()
    return JSONResponse(True)


app = Starlette(
    routes=[
        Route(
            "/reports/{number:int}", ask, methods=["POST"]
        ),  # a response is whatever is called with (scope, receive, send)
        Route("/reports/{number:int}/finish", finish, methods=["POST"]),
    ],
    lifespan=lifespan,
)

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app)
