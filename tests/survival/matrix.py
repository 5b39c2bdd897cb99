"""Which cells there are: all of ours, enough of the peer's to compare, and those that every change is held against."""

from typing import get_args

from .cells import Cell, Total
from .clients import CLIENTS
from .proxies import PROXIES

OURS, PEER = "mimocode", "opencode"
PATHS = ("direct", *PROXIES)
CUTS: tuple[Total, ...] = get_args(Total)
_PEERS_CLIENTS = [client.name for client in CLIENTS.values() if client.peer]


def ours() -> list[Cell]:
    """Every client through every proxy, and against every kind of total timer."""
    idle = [Cell(OURS, path, client) for path in PATHS for client in CLIENTS]
    return [*idle, *(Cell(OURS, "direct", client, cut) for cut in CUTS for client in CLIENTS)]


def peers() -> list[Cell]:
    """Two clients through every proxy, every client through none and through nginx, two clients and total timers."""
    pairs = {(path, client): None for path in ("direct", "nginx") for client in _PEERS_CLIENTS}
    pairs |= {(path, client): None for path in PATHS for client in ("httpx", "node-fetch")}
    idle = [Cell(PEER, path, client) for path, client in pairs]
    return [*idle, *(Cell(PEER, "direct", client, cut) for cut in CUTS for client in ("httpx", "opencode-ai"))]


def _idle(server: str, **clients: str) -> list[Cell]:
    return [Cell(server, path.replace("_", "-"), client) for path, them in clients.items() for client in them.split()]


CI = [
    # Each proxy and each client that needs no compiler at least once; what holds back is joined, not waited for.
    *_idle(
        OURS,
        direct="httpx requests aiohttp urllib curl node-fetch js-sdk opencode-ai mimocode chromium-fetch",
        nginx="httpx opencode-ai node-fetch chromium-events",
        nginx_gzip="requests js-sdk",
        nginx_buffering="httpx js-sdk",
        haproxy="aiohttp chromium-events",
        haproxy_gzip="httpx node-fetch",
        apache="urllib chromium-fetch",
        apache_deflate="httpx",
        caddy="curl opencode-ai",
        lighttpd="httpx mimocode node-fetch",
        lighttpd_streaming="requests",
        varnish="js-sdk",
        squid="httpx",
        nghttpx="node-fetch chromium-fetch",
    ),
    *(Cell(OURS, "direct", client, cut) for cut in CUTS for client in ("httpx", "node-fetch", "mimocode")),
    *(Cell(OURS, "direct", "curl", cut) for cut in CUTS if cut != "blank"),
    *_idle(PEER, direct="httpx chromium-fetch opencode-ai", nginx="node-fetch"),
]
"""Run on every change. All of them are in `ours` or `peers`."""
