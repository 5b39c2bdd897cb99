"""Undo and redo over HTTP: files as they were, messages hidden, and both brought back."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from dirty_equals import IsPartialDict, IsStr

from mimocode.wire.base import JsonObject
from support.killed import killed
from support.repositories import files_of, repository, written
from support.system import System, prompt_of, system
from support.watching import needs_inotify, queues

GIVEN = {"kept.txt": "kept\n", "gone.txt": "gone\n"}
WRITES = """
call: write {"filePath": "a.txt", "content": "one\\n"}
---
call: bash {"command": "echo two > b.txt && echo more >> kept.txt && rm gone.txt", "description": "x"}
---
text: done
"""
DONE = {"a.txt": "one\n", "b.txt": "two\n", "kept.txt": "kept\nmore\n"}
APPENDS = "---".join(
    f'\ncall: bash {{"command": "echo line >> kept.txt; echo > made-{number}", "description": "x"}}\n---\ntext: done\n'
    for number in range(1, 5)
)
"""Each of four turns appends a line, and makes a file."""
CUT_SHORT = 'call: bash {"command": "echo half > half.txt; echo is $((40 + 2)); sleep 600", "description": "x"}\n'
HALF = {**GIVEN, "half.txt": "half\n"}
ALLOWED = {"permission": "allow"}


@asynccontextmanager
async def in_repository(scratch: Path, script: str = WRITES, **more: Any) -> AsyncGenerator[System]:
    if not (scratch / "project").exists():
        repository(scratch / "project", GIVEN)
    config = {**ALLOWED, **more.pop("config", {})}
    async with system(scratch, script, config=config, **more) as running:
        yield running


async def posted(running: System, session: str, what: str, status: int = 200, **body: Any) -> JsonObject:
    answer = await running.client.post(f"/session/{session}/{what}", json=body or None)
    assert answer.status_code == status, answer.text
    return answer.json()


async def prompts(running: System, session: str) -> list[str]:
    return [one["info"]["id"] for one in await running.messages(session) if one["info"]["role"] == "user"]


async def diff_of(running: System, session: str, **query: str) -> list[JsonObject]:
    answer = await running.client.get(f"/session/{session}/diff", params=query)
    return answer.raise_for_status().json()


# ── what a turn leaves behind ────────────────────────────────────────────────────────────────────────────


async def test_steps_that_write_carry_their_states_and_what_they_changed(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)

        asked, first, second, last = await running.messages(session)
        at = str(running.project)
    tree = IsStr(regex="[0-9a-f]{40}")
    assert [part["type"] for part in first["parts"]] == ["step-start", "tool", "step-finish", "patch"]
    assert (first["parts"][0], first["parts"][2]) == (IsPartialDict(snapshot=tree), IsPartialDict(snapshot=tree))
    assert first["parts"][3] == IsPartialDict(hash=first["parts"][0]["snapshot"], files=[f"{at}/a.txt"])
    changed = [f"{at}/b.txt", f"{at}/gone.txt", f"{at}/kept.txt"]
    assert second["parts"][3] == IsPartialDict(hash=first["parts"][2]["snapshot"], files=changed)
    assert [part.get("snapshot") for part in last["parts"]] == [None, None, None]
    told = [
        (one["file"], one["additions"], one["deletions"], one["status"]) for one in asked["info"]["summary"]["diffs"]
    ]
    assert told == [
        ("a.txt", 1, 0, "added"),
        ("b.txt", 1, 0, "added"),
        ("gone.txt", 0, 1, "deleted"),
        ("kept.txt", 1, 0, "modified"),
    ]


@needs_inotify
async def test_a_served_worktree_is_watched_once_a_turn_writes_and_until_the_server_ends(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        before = queues()
        await running.prompt(session)
        with anyio.fail_after(30):
            while queues() == 0:
                await anyio.lowlevel.checkpoint()
        during = queues()

    assert (before, during, queues()) == (0, 1, 0)


async def test_a_worktree_is_not_watched_where_that_is_switched_off(tmp_path: Path) -> None:
    async with in_repository(tmp_path, env={"MIMOCODE_SNAPSHOT_WATCH": "off"}) as running:
        assert running.app.directories.snapshots.share is None


async def test_a_session_says_what_it_did_to_the_files(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)

        told = await running.told.until("session.diff")
        found = (await running.client.get(f"/session/{session}")).json()
        whole = await diff_of(running, session)
        (prompt,) = await prompts(running, session)
        of_prompt = await diff_of(running, session, messageID=prompt)
    assert found["summary"] == {"additions": 3, "deletions": 1, "files": 4}
    assert told == {"sessionID": session, "diff": whole}
    assert of_prompt == whole


async def test_a_turn_that_writes_nothing_takes_no_state(tmp_path: Path) -> None:
    async with in_repository(tmp_path, 'call: read {"filePath": "kept.txt"}\n---\ntext: done\n') as running:
        session = await running.session()
        await running.prompt(session)

        found = await running.messages(session)
        stores = [*(Path(running.env["MIMOCODE_HOME"]) / "data").glob("snapshot/*")]
        told = await diff_of(running, session)
    assert [part.get("snapshot") for one in found for part in one["parts"]] == [None] * 7
    assert stores == []
    assert told == []


@pytest.mark.parametrize("query", [{}, {"messageID": "msg_000000000000aaaaaaaaaaaaaa"}])
async def test_an_unknown_session_or_message_has_no_diff(tmp_path: Path, query: dict[str, str]) -> None:
    async with system(tmp_path, "text: hi") as running:
        told = await diff_of(running, "ses_000000000000aaaaaaaaaaaaaa", **query)

    assert told == []


# ── back and forth ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_reverted_prompt_takes_its_files_back_and_unrevert_brings_them_again(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)
        (prompt,) = await prompts(running, session)

        back = await posted(running, session, "revert", messageID=prompt)
        reverted = files_of(running.project)
        hidden = await diff_of(running, session)
        again = await posted(running, session, "unrevert")
        restored = files_of(running.project)
        messages = await running.messages(session)
    assert reverted == GIVEN
    assert back["revert"] == {"messageID": prompt, "snapshot": IsStr(regex="[0-9a-f]{40}"), "diff": IsStr}
    assert "\n-more" in back["revert"]["diff"]
    assert [one["file"] for one in hidden] == ["a.txt", "b.txt", "gone.txt", "kept.txt"]
    assert restored == DONE
    assert "revert" not in again
    assert len(messages) == 4


async def test_the_next_prompt_drops_what_was_reverted(tmp_path: Path) -> None:
    async with in_repository(tmp_path, APPENDS) as running:
        session = await running.session()
        await running.prompt(session, "first")
        await running.prompt(session, "second")
        before = await running.messages(session)
        _, second = await prompts(running, session)
        await posted(running, session, "revert", messageID=second)

        await running.prompt(session, "third")

        after = await running.messages(session)
        found = (await running.client.get(f"/session/{session}")).json()
        removed = [event["properties"] for event in running.told.events if event["type"] == "message.removed"]
        files = files_of(running.project)
    assert [one["info"]["id"] for one in after[:3]] == [one["info"]["id"] for one in before[:3]]
    assert [one["parts"][0].get("text") for one in after if one["info"]["role"] == "user"] == ["first", "third"]
    assert removed == [{"sessionID": session, "messageID": one["info"]["id"]} for one in before[3:]]
    assert "revert" not in found
    assert files["kept.txt"] == "kept\nline\nline\n"
    assert found["summary"] == {"additions": 4, "deletions": 0, "files": 3}


async def test_undo_goes_further_back_and_redo_step_by_step_forward(tmp_path: Path) -> None:
    async with in_repository(tmp_path, APPENDS) as running:
        session = await running.session()
        for text in ("first", "second", "third"):
            await running.prompt(session, text)
        first, second, third = await prompts(running, session)
        seen: list[dict[str, str]] = []

        for prompt in (third, second, first, second, third):
            await posted(running, session, "revert", messageID=prompt)
            seen.append(files_of(running.project))
        await posted(running, session, "unrevert")
        seen.append(files_of(running.project))
    after = [
        {**GIVEN, "kept.txt": "kept\n" + "line\n" * turns, **{f"made-{number}": "\n" for number in range(1, turns + 1)}}
        for turns in (2, 1, 0, 1, 2, 3)
    ]
    assert seen == after


async def test_what_others_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)
        (prompt,) = await prompts(running, session)
        written(running.project, {"mine": "before the undo\n"})

        await posted(running, session, "revert", messageID=prompt)
        written(running.project, {"mine": "after the undo\n", "more": "of mine\n"})
        await posted(running, session, "unrevert")

        files = files_of(running.project)
    assert files == {**DONE, "mine": "after the undo\n", "more": "of mine\n"}


async def test_a_reverted_step_goes_with_its_prompt_and_a_part_alone(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)
        asked, first, second, _ = await running.messages(session)

        whole = await posted(running, session, "revert", messageID=second["info"]["id"])
        patch = first["parts"][3]
        rest = await posted(running, session, "revert", messageID=first["info"]["id"], partID=patch["id"])
        kept = files_of(running.project)
        await running.prompt(session, "go on")

        after = await running.messages(session)
    assert whole["revert"]["messageID"] == asked["info"]["id"]
    assert rest["revert"] == IsPartialDict(messageID=first["info"]["id"], partID=patch["id"])
    assert kept == GIVEN
    assert after[1]["parts"] == first["parts"][:3]
    assert after[2]["parts"][0]["text"] == "go on"


@pytest.mark.parametrize("what", ["revert", "unrevert"])
async def test_a_session_whose_turn_runs_is_not_reverted(tmp_path: Path, what: str) -> None:
    async with in_repository(tmp_path, 'call: bash {"command": "sleep 600", "description": "x"}\n') as running:
        session = await running.session()
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))
        await running.until_busy(session)
        (prompt,) = await prompts(running, session)

        told = await posted(running, session, what, 409, messageID=prompt)
        await posted(running, session, "abort")
    assert told == IsPartialDict(_tag="SessionBusyError", sessionID=session)


async def test_what_is_not_there_cannot_be_reverted(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        unknown = "msg_000000000000aaaaaaaaaaaaaa"

        told = await posted(running, session, "revert", 404, messageID=unknown)
        same = await posted(running, session, "unrevert")
    assert told == {"name": "NotFoundError", "data": {"message": f"Message not found: {unknown}"}}
    assert same["id"] == session


# ── when it does not go as planned ───────────────────────────────────────────────────────────────────────


async def test_what_an_aborted_command_wrote_can_be_undone(tmp_path: Path) -> None:
    async with in_repository(tmp_path, CUT_SHORT) as running:
        session = await running.session()
        async with running.prompting(session):
            await running.told.until("message.part.updated", lambda told: "is 42" in str(told["part"]))
            await posted(running, session, "abort")
        (prompt,) = await prompts(running, session)
        before = files_of(running.project)

        await posted(running, session, "revert", messageID=prompt)

        after = files_of(running.project)
    assert before == HALF
    assert after == GIVEN


async def test_what_a_killed_server_had_changed_can_be_undone(tmp_path: Path) -> None:
    repository(tmp_path / "project", GIVEN)
    script = f"{CUT_SHORT}---\ntext: done\n"
    sent = {"path": "prompt_async", "body": prompt_of("go")}
    session = await killed(tmp_path, script, sent, until="is 42", config=ALLOWED)
    async with in_repository(tmp_path, script) as running:
        (prompt,) = await prompts(running, session)
        with anyio.fail_after(30):
            turn = await running.app.runner.turn_of(session, prompt)
            assert turn is not None
            await turn.answer()
            while running.app.sessions.statuses:  # the turn is over; a moment later its lane is empty
                await anyio.lowlevel.checkpoint()
        before = files_of(running.project)

        await posted(running, session, "revert", messageID=prompt)

        after = files_of(running.project)
    assert before == HALF
    assert after == GIVEN


async def test_outside_of_a_repository_only_messages_are_reverted(tmp_path: Path) -> None:
    written(tmp_path / "project", GIVEN)
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)
        (prompt,) = await prompts(running, session)

        back = await posted(running, session, "revert", messageID=prompt)

        files = files_of(running.project)
    assert back["revert"] == {"messageID": prompt}
    assert files == DONE


async def test_switched_off_nothing_is_taken(tmp_path: Path) -> None:
    async with in_repository(tmp_path, config={"snapshot": False}) as running:
        session = await running.session()
        await running.prompt(session)
        (prompt,) = await prompts(running, session)

        back = await posted(running, session, "revert", messageID=prompt)

        files = files_of(running.project)
    assert back["revert"] == {"messageID": prompt}
    assert files == DONE


async def test_files_whose_states_are_gone_are_left_and_that_is_said(tmp_path: Path) -> None:
    async with in_repository(tmp_path) as running:
        session = await running.session()
        await running.prompt(session)
        (prompt,) = await prompts(running, session)
        for store in (Path(running.env["MIMOCODE_HOME"]) / "data/snapshot").iterdir():
            shutil.rmtree(store)

        told = await posted(running, session, "revert", 503, messageID=prompt)

        files = files_of(running.project)
    assert told == IsPartialDict(name="UnavailableError")
    assert "is not there any more: they are kept for 30 days" in told["data"]["message"]
    assert files == DONE
