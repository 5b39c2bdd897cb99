"""Commands try to reach other processes out of their sandbox, to use the machine up, and to last, on a real one."""

import ctypes
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import psutil
import pytest
from tests.service.tools.conftest import BOUND_S

from mimocode.sandbox import group, numbers
from mimocode.sandbox.policy import Limits, Policy
from mimocode.turn.ports import Progress
from support.confined import CANARY, Place, only

# ── other processes ──────────────────────────────────────────────────────────────────────────────────────

TRACE = """
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
class Vec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(8)
print("attached" if libc.ptrace(16, pid, 0, 0) == 0 else "no")
print("seized" if libc.ptrace(0x4206, pid, 0, 0) == 0 else "no")
here, there = Vec(ctypes.addressof(buffer), 8), Vec(int(sys.argv[2]), 8)
print("read" if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0 else "no")
try:
    os.kill(pid, 15)
    print("killed")
except OSError:
    print("no")
"""


async def test_other_processes_cannot_be_traced_read_or_killed(at: Place) -> None:
    seen = ctypes.create_string_buffer(CANARY.encode())
    (at.project / "trace.py").write_text(TRACE)
    with subprocess.Popen(["sleep", "600"]) as other:
        try:
            traced = await at.run(f"python3 trace.py {other.pid} 4096")
            read = await at.run(f"python3 trace.py {os.getppid()} {ctypes.addressof(seen)} | head -n 3")

            assert traced.output == "no\n" * 4
            assert read.output == "no\n" * 3
            assert other.poll() is None
        finally:
            other.kill()


async def test_privileges_are_gone_and_none_can_be_had(at: Place) -> None:
    done = await at.run(
        "grep -E 'NoNewPrivs|CapEff' /proc/self/status; mount -t tmpfs none $TMPDIR && echo mounted; "
        "chroot / true && echo chrooted; unshare -Urm true && echo unshared; su nobody -s /bin/true && echo other"
    )

    assert "NoNewPrivs:\t1" in done.output
    assert not {"mounted", "chrooted", "other"} & set(done.output.split())
    if at.kind == "bubblewrap":
        assert "CapEff:\t0000000000000000" in done.output
        assert "unshared" not in done.output.split()


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────


BOMB = """
import os, time
made = 0
try:
    while made < 3000:
        if os.fork() == 0:
            time.sleep(600)
        made += 1
    time.sleep(600)
except OSError as error:
    print(made, error, flush=True)
    raise SystemExit(1)
"""
EXPLOSION = "b() { b | b & }; b; sleep 600"
STREAM = "for n in $(seq 1000); do sleep 600 & done; wait"


@pytest.fixture(params=["as this machine does", "by the largest number of a namespace", "by counting"])
def means(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, at: Place) -> str:
    """How processes are limited."""
    if request.param != "as this machine does":
        if os.geteuid() != 0:
            pytest.skip("whoever is not root has the limit of its user")
        monkeypatch.setattr(group, "parents", dict[str, Path])
    if request.param == "by the largest number of a namespace":
        if at.kind == "landlock":
            pytest.skip("Landlock makes no namespace")
        if not numbers.usable():
            pytest.skip("the kernel has one for the whole machine: Linux before 6.14")
    if request.param == "by counting":
        monkeypatch.setattr(numbers, "usable", bool)
    return request.param


async def test_a_fork_bomb_is_bounded_and_gone_afterwards(at: Place, means: str) -> None:
    bomb = at.project / "bomb.py"
    bomb.write_text(BOMB)
    small = at.under(Policy(mode="on", limits=Limits(processes=40)))

    counted = await small.run("python3 bomb.py")
    # What only counting bounds may be quicker than the counting, and would leave other tests no processes.
    exploded = await small.run(STREAM if means == "by counting" else EXPLOSION, timeout=1500)
    after = await small.run("echo alive")

    if "ended: it was more processes" not in counted.output:
        least = 0 if "pids" in group.limited() else 301  # the kernel keeps some, and a user's limit counts others too
        assert int(counted.output.split()[0]) < 40 + least or os.geteuid() != 0
        assert "The sandbox allows 40 processes and threads." in counted.output
    if means != "as this machine does":
        assert (means == "by counting") == ("ended: it was more processes" in counted.output)
    assert exploded.metadata["exit"] != 0
    assert after.output == "alive\n"
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(bomb) in " ".join(one.info["cmdline"] or [])]
    assert not working_in(at.project)


