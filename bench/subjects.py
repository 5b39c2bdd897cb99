"""Who is measured: ours, the peer, the least that could do it, and ours as it was at another commit."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ours import ours
from tests.support.peer import lab_config, peer
from tests.support.programs import ROOT, Server, end_group, free_port, plain_environment, serving

from .connection import Connection

Start = Callable[[Path, Path, dict[str, object]], AbstractContextManager[Server]]


@dataclass(frozen=True)
class Subject:
    """`kind` is `ours`, `peer` or `limit`: what can be asked of it. `start` takes a scratch folder, a project and a
    configuration.
    """

    name: str
    kind: str
    start: Start
    source: Path = ROOT / "src"
    """Of ours: where it is imported from."""


@contextmanager
def _raw(scratch: Path, project: Path, config: dict[str, object]) -> Generator[Server]:
    port = free_port()
    model_url: str = json.loads(json.dumps(config))["provider"]["lab"]["options"]["baseURL"]
    environment = {**plain_environment(scratch), "PYTHONPATH": str(ROOT)}
    with serving(
        [sys.executable, "-m", "bench.raw", str(port), str(scratch), model_url],
        name="limit",
        url=f"http://127.0.0.1:{port}",
        directory=project,
        env=environment,
        log=scratch / "raw.log",
    ) as server:
        yield server


OURS = Subject("ours", "ours", ours)
PEER = Subject("peer", "peer", peer)
LIMIT = Subject("limit", "limit", _raw)


def at_commit(name: str, scratch: Path) -> Subject:
    """Ours as it was, with today's dependencies. Raises `CalledProcessError` for what is no commit."""
    source = scratch / name.replace("/", "_")
    archived = subprocess.run(["git", "archive", name, "src"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archived)) as files:
        files.extractall(source, filter="data")

    def start(scratch: Path, project: Path, config: dict[str, object]) -> AbstractContextManager[Server]:
        return ours(scratch, project, config, env={"PYTHONPATH": str(source / "src")})

    return Subject(name, "ours", start, source / "src")


@dataclass(frozen=True)
class Model:
    """The instant model, in a process of its own. `url` ends in `/v1`."""

    url: str
    pid: int

    @property
    def config(self) -> dict[str, object]:
        return lab_config(self.url)

    async def repeated(self) -> bytes:
        """The counts of `bench:steps` since this was asked last."""
        connection = await Connection.open(self.url)
        _, told = await connection.get("/repeated")
        connection.close()
        return told


@contextmanager
def instant_model() -> Generator[Model]:
    port = free_port()
    command = [sys.executable, "-m", "bench.model", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Model(f"http://127.0.0.1:{port}/v1", process.pid)
    finally:
        end_group(process.pid)
        process.communicate()
