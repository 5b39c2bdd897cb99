"""Commands: their output in order, their end, and the end of everything they started."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import psutil
import pytest
from anyio import to_thread

from mimocode.errors import ToolFailed
from mimocode.tools.bash import Bash
from mimocode.tools.output import MAX_BYTES, MAX_LINES, Spill
from mimocode.tools.registry import toolbox
from mimocode.turn.ports import Done, Progress

from .conftest import BOUND_S, Bench, until_gone

TIME_RAN_OUT = "The command was ended when its time ran out, after {} ms."


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Servers run on uvloop, which starts and reaps processes its own way."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


def watcher(wanted: str) -> tuple[Callable[[Progress], Awaitable[None]], anyio.Event, list[str]]:
    """A progress callback, an event that is set when the output shown has `wanted`, and all outputs shown."""
    seen, outputs = anyio.Event(), list[str]()

    async def progress(shown: Progress) -> None:
        outputs.append(shown.metadata["output"])
        if wanted in outputs[-1]:
            seen.set()

    return progress, seen, outputs


async def cancelled_when_shown(bench: Bench, command: str, wanted: str) -> str:
    """Runs the command, cancels it once `wanted` was shown; gives the last output shown."""
    progress, seen, outputs = watcher(wanted)

    with anyio.fail_after(BOUND_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bench.tools["bash"].ready({"command": command}).run, bench.call(progress=progress))
            await seen.wait()
            tasks.cancel_scope.cancel()
    return outputs[-1]


async def test_output_and_errors_come_in_the_order_they_were_written(bench: Bench) -> None:
    done = await bench.run("bash", command="echo one; echo two >&2; echo three", description="Count")

    expected = {"output": "one\ntwo\nthree\n", "exit": 0, "description": "Count", "truncated": False}
    assert Done("one\ntwo\nthree\n", "echo one; echo two >&2; echo three", expected) == done


async def test_a_command_that_says_nothing_is_said_to_say_nothing(bench: Bench) -> None:
    done = await bench.run("bash", command="exit 3")

    assert done.output == "(no output)"
    assert done.metadata == {"output": "(no output)", "exit": 3, "description": "", "truncated": False}


async def test_a_command_ended_by_a_signal_has_the_code_shells_give(bench: Bench) -> None:
    done = await bench.run("bash", command="kill -9 $$")

    assert done.metadata["exit"] == 128 + signal.SIGKILL


async def test_a_command_runs_in_its_directory_without_input_or_secrets(bench: Bench, tmp_path: Path) -> None:
    (bench.project / "sub").mkdir()
    environ = {"PATH": os.environ["PATH"], "OPENAI_API_KEY": "k", "MIMOCODE_SERVER_PASSWORD": "p", "LC_ALL": "C"}
    tools = toolbox(human=bench.person, todos=bench.lists, spill=tmp_path / "s", environ=environ)
    command = 'basename "$PWD"; cat; echo "$LC_ALL,$OPENAI_API_KEY,$MIMOCODE_SERVER_PASSWORD"'

    done = await tools["bash"].ready({"command": command, "workdir": "sub"}).run(bench.call())

    assert done.output == "sub\nC,,\n"


@pytest.mark.parametrize("command", ["echo a\0b", "echo " + "x" * 3_000_000], ids=["NUL", "huge"])
async def test_a_command_that_cannot_be_started_is_said(bench: Bench, command: str) -> None:
    with pytest.raises(ToolFailed, match="cannot be started"):
        await bench.run("bash", command=command)


async def test_a_directory_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(ToolFailed, match=r"nowhere is not a directory"):
        await bench.run("bash", command="ls", workdir="nowhere")


async def test_bytes_that_are_no_text_do_no_harm(bench: Bench) -> None:
    done = await bench.run("bash", command=r"printf 'a\377b\000c\n'")

    assert done.output == "a�b�c\n"


@pytest.mark.timeout(BOUND_S)
async def test_output_is_shown_while_it_comes(bench: Bench) -> None:
    gate = bench.project / "gate"
    os.mkfifo(gate)
    progress, seen, outputs = watcher("early")
    done: list[Done] = []
    ready = bench.tools["bash"].ready({"command": "echo early; read line < gate; echo $line"})

    async def open_gate() -> None:
        await seen.wait()
        await to_thread.run_sync(gate.write_text, "go\n")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(open_gate)
        done.append(await ready.run(bench.call(progress=progress)))

    assert [each.output for each in done] == ["early\ngo\n"]
    assert outputs[:2] == ["", "early\n"]


async def test_a_torrent_is_shown_in_few_steps_and_kept_in_a_file(bench: Bench) -> None:
    done = await bench.run("bash", command="seq 1 100000")

    path = Path(done.metadata["outputPath"])
    assert path.read_text() == "".join(f"{number}\n" for number in range(1, 100_001))
    assert path.parent == bench.spill
    assert path.stat().st_mode & 0o777 == 0o600
    assert done.metadata["truncated"] is True
    assert done.output.startswith("1\n2\n3\n")
    assert "\n99999\n100000\n" in done.output
    assert str(path) in done.output
    assert "100,000 lines, 588,895 bytes" in done.output
    assert len(done.output.encode()) < MAX_BYTES + 1024
    assert done.output.count("\n") < MAX_LINES + 20
    assert len(bench.shown) < 50
    assert all(len(shown.metadata["output"]) <= 30_010 for shown in bench.shown)


async def test_many_short_lines_are_cut_too(bench: Bench) -> None:
    done = await bench.run("bash", command="yes '' | head -n 3000")

    assert Path(done.metadata["outputPath"]).read_text() == "\n" * 3000
    assert "3,000 lines, 3,000 bytes" in done.output


async def test_time_that_runs_out_ends_the_command_and_keeps_its_output(bench: Bench) -> None:
    done = await bench.run("bash", command="echo $$; exec sleep 600", timeout=1000)

    pid = int(done.output.split()[0])
    until_gone(pid)
    assert done.metadata["exit"] is None
    assert f"{pid}\n\n\n<shell_metadata>\n{TIME_RAN_OUT.format(1000)}" in done.output


async def test_a_command_that_ignores_the_wish_to_end_is_killed(bench: Bench) -> None:
    done = await bench.run("bash", command="trap '' TERM; echo $$; while :; do sleep 600; done", timeout=500)

    until_gone(int(done.output.split()[0]))
    assert TIME_RAN_OUT.format(500) in done.output


@pytest.mark.parametrize(
    "command",
    [
        "sh -c 'sh -c \"echo \\$\\$; echo both; exec sleep 600\" & echo $$; wait' & echo $$; wait",
        "sh -c 'trap \"\" TERM; echo $$; echo both; while :; do sleep 600; done' & echo $$; wait",
    ],
    ids=["children of children", "a child that ignores the wish to end"],
)
async def test_cancelling_ends_the_command_and_everything_it_started(bench: Bench, command: str) -> None:
    shown = await cancelled_when_shown(bench, command, "both")

    pids = [int(pid) for pid in re.findall(r"\d+", shown)]
    assert len(pids) >= 2
    for pid in pids:
        until_gone(pid)


async def test_what_still_holds_the_output_after_the_end_is_ended_and_hangs_nothing(bench: Bench) -> None:
    with anyio.fail_after(BOUND_S):
        done = await bench.run("bash", command="sleep 600 & echo $!")

    until_gone(int(done.output.split()[0]))
    assert done.metadata["exit"] == 0
    assert "still held its output" in done.output


async def test_what_let_go_of_the_output_may_go_on(bench: Bench) -> None:
    done = await bench.run("bash", command="sleep 600 > /dev/null 2>&1 & echo $!")

    left = psutil.Process(int(done.output))
    try:
        assert left.is_running()
        assert "<shell_metadata>" not in done.output
    finally:
        left.kill()


async def test_what_a_command_leaves_in_the_pipe_at_its_end_is_read(bench: Bench) -> None:
    done = await bench.run("bash", command="head -c 40000 /dev/zero | tr '\\0' 'x'")

    assert done.output == "x" * 40_000


def test_a_command_dies_with_the_server(tmp_path: Path) -> None:
    program = f"""
