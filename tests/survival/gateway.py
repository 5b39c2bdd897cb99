"""A gateway that hands on nothing before it has everything, and gives up after a total time: 504, as clouds' do."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp import web

_HOP_BY_HOP: Final = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}
_TIMED_OUT: Final = {"message": "Endpoint request timed out"}


@asynccontextmanager
async def gateway(upstream: int, total_s: float) -> AsyncGenerator[int]:
    """Its port; until the block ends."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as http:

        async def hand_on(request: web.Request) -> web.StreamResponse:
            url = f"http://127.0.0.1:{upstream}{request.rel_url}"
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
            # A page's origin is held against the host it was asked for.
            headers["Host"] = request.headers["Host"]
            try:
                async with asyncio.timeout(total_s):
                    data = await request.read()
                    async with http.request(request.method, url, headers=headers, data=data) as answer:
                        body = await answer.read()
            except TimeoutError:
                return web.json_response(_TIMED_OUT, status=504)
            return web.Response(body=body, status=answer.status, content_type=answer.content_type)

        # Who leaves is not waited for.
        runner = web.AppRunner(
            web.Application(client_max_size=0), handler_cancellation=True, access_log=None, shutdown_timeout=0
        )
        runner.app.router.add_route("*", "/{path:.*}", hand_on)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield int(runner.addresses[0][1])
        finally:
            await runner.cleanup()
