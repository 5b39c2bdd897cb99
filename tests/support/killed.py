"""The system in a process of its own that is killed in mid-turn; what it wrote stays in `scratch`."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx

from mimocode.wire.base import JsonObject

from .system import system

_TESTS = Path(__file__).parents[1]
_CODE = "import anyio, sys; from support.killed import play; anyio.run(play, *sys.argv[1:])"


async def killed(
    scratch: Path,
    script: str,
    *requests: JsonObject,
    until: str,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Sends the requests to a new session one after the other (``path`` and ``body``), kills the process when an event
    was told whose JSON (without spaces) holds `until`, and returns the session's id.
    """
    told = json.dumps({"requests": requests, "config": config or {}, "env": env or {}})
    process = await anyio.open_process(
        [sys.executable, "-c", _CODE, str(scratch), script, until, told],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS), os.environ.get("PYTHONPATH", "")])},
        stderr=subprocess.STDOUT,
    )
    try:
        assert process.stdout is not None
        with anyio.fail_after(60):
            said = (await process.stdout.receive()).decode()
    finally:
        process.kill()
        await process.aclose()
    assert said.startswith("ses_"), said
    return said.strip()


async def play(scratch: str, script: str, until: str, told: str) -> None:
    """What that process does: says its session's id when it may be killed."""
    given = json.loads(told)
    async with system(Path(scratch), script, config=given["config"], env=given["env"]) as running:
        subscription = await running.app.subscribe(None)
        session = await running.session()
        async with anyio.create_task_group() as group:
            for request in given["requests"]:
                path = f"/session/{session}/{request['path']}"
                if request["path"] == "prompt_async":
                    (await running.client.post(path, json=request["body"])).raise_for_status()
                else:
                    group.start_soon(_post, running.client, path, request["body"])
            while not any(until.encode() in frame for frame in await subscription.take() or ()):
                pass
            print(session, flush=True)
            await anyio.sleep_forever()


async def _post(client: httpx.AsyncClient, path: str, body: JsonObject) -> None:
    await client.post(path, json=body)
