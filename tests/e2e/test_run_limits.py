"""`mimo run` when time runs out, when it is interrupted, and when servers and pipes go away."""

import os
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import anyio
import pytest
from tests.service.cli.mimo import User, interrupt, result_of, started, user
from tests.service.client.fake import Exchange, fake
from tests.support.programs import BIN, Server, end_group, free_port, serving

WITHIN_S = 30
SESSION = {
    "id": "ses_1",
    "slug": "a-b",
    "projectID": "global",
    "directory": "/",
    "title": "T",
    "version": "1",
    "time": {"created": 1, "updated": 1},
}


@pytest.fixture
def someone(tmp_path: Path) -> User:
    return user(tmp_path)


async def never(exchange: Exchange) -> None:
    """A server that takes a prompt, gives one sign of life and no other."""
    match exchange.method, exchange.path:
        case "GET", "/global/health":
            await exchange.say({"healthy": True})
        case "POST", "/session":
            await exchange.say(SESSION)
        case "GET", "/event":
            await exchange.head(content_type="text/event-stream")
            await exchange.events({"id": "evt_1", "type": "server.connected", "properties": {}})
            await anyio.sleep_forever()
        case "POST", "/session/ses_1/message":
            await exchange.head()
            await exchange.send(b" ")
            await anyio.sleep_forever()
        case "POST", "/session/ses_1/abort":
            await exchange.say(True)
        case _:
            await exchange.say([])


async def test_silence_longer_than_the_idle_timeout_exits_with_3(someone: User) -> None:
    async with fake(never) as server:
        done = await someone.mimo("run", "--attach", server.url, "--idle-timeout", "1", "--format", "json", "hello")

    result = result_of(done.out)
    assert (done.code, result["status"], result["error"]["name"]) == (3, "timed_out", "IdleTimeout")
    assert server.posts("/abort") == []
    # The prompt is joined again while there is hope, and it is one prompt.
    assert len({one.body for one in server.posts("/message")}) == 1


async def test_beats_keep_the_idle_timeout_from_running_out(someone: User) -> None:
    model = someone.script("delay: 6500ms\ntext: At last.")

    done = await someone.mimo("run", "-m", model, "--idle-timeout", "3", "hello")

    assert (done.code, done.out) == (0, "At last.\n")


async def test_a_turn_over_its_budget_is_aborted_and_exits_with_3(someone: User) -> None:
    model = someone.script("text: Soon.\ndelay: 60s\ntext: Late.")

    done = await someone.mimo("run", "-m", model, "--turn-budget", "1.5", "--format", "json", "hello")

    result = result_of(done.out)
    assert (done.code, result["status"], result["error"]["name"]) == (3, "timed_out", "MessageAbortedError")
    exported = await someone.json("session", "export", result["sessionID"])
    assert exported["messages"][-1]["info"]["error"]["name"] == "MessageAbortedError"


async def test_the_first_interrupt_aborts_the_turn(someone: User) -> None:
    model = someone.script('call: bash {"command": "echo $$ > draft; mv draft pid; sleep 60", "description": "Wait"}')

    with started(someone, "run", "-m", model, "hello") as process:
        await until(someone.project / "pid")
        interrupt(process)
        out, err = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=WITHIN_S))

    assert (process.returncode, out) == (130, "")
    assert "Aborting the turn" in err
    with pytest.raises(ProcessLookupError):
        os.kill(int((someone.project / "pid").read_text()), 0)


async def test_the_second_interrupt_leaves_at_once(someone: User) -> None:
    async with fake(never) as server:
        with started(someone, "run", "--attach", server.url, "hello") as process:
            await server.posted("/message")
            interrupt(process)
            await server.posted("/abort")
            interrupt(process)
            await anyio.to_thread.run_sync(lambda: process.communicate(timeout=WITHIN_S))

    assert process.returncode == 130


async def test_a_terminated_run_leaves_its_turn_to_be_gone_on_with(someone: User) -> None:
    model = someone.script('call: bash {"command": "touch begun; sleep 60", "description": "Wait"}\n---\ntext: After.')
    with started(someone, "run", "-m", model, "hello") as process:
        await until(someone.project / "begun")
        process.send_signal(signal.SIGTERM)
        await anyio.to_thread.run_sync(lambda: process.communicate(timeout=WITHIN_S))
    [session] = await someone.json("session", "list")

    done = await someone.mimo("run", "-s", session["id"])

    assert process.returncode == 128 + signal.SIGTERM
    assert (done.code, done.out) == (0, "After.\n")


