"""The real opencode server as a process: fresh home, loopback, a scripted model, nobody outside."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .clients import offline_environment, pinned
from .programs import Server, free_port, serving

PROVIDER = "lab"
MODEL = "scripted"


def lab_config(model_url: str, *, sees_images: bool = False, **extra: Any) -> dict[str, Any]:
    """The configuration under which the recordings were made; both servers read it. `model_url` ends in ``/v1``.

    `sees_images` says of the model that it takes them.
    """
    scripted = {
        "name": "Scripted",
        "reasoning": True,
        "tool_call": True,
        "limit": {"context": 128_000, "output": 8_000},
        **({"attachment": True, "modalities": {"input": ["text", "image"], "output": ["text"]}} if sees_images else {}),
    }
    provider = {
        "name": "Lab",
        "npm": "@ai-sdk/openai-compatible",
        "options": {"apiKey": "k", "baseURL": model_url},
        "models": {MODEL: scripted},
    }
    return {
        "model": f"{PROVIDER}/{MODEL}",
        "small_model": f"{PROVIDER}/{MODEL}",
        "provider": {PROVIDER: provider},
        "share": "manual",
        "permission": {
            "edit": "allow",
            "bash": {"*": "allow", "rm *": "ask", "touch *": "ask"},
            "webfetch": "ask",
        },
        **extra,
    }


@contextmanager
def peer(
    scratch: Path,
    project: Path,
    config: Mapping[str, Any],
    *,
    password: str | None = None,
    authorization: str | None = None,
) -> Generator[Server]:
    """`opencode serve` in `project`; its home, log and database are in `scratch`."""
    packages = pinned()
    home = scratch / "peer-home"
    port = free_port()
    environment = {
        **offline_environment(home),
        "OPENCODE_CONFIG_CONTENT": json.dumps({**config, "autoupdate": False}),
    }
    if password is not None:
        environment["OPENCODE_SERVER_PASSWORD"] = password
    with serving(
        [packages.opencode, "serve", "--hostname", "127.0.0.1", "--port", str(port)],
        name="opencode",
        url=f"http://127.0.0.1:{port}",
        directory=project,
        env=environment,
        log=scratch / "peer.log",
        authorization=authorization,
    ) as server:
        yield server
