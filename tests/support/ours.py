"""`mimo serve` as a process, with a home of its own and a scripted model."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .programs import BIN, Server, free_port, plain_environment, serving


@contextmanager
def ours(
    scratch: Path,
    project: Path,
    config: Mapping[str, Any],
    *,
    env: Mapping[str, str] | None = None,
    words: tuple[str, ...] = ("--no-auth",),
    program: tuple[str, ...] = (str(BIN / "mimo"),),
    authorization: str | None = None,
    port: int | None = None,
) -> Generator[Server]:
    """`mimo serve` in `project`; its home, state and log are in `scratch`. `port` None is any free one."""
    port = port or free_port()
    environment = {
        **plain_environment(scratch / "home"),
        "MIMOCODE_HOME": str(scratch / "mimocode"),
        "MIMOCODE_CONFIG_CONTENT": json.dumps(config),
        **(env or {}),
    }
    with serving(
        [*program, "serve", "--port", str(port), *words],
        name="mimo",
        url=f"http://127.0.0.1:{port}",
        directory=project,
        env=environment,
        log=scratch / "ours.log",
        authorization=authorization,
    ) as server:
        yield server
