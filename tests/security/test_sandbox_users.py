"""The sandbox of an ordinary user: tests run as root often, and users do not."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from tests.service.tools.conftest import BOUND_S

from mimocode.sandbox.cell import Kind
from mimocode.sandbox.view import TEMPORARY
from support.clients import CACHE
from support.confined import CANARY, KINDS, had
from support.programs import plain_environment

USER = 54_321
ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, sys
from pathlib import Path
import anyio, pytest
from support.confined import place
from mimocode.sandbox.policy import Limits, Policy
kind, root, steps = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
try:
    at = place(kind, root).under(Policy(mode="on", limits=Limits(processes=40)))
except pytest.skip.Exception as skipped:
    sys.exit(f"skipped: {skipped}")
async def main():
    told = {}
    for name, command in steps.items():
        done = await at.run(command, timeout=30_000)
        told[name] = [done.metadata["exit"], done.output]
    print(json.dumps(told))
anyio.run(main)
"""
BOMB = "i=0; while sleep 600 & do i=$((i+1)); echo $i > made; done"


@pytest.fixture
def open_root() -> Generator[Path]:
    """A directory of somebody who is not root, where commands in a sandbox can see it: not below /tmp."""
    if os.geteuid() != 0:
        pytest.skip("who runs these tests is an ordinary user: all other tests of the sandbox are this one")
    CACHE.mkdir(exist_ok=True)
    places = [CACHE, Path("/opt"), Path("/srv")]
    outside = next((each for each in places if each.is_dir() and is_open(each)), None)
    if outside is None:
        pytest.skip("there is no directory outside of /tmp that other users could enter")
    root = Path(tempfile.mkdtemp(prefix="user-", dir=outside))
    try:
        os.chown(root, USER, USER)
        yield root
    finally:
        shutil.rmtree(root)


def is_open(folder: Path) -> bool:
    hidden = any(folder.is_relative_to(one) for one in TEMPORARY)
    return not hidden and all(above.stat().st_mode & 0o001 for above in (folder, *folder.parents))


def ran(words: list[str], root: Path) -> subprocess.CompletedProcess[str]:
    """By that user."""
    env = {
        **plain_environment(root),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(root),
        "PYTHONPATH": ":".join([str(ROOT), str(ROOT / "tests"), *filter(None, sys.path)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        words,
        user=USER,
        group=USER,
        extra_groups=[],
        env=env,
        cwd=root,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def python_of(root: Path) -> str:
    """One that this user can run, with the packages."""
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            if ran([python, "-c", "import mimocode, pydantic_core"], root).returncode == 0:
                return python
        except OSError:
            continue
    pytest.skip("another user can run no Python that has the packages: it or they lie in a home of root's")


def as_user(root: Path, kind: Kind, steps: dict[str, str]) -> dict[str, tuple[int | None, str]]:
    """How the commands ended, and what they said."""
    done = ran([python_of(root), "-c", PROGRAM, kind, str(root), json.dumps(steps)], root)
    if done.stderr.startswith("skipped: "):
        pytest.skip(f"for an ordinary user: {done.stderr.removeprefix('skipped: ').strip()}")
    assert done.returncode == 0, done.stderr
    return {name: (code, said) for name, (code, said) in json.loads(done.stdout).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_an_ordinary_users_commands_are_kept_in_too(open_root: Path, kind: Kind) -> None:
    had(kind)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        told = as_user(
            open_root,
            kind,
            {
                "project": "id -u; echo ok > made.txt && cat made.txt",
                "home": "there=~; echo x > $there/notes.txt",
                "system": "echo x > /etc/mimo-was-here || echo x > /usr/local/mimo-was-here",
                "secret": "there=~; cat $there/.ssh/id_ed25519; ls -la $there/.ssh; cat $there/notes.txt",
                "settings": "was=$(cat /proc/sys/vm/swappiness) && echo $was > /proc/sys/vm/swappiness",
                "network": f"exec 3<> /dev/tcp/127.0.0.1/{port}",
                "privileges": "grep NoNewPrivs /proc/self/status; unshare -Urm true && echo unshared",
                "bomb": f"exec /bin/sh -c '{BOMB}'",
                "after": "cat made; echo alive",
            },
        )
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()

    assert told["project"] == (0, f"{USER}\nok\n")
    assert told["home"][0] != 0
    assert (open_root / "home/notes.txt").read_text() == "of mine\n"
    assert told["system"][0] != 0
    assert CANARY not in told["secret"][1]
    assert "of mine" in told["secret"][1]
    assert told["settings"][0] != 0
    assert told["network"][0] != 0
    assert "NoNewPrivs:\t1" in told["privileges"][1]
    assert kind == "landlock" or "unshared" not in told["privileges"][1]
    assert "The sandbox allows 40 processes and threads." in told["bomb"][1]
    made, alive = told["after"][1].split()
    assert 10 < int(made) < 30_000
    assert alive == "alive"
    theirs = [one for one in psutil.process_iter(["uids"]) if one.info["uids"] and one.info["uids"].real == USER]
    _, alive = psutil.wait_procs(theirs, timeout=BOUND_S)  # those that are dead go when init has seen it
    assert alive == []
