"""A FastAPI application with one slow answer that never looks dead.

    python examples/keepalive_fastapi.py          # listens on port 8000
    curl -N -X POST localhost:8000/reports/7      # waits: a space a second, then JSON
    curl -X POST localhost:8000/reports/7/finish  # ends the wait

The report belongs to the application, not to the request: a client that leaves and asks again waits for the same one.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response
from pydantic import BaseModel

from mimocode.asgi.keepalive import KeptAlive
from mimocode.asgi.ticker import Ticker


class KeptAliveResponse(KeptAlive, Response):
    """FastAPI passes on only what is a `Response`; `KeptAlive` first, so that it is the one that answers."""


class Finished(BaseModel):
    report: int
    pages: int


@dataclass
class Report:
    """Something that takes its time; somebody else sets `finished`."""

    number: int
    finished: anyio.Event = field(default_factory=anyio.Event)

    async def wait(self) -> bytes:
        await self.finished.wait()
        return Finished(report=self.number, pages=12).model_dump_json().encode()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, object]]:
    async with Ticker() as ticker:  # one for all answers
        yield {"ticker": ticker, "reports": {}}


async def report_of(number: int, request: Request) -> Report:
    if number < 1:
        raise HTTPException(404, f"There is no report {number}: they are counted from 1")
    return request.state.reports.setdefault(number, Report(number))


app = FastAPI(lifespan=lifespan)


@app.post("/reports/{number}", response_model=Finished)
async def ask(report: Annotated[Report, Depends(report_of)], request: Request) -> Response:
    """What can fail with a status must fail before this returns: then the status is 200."""
    return KeptAliveResponse(
        report.wait,
        interval_s=1.0,
        ticker=request.state.ticker,
        headers=[(b"content-location", request.url.path.encode())],
    )


@app.post("/reports/{number}/finish")
async def finish(report: Annotated[Report, Depends(report_of)]) -> bool:
    report.finished.set()
    return True


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app)