def working_in(directory: Path) -> list[int]:
    """Live processes."""
    return [one.pid for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(directory)]


async def test_the_limit_of_a_namespace_cannot_be_lifted_from_inside_and_is_not_the_machines(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(at, "bubblewrap", "makes no namespace")
    if not numbers.usable():
        pytest.skip("not root, or the kernel has one for the whole machine: Linux before 6.14")
    monkeypatch.setattr(group, "parents", dict[str, Path])
    file = Path("/proc/sys/kernel/pid_max")
    before = file.read_text()

    done = await at.under(Policy(mode="on", limits=Limits(processes=100))).run(f"echo 4000 > {file}; cat {file}")

    assert done.output.splitlines()[-1] == "400"
    assert file.read_text() == before


WITHIN_CGROUP_2 = """
import os, subprocess, sys
subprocess.run(["mount", "-t", "cgroup2", "none", "/sys/fs/cgroup"], check=True)
from mimocode.sandbox import group
from mimocode.sandbox.policy import Limits
made = group.made(Limits(processes=20, memory=100 << 20))
if made is None:
    sys.exit("of cgroup v2 there are only these: " + open("/sys/fs/cgroup/cgroup.controllers").read().strip())
held = subprocess.Popen(["/bin/sh", "-c", "read -r _; for _ in $(seq 40); do sleep 600 & done"], stdin=subprocess.PIPE)
made.take(held.pid)
held.communicate(b"\\n")
print(len(made.members()))
made.end()
print(made.folders[0].exists())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a tree of control groups")
def test_a_group_of_the_newer_version_bounds_processes_too() -> None:
    ran = subprocess.run(
        ["unshare", "-m", sys.executable, "-c", WITHIN_CGROUP_2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "of cgroup v2 there are only these" in ran.stderr or "mount" in ran.stderr:
        pytest.skip(f"no limits by cgroup v2 on this machine: {ran.stderr.strip().splitlines()[-1]}")

    assert ran.stdout.split() == ["20", "False"]


def test_groups_that_dead_servers_left_are_removed_and_those_of_others_stay() -> None:
    place = next((path for kind, path in group.parents().items() if kind == "pids"), None)
    if place is None:
        pytest.skip("no control group can be made on this machine")
    with subprocess.Popen(["true"]) as dead:
        pass
    left, used = place / f"mimocode-{dead.pid}-left", place / f"mimocode-{os.getpid()}-used"
    left.mkdir()
    used.mkdir()
    try:
        group.parents.cache_clear()
        group.parents()

        assert (left.exists(), used.exists()) == (False, True)
    finally:
        used.rmdir()


async def test_memory_is_bounded(at: Place) -> None:
    small = at.under(Policy(mode="on", limits=Limits(memory=100 * 1024**2)))

    done = await small.run("python3 -c 'print(len(bytearray(b\"x\" * (400 << 20))))'")

    assert "419430400" not in done.output
    assert "The sandbox allows 100 MB of memory." in done.output


async def test_output_without_end_fills_neither_memory_nor_disk(at: Place) -> None:
    before = psutil.Process().memory_info().rss

    done = await at.run("yes 0123456789abcdef", timeout=2000)

    path = Path(done.metadata["outputPath"])
    assert done.metadata["exit"] is None
    assert len(done.output) < 60_000
    assert path.stat().st_size <= 65 * 1024 * 1024
    assert psutil.Process().memory_info().rss - before < 100 * 1024 * 1024


async def test_the_time_that_may_be_asked_for_is_bounded(at: Place) -> None:
    short = at.under(Policy(mode="on", limits=Limits(seconds=1)))

    done = await short.run("trap '' TERM; while :; do sleep 600; done", timeout=600_000)

    assert "after 1000 ms" in done.output


# ── lasting ──────────────────────────────────────────────────────────────────────────────────────────────


def sleeping(seconds: int) -> list[psutil.Process]:
    """Live processes, seen from outside, that sleep for so long."""
    return [
        one
        for one in psutil.process_iter(["cmdline", "status"])
        if (one.info["cmdline"] or [])[-2:] in (["sleep", str(seconds)], ["/bin/sleep", str(seconds)])
        and one.info["status"] != psutil.STATUS_ZOMBIE
    ]


def gone(seconds: int) -> None:
    """Returns when none of them lives any more."""
    _, alive = psutil.wait_procs(sleeping(seconds), timeout=BOUND_S)
    assert alive == []


BEHIND = {
    "in the background": "sleep {n} > /dev/null 2>&1 &",
    "in a session of its own": "setsid sleep {n} > /dev/null 2>&1 < /dev/null &",
    "twice removed": "(setsid sh -c 'nohup sleep {n} > /dev/null 2>&1 & exit' &)",
    "without its environment": "(env -i setsid /bin/sleep {n} > /dev/null 2>&1 &)",
    "deaf": "setsid sh -c 'trap \"\" TERM HUP INT; sleep {n}; sleep {n}' > /dev/null 2>&1 &",
}


@pytest.mark.parametrize("how", BEHIND)
async def test_nothing_that_a_command_started_outlives_it(at: Place, how: str) -> None:
    if at.kind == "landlock" and how == "without its environment" and not group.limited():
        pytest.skip("Landlock without a control group does not find it, which is said at start")
    number = 100_000 + os.getpid() % 10_000 * 10 + list(BEHIND).index(how)

    done = await at.run(
        f"{BEHIND[how].format(n=number)}\nuntil pgrep -f '^(/bin/)?sleep {number}$' > /dev/null; do :; done; echo there"
    )

    gone(number)
    assert done.output == "there\n"


@pytest.mark.parametrize("how", ["its time", "a cancellation"])
async def test_whatever_ends_a_command_ends_all_of_it(at: Place, how: str) -> None:
    number = 300_000 + os.getpid() % 100_000
    command = f"setsid sleep {number} > /dev/null 2>&1 & trap '' TERM; echo begun; while :; do sleep {number}; done"
    begun = anyio.Event()

    async def progress(shown: Progress) -> None:
        if "begun" in shown.metadata["output"]:
            begun.set()

    with anyio.fail_after(BOUND_S):
        if how == "its time":
            await at.run(command, progress=progress, timeout=1000)
        else:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(at.run, command, progress=progress))
                await begun.wait()
                tasks.cancel_scope.cancel()

    assert begun.is_set()
    gone(number)


def test_a_command_dies_with_the_server(at: Place) -> None:
    number = 400_000 + os.getpid() % 100_000
    command = f"trap '' TERM; setsid sleep {number} & setsid sleep {number} > /dev/null & echo begun; sleep {number}"
    program = f"""
import sys; sys.path[:0] = {sys.path!r}
from functools import partial
from pathlib import Path
import anyio
from support.confined import Place
async def progress(shown):
    print(shown.metadata["output"], flush=True)
anyio.run(partial(Place({at.kind!r}, Path({str(at.root)!r})).run, {command!r}, progress=progress))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert any("begun" in line for line in iter(server.stdout.readline, ""))
        started = psutil.Process(server.pid).children(recursive=True)

        server.kill()
        _, alive = psutil.wait_procs(started, timeout=BOUND_S)

    assert alive == []
    assert sleeping(number) == []
    assert [*Path("/sys/fs/cgroup").rglob(f"mimocode-{server.pid}-*")] == []