async def test_an_inherited_pipe_that_nobody_writes_to_does_not_hang(someone: User) -> None:
    reader, writer = os.pipe()
    try:
        with started(someone, "run", "-m", someone.script("text: Here."), "hello", stdin=reader) as process:
            out, _ = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=WITHIN_S))
    finally:
        os.close(reader)
        os.close(writer)

    assert (process.returncode, out) == (0, "Here.\n")


async def test_a_reader_that_leaves_is_no_error(someone: User) -> None:
    model = someone.script("text: First.\n---\ntext: Second.")
    command = f"{BIN / 'mimo'} run -m {model} hello; echo $? > code"

    shell = ["bash", "-c", f"({command}) | true"]
    done = subprocess.run(shell, check=False, cwd=someone.project, env=someone.env, capture_output=True, timeout=60)

    assert b"Traceback" not in done.stderr
    assert b"Broken" not in done.stderr
    assert (someone.project / "code").read_text() == "141\n"


async def test_a_restarted_server_is_joined_again(someone: User) -> None:
    port = free_port()
    model = someone.script(ASKING)
    url = f"http://127.0.0.1:{port}"

    with serve(someone, port, "first.log"):
        process = someone.start(
            "run", "--attach", url, "-p", "secret", "--format", "json", "--answer", "Yes", "-m", model, "hello"
        )
        await until(someone.project / "begun")
    try:
        with serve(someone, port, "second.log"):
            out, err = await anyio.to_thread.run_sync(lambda: process.communicate(timeout=WITHIN_S))
            exported = await someone.json("session", "export", result_of(out)["sessionID"], "-p", "secret")
    finally:
        end_group(process.pid)

    assert (process.returncode, result_of(out)["text"]) == (0, "You said Yes.")
    assert "joining again" in err
    assert sum(message["info"]["role"] == "user" for message in exported["messages"]) == 1


async def test_runs_at_the_same_time_share_one_server_and_none_cuts_off_another(someone: User) -> None:
    slow = someone.script(TOUCHING.format(seconds=3), "slow")
    first = someone.script(TOUCHING.format(seconds=1), "first")
    with started(someone, "run", "-m", first, "hello") as host:
        await until(someone.project / "begun")
        (someone.project / "begun").unlink()
        with started(someone, "run", "-m", slow, "hello") as guest:
            outs = [
                await anyio.to_thread.run_sync(lambda p=process: p.communicate(timeout=WITHIN_S))
                for process in (guest, host)
            ]

    assert [(process.returncode, out) for process, (out, _) in zip((guest, host), outs, strict=True)] == [
        (0, "Rested.\n"),
        (0, "Rested.\n"),
    ]


async def test_a_run_takes_over_when_the_one_it_was_the_guest_of_is_killed(someone: User) -> None:
    host_model = someone.script(TOUCHING.format(seconds=60), "host")
    guest_model = someone.script("text: One.\ndelay: 2s\ntext: Two.", "guest")

    with started(someone, "run", "-m", host_model, "hello") as host:
        await until(someone.project / "begun")
        with started(someone, "run", "--format", "json", "-m", guest_model, "hello") as guest:
            await anyio.to_thread.run_sync(lambda: guest.stdout and guest.stdout.readline())
            end_group(host.pid, grace_s=0)
            out, err = await anyio.to_thread.run_sync(lambda: guest.communicate(timeout=WITHIN_S))

    assert guest.returncode == 0, err
    assert result_of(out)["status"] == "done"
    assert "takes the turn over" in err


ASKING = """
call: bash {"command": "touch begun; sleep 2", "description": "Begin"}
---
call: question {"questions": [{"question": "Ready?", "header": "Q", "options": [{"label": "Yes", "description": ""}]}]}
---
text: You said {{answer}}.
"""

TOUCHING = """
call: bash {{"command": "touch begun; sleep {seconds}", "description": "Rest"}}
---
text: Rested.
"""


def serve(someone: User, port: int, log: str) -> AbstractContextManager[Server]:
    return serving(
        [BIN / "mimo", "serve", "--port", str(port)],
        name="mimo",
        url=f"http://127.0.0.1:{port}",
        directory=someone.project,
        env=someone.env | {"MIMOCODE_SERVER_PASSWORD": "secret"},
        log=someone.root / log,
        authorization="Bearer secret",
    )


async def until(path: Path) -> None:
    """Waits for a file that another process makes."""
    with anyio.fail_after(WITHIN_S):
        while not path.exists():  # noqa: ASYNC110  another process makes it
            await anyio.sleep(0.02)
