"""`mimo serve` with whatever flags a test gives it, known by the line it prints when it answers."""

import re
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .programs import BIN, end_group, plain_environment

PASSWORD = "an operator's own password"
ANSWER = "Answered from behind the door."
"""What its model says to everything."""
WITHIN_S = 60


@dataclass(frozen=True)
class Door:
    """A server that answers at `url`. `env` leads commands of the same user to it."""

    url: str
    pid: int
    home: Path
    env: Mapping[str, str]
    log: Path


def environment(scratch: Path, **more: str) -> dict[str, str]:
    """Of a user whose home is there, without the operator's password unless `more` has it."""
    return {**plain_environment(scratch / "home"), "MIMOCODE_HOME": str(scratch / "mimocode"), **more}


@contextmanager
def door(scratch: Path, *words: str, password: str | None = PASSWORD, project: Path | None = None) -> Generator[Door]:
    """The server, from the line that says where it listens until the block's end."""
    env = environment(scratch, **({} if password is None else {"MIMOCODE_SERVER_PASSWORD": password}))
    log = scratch / "door.log"
    scratch.mkdir(parents=True, exist_ok=True)
    script = scratch / "script.rehearsal"
    script.write_text(f"text: {ANSWER}\n")
    env["MIMOCODE_REHEARSAL_SCRIPT"] = str(script)
    project = project or scratch / "project"
    project.mkdir(exist_ok=True)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [BIN / "mimo", "serve", *words],
            cwd=project,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Door(_said(log, process), process.pid, scratch / "mimocode", env, log)
    finally:
        end_group(process.pid)
        process.wait(10)


def _said(log: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        found = re.search(r"^mimo server listening on (\S+)$", log.read_text(errors="replace"), re.MULTILINE)
        if found:
            return found[1]
        if process.poll() is not None:
            raise RuntimeError(f"mimo serve ended with {process.returncode}:\n{log.read_text(errors='replace')}")
        time.sleep(0.02)
    raise TimeoutError(f"mimo serve did not listen within {WITHIN_S} s:\n{log.read_text(errors='replace')}")


def refused(scratch: Path, *words: str, password: str | None = PASSWORD) -> str:
    """What `mimo serve` says when it ends with 2, as it must."""
    scratch.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(
        [BIN / "mimo", "serve", "--port", "0", *words],
        cwd=scratch,
        env=environment(scratch, **({} if password is None else {"MIMOCODE_SERVER_PASSWORD": password})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended
    return ended.stderr