import anyio, pathlib
from mimocode.tools.process import run_group

async def sink(chunk):
    print(chunk.decode(), end="", flush=True)

anyio.run(lambda: run_group(
    ["/bin/sh", "-c", "trap '' TERM; sleep 600 & echo $! $$; wait"],
    directory=pathlib.Path({str(tmp_path)!r}), environ={{"PATH": {os.environ["PATH"]!r}}}, timeout_s=600, sink=sink,
))
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        child, shell = map(int, server.stdout.readline().split())

        server.kill()

    until_gone(child)
    until_gone(shell)


async def test_no_time_given_means_the_default(bench: Bench, tmp_path: Path) -> None:
    impatient = Bash(Spill(tmp_path), timeout_ms=300)

    done = await impatient.ready({"command": "exec sleep 600"}).run(bench.call())

    assert TIME_RAN_OUT.format(300) in done.output


async def test_a_failing_watcher_ends_the_command(bench: Bench) -> None:
    async def progress(shown: Progress) -> None:
        if shown.metadata["output"]:
            raise ToolFailed(shown.metadata["output"])

    with pytest.raises(ToolFailed) as failed:
        await bench.tools["bash"].ready({"command": "echo $$; exec sleep 600"}).run(bench.call(progress=progress))

    until_gone(int(str(failed.value)))
