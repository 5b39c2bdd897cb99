"""`mimo doctor` on real paths: real proxies with timers of two seconds, and a server that is not there."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsPartialDict
from tests.survival.proxies import PROXIES, in_front

from support.fault_proxy import Fault, always, fault_proxy
from support.ours import ours
from support.programs import BIN, Finished, Server, free_port, plain_environment, run

TIMER_S = 2
UP_TO_S = 7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    scratch = tmp_path_factory.mktemp("doctor")
    (scratch / "project").mkdir()
    with ours(scratch, scratch / "project", {}) as running:
        yield running


async def doctor(scratch: Path, *words: str) -> Finished:
    scratch.mkdir(exist_ok=True)
    env = {**plain_environment(scratch), "MIMOCODE_HOME": str(scratch / "mimo")}
    return await run([BIN / "mimo", "doctor", "--offline", *words], cwd=scratch, env=env, within_s=100)


async def way(scratch: Path, url: str) -> dict[str, Any]:
    """What the command says of the way to this URL."""
    done = await doctor(scratch, "--json", "--through", url, "--up-to", str(UP_TO_S))
    told = json.loads(done.out)["way"]
    assert done.code == (1 if told["outcome"] == "broken" else 0), done
    return told


def states(told: dict[str, Any]) -> dict[str, str]:
    return {finding["name"]: finding["state"] for finding in told["findings"]}


@pytest.fixture(scope="module")
def told(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The ways through proxies, measured at once: nearly all of it is waiting."""
    return anyio.run(_measured, server, tmp_path_factory.mktemp("ways"))


async def _measured(server: Server, scratch: Path) -> dict[str, dict[str, Any]]:
    scratch.chmod(0o755)
    found: dict[str, dict[str, Any]] = {}

    async def measure(name: str, url: str) -> None:
        found[name] = await way(scratch / f"{name}.home", url)

    port = int(server.url.rpartition(":")[2])
    with (
        in_front(PROXIES["nginx-buffering"], port, scratch / "nginx", TIMER_S) as nginx,
        in_front(PROXIES["caddy"], port, scratch / "caddy", TIMER_S) as caddy,
        in_front(PROXIES["lighttpd"], port, scratch / "lighttpd", TIMER_S) as lighttpd,
    ):
        async with (
            fault_proxy(server.url, always(Fault("close", total_s=5))) as total,
            anyio.create_task_group() as group,
        ):
            for name, url in (
                ("nginx", nginx.url), ("caddy", caddy.url), ("lighttpd", lighttpd.url), ("total", total.url)
            ):  # fmt: skip
                group.start_soon(measure, name, url)
    return found


async def test_nginx_wants_beats_more_often_and_swallows_compressed_ones(told: dict[str, dict[str, Any]]) -> None:
    nginx = told["nginx"]

    assert (nginx["outcome"], nginx["proxies"]) == ("good", ["nginx"])
    assert nginx["intervalMs"] in (250, 500, 1000)
    assert states(nginx) == IsPartialDict({"compression": "warn", "idle timer": "warn", "total timer": "ok"})


async def test_caddy_shows_a_dead_server_as_a_clean_end(told: dict[str, dict[str, Any]]) -> None:
    assert told["caddy"]["proxies"] == ["caddy"]
    assert states(told["caddy"]) == IsPartialDict({"killed server": "note", "idle timer": "warn"})


async def test_lighttpd_holds_everything_back_and_is_got_through_by_joining(told: dict[str, dict[str, Any]]) -> None:
    lighttpd = told["lighttpd"]

    assert (lighttpd["outcome"], lighttpd["intervalMs"]) == ("joining", None)
    assert states(lighttpd) == IsPartialDict({"beats": "warn", "event stream": "warn"})


async def test_a_total_timer_is_found(told: dict[str, dict[str, Any]]) -> None:
    total = told["total"]

    assert total["outcome"] == "joining"
    assert states(total) == IsPartialDict({"beats": "ok", "total timer": "warn"})


async def test_a_server_that_is_not_there_is_said_to_be_not_reached(tmp_path: Path) -> None:
    done = await doctor(tmp_path / "home", "--through", f"http://127.0.0.1:{free_port()}")

    assert done.code == 1
    assert "Broken: the server is not reached." in done.out
    assert "cannot be reached" in done.out


async def test_a_person_is_told_what_to_set_for_a_proxy(tmp_path: Path) -> None:
    done = await doctor(tmp_path / "home", "--lines", "nginx")

    assert (done.code, done.err) == (0, "")
    assert "proxy_read_timeout 3600s;" in done.out
    assert "No server of yours is running here." in done.out
