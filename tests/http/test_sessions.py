"""Sessions over HTTP: made, found, changed, ended, removed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.wire.base import JsonObject
from support.system import QUESTION, System, prompt_of, system

BARE = {
    "id": IsStr(regex="ses_[0-9a-f]{12}[0-9A-Za-z]{14}"),
    "slug": IsStr(regex="[a-z]+-[a-z]+"),
    "projectID": "global",
    "directory": IsStr,
    "path": IsStr,
    "cost": 0,
    "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}},
    "title": IsStr(regex=r"New session - \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
    "version": IsStr(regex=r"\d+\.\d+\.\d+"),
    "time": {"created": IsInt, "updated": IsInt},
}
UNKNOWN = "ses_000000000000aaaaaaaaaaaaaa"
NOT_FOUND = {"name": "NotFoundError", "data": {"message": f"Session not found: {UNKNOWN}"}}


async def made(running: System, body: JsonObject | None = None, *, at: Path | None = None) -> JsonObject:
    headers = {"x-opencode-directory": str(at)} if at else {}
    answer = await running.client.post("/session", json=body, headers=headers)
    return answer.raise_for_status().json()


async def listed(running: System, **query: Any) -> list[str]:
    answer = await running.client.get("/session", params=query)
    return [session["title"] for session in answer.raise_for_status().json()]


# ── making and finding ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b'{"unknown": 1}'])
async def test_a_session_is_made_without_a_word(tmp_path: Path, content: bytes) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.post("/session", content=content)

        found = (await running.client.get(f"/session/{answer.json()['id']}")).json()
    assert answer.status_code == 200
    assert answer.json() == {**BARE, "directory": str(running.project)}
    assert found == answer.json()


async def test_a_session_keeps_all_it_is_made_with(tmp_path: Path) -> None:
    rules = [{"permission": "question", "pattern": "*", "action": "deny"}]
    given = {
        "title": "Mine",
        "agent": "plan",
        "model": {"id": "demo", "providerID": "rehearsal"},
        "metadata": {"any": [1, {"thing": None}]},
        "permission": rules,
    }
    async with system(tmp_path, "text: hi") as running:
        session = await made(running, given)

    assert session == {**BARE, **given, "metadata": IsPartialDict(any=[1, IsPartialDict()])}


async def test_a_child_works_where_its_parent_does(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with system(tmp_path, "text: hi") as running:
        parent = await made(running)
        child = await made(running, {"parentID": parent["id"]}, at=elsewhere)

        children = (await running.client.get(f"/session/{parent['id']}/children")).json()
    assert (child["directory"], child["parentID"]) == (parent["directory"], parent["id"])
    assert child["title"].startswith("Child session - ")
    assert children == [child]


@pytest.mark.parametrize(
    ("content", "kind", "told"),
    [
        (b"{", "Body", "not JSON"),
        (b"\xff\xfe{}", "Body", "not JSON"),
        (b"[]", "Payload", "dict"),
        (b'{"title": 5}', "Payload", '["title"]'),
        (b'{"permission": [{"permission": "x", "pattern": "*", "action": "maybe"}]}', "Payload", '["action"]'),
        (b'{"title": "\\ud800"}', "Body", "surrogate pair"),
    ],
)
async def test_a_body_that_makes_no_sense_is_refused_in_words(
    tmp_path: Path, content: bytes, kind: str, told: str
) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.post("/session", content=content, headers={"content-type": "application/json"})

        left = await listed(running)
    assert answer.status_code == 400
    assert answer.json() == {"name": "BadRequest", "data": {"message": IsStr, "kind": kind}}
    assert told in answer.json()["data"]["message"]
    assert left == []


async def test_an_unknown_parent_is_not_found(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.post("/session", json={"parentID": UNKNOWN})

    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


async def test_the_list_is_narrowed_by_what_its_query_says(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    async with system(tmp_path, "text: hi") as running:
        first = await made(running, {"title": "Apples 100%"})
        second = await made(running, {"title": "Pears"})
        await made(running, {"title": "Seeds", "parentID": second["id"]})
        await made(running, {"title": "Far"}, at=there)
        await running.client.patch(f"/session/{first['id']}", json={"time": {"archived": 5}})
        start = (await running.client.get(f"/session/{first['id']}")).json()["time"]["updated"]

        found = {
            "all of this directory": await listed(running),
            "of another": await listed(running, directory=str(there)),
            "roots": await listed(running, roots="true"),
            "search": await listed(running, search="APPLE"),
            "search for a wildcard": await listed(running, search="%"),
            "limit": await listed(running, limit=1),
            "limit 0": await listed(running, limit=0),
            "start": await listed(running, start=start),
            "start as JavaScript says it": await listed(running, start=f"{start}.5"),
            "project": set(await listed(running, scope="project")),
        }

    assert found == {
        "all of this directory": ["Apples 100%", "Seeds", "Pears"],
        "of another": ["Far"],
        "roots": ["Apples 100%", "Pears"],
        "search": ["Apples 100%"],
        "search for a wildcard": ["Apples 100%"],
        "limit": ["Apples 100%"],
        "limit 0": [],
        "start": ["Apples 100%"],
        "start as JavaScript says it": ["Apples 100%"],
        "project": {"Apples 100%", "Seeds", "Pears", "Far"},
    }


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=1e9", "limit=99999999999999999999", "start=nan"])
async def test_a_query_that_makes_no_sense_is_refused_in_words(tmp_path: Path, query: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        answer = await running.client.get(f"/session?{query}")

    assert answer.status_code == 400
    assert answer.json()["data"] == {"message": IsStr, "kind": "Query"}
    assert answer.json()["data"]["message"].endswith(f'at ["{query.partition("=")[0]}"]')


# ── changing and removing ────────────────────────────────────────────────────────────────────────────────


async def test_a_patch_changes_what_it_names_and_is_told(tmp_path: Path) -> None:
    rule = {"permission": "bash", "pattern": "*", "action": "ask"}
    more = {"permission": "edit", "pattern": "*", "action": "deny"}
    async with system(tmp_path, "text: hi") as running:
        before = await made(running, {"permission": [rule], "metadata": {"a": 1}})
        path = f"/session/{before['id']}"

        renamed = (await running.client.patch(path, json={"title": "New", "time": {"archived": 5}})).json()
        ruled = (await running.client.patch(path, json={"permission": [more]})).json()
        restored = (await running.client.patch(path, json={"time": {"archived": None}, "metadata": {"b": 2}})).json()

        told = await running.told.until("session.updated", lambda told: told["info"] == restored)
    changed = {**before, "title": "New", "time": IsPartialDict(archived=5, created=before["time"]["created"])}
    assert renamed == changed
    assert ruled == {**changed, "permission": [rule, more]}
    assert restored == {**ruled, "metadata": {"b": 2}, "time": {"created": IsInt, "updated": IsInt}}
    assert told["sessionID"] == before["id"]


async def test_a_change_that_cannot_be_stored_is_refused_and_the_server_goes_on(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()

        refused = await running.client.patch(f"/session/{session}", json={"time": {"archived": 10**30}})
        with anyio.fail_after(10):
            changed = await running.client.patch(f"/session/{session}", json={"title": "still here"})

    assert refused.status_code == 400
    assert changed.json() == IsPartialDict(title="still here")


async def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    rules = [{"permission": "bash", "pattern": f"cmd{number} *", "action": "allow"} for number in range(20)]
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        async with task_group() as group:
            for rule in rules:
                group.start_soon(patched, running, session, {"permission": [rule]})

        found = (await running.client.get(f"/session/{session}")).json()
    assert sorted(rule["pattern"] for rule in found["permission"]) == sorted(rule["pattern"] for rule in rules)


async def renamed(running: System, session: str, title: str) -> None:
    """It may be gone meanwhile."""
    assert (await running.client.patch(f"/session/{session}", json={"title": title})).status_code in (200, 404)


async def patched(running: System, session: str, body: JsonObject) -> None:
    (await running.client.patch(f"/session/{session}", json=body)).raise_for_status()


async def test_a_deleted_session_is_gone_with_its_family_and_stays_so(tmp_path: Path) -> None:
    async with system(tmp_path, "title: Late\ntext: hi") as running:
        parent = await running.session()
        child = await running.session(parentID=parent)
        grandchild = await running.session(parentID=child)
        async with task_group() as group:
            await running.prompt(parent)
            for number in range(10):
                group.start_soon(renamed, running, parent, f"Renamed {number}")
            deleted = await running.client.delete(f"/session/{parent}")
            again = await running.client.delete(f"/session/{parent}")

        left = [(await running.client.get(f"/session/{one}")).status_code for one in (parent, child, grandchild)]
        listed_now = await listed(running)
        told = [event["properties"]["sessionID"] for event in running.told.events if event["type"] == "session.deleted"]
    assert (deleted.status_code, deleted.json(), again.status_code) == (200, True, 404)
    assert left == [404] * 3
    assert listed_now == []
    assert sorted(told) == sorted([parent, child, grandchild])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("DELETE", "", None),
        ("GET", "/children", None),
        ("GET", "/todo", None),
        ("GET", "/message", None),
        ("GET", "/message/msg_1", None),
        ("DELETE", "/message/msg_1", None),
        ("DELETE", "/message/msg_1/part/prt_1", None),
        ("POST", "/message", prompt_of("x")),
        ("POST", "/prompt_async", prompt_of("x")),
        ("POST", "/shell", {"agent": "build", "command": "ls"}),
        ("POST", "/summarize", {"providerID": "rehearsal", "modelID": "demo"}),
    ],
)
async def test_an_unknown_session_is_not_found_and_a_bad_id_is_refused(
    tmp_path: Path, method: str, path: str, body: JsonObject | None
) -> None:
    async with system(tmp_path, "text: hi") as running:
        unknown = await running.client.request(method, f"/session/{UNKNOWN}{path}", json=body)
        bad = await running.client.request(method, f"/session/nope{path}", json=body)

    assert (unknown.status_code, unknown.json()) == (404, NOT_FOUND)
    assert bad.status_code == 400
    assert bad.json()["data"] == {"message": IsStr, "kind": "Params"}
    assert bad.json()["data"]["message"].endswith('at ["sessionID"]')


# ── status, abort, todo ──────────────────────────────────────────────────────────────────────────────────


async def test_the_status_lists_the_busy_and_an_abort_returns_when_all_is_written(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        idle, busy = await running.session(), await running.session()
        async with running.prompting(busy) as answers:
            await running.asked()
            before = (await running.client.get("/session/status")).json()

            aborted = await running.client.post(f"/session/{busy}/abort")

            after = (await running.client.get("/session/status")).json()
            messages = await running.messages(busy)
        also = [(await running.client.post(f"/session/{one}/abort")).json() for one in (idle, busy, UNKNOWN)]
    assert before == {busy: {"type": "busy"}}
    assert (aborted.status_code, aborted.json()) == (200, True)
    assert after == {}
    assert messages[-1] == answers[0]
    assert answers[0]["info"]["error"] == {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
    assert also == [True, True, True]


async def test_a_prompt_sent_while_an_abort_ends_its_turn_is_neither_aborted_nor_waited_for(tmp_path: Path) -> None:
    script = "each-prompt: yes\nprompt: hang\ntext: so far\nhang:\n\nprompt: next" + QUESTION
    async with system(tmp_path, script) as running:
        session = await running.session()
        slow = await running.app.subscribe(None)  # whose events hold up the turn's end for a while
        async with running.prompting(session, "hang") as aborted:
            await running.told.until("message.part.delta")
            async with task_group() as group:
                group.start_soon(running.client.post, f"/session/{session}/abort")
                await running.told.until("session.error")
                body = prompt_of("next", messageID="msg_next")
                (await running.client.post(f"/session/{session}/prompt_async", json=body)).raise_for_status()
        slow.close()
        # The abort has returned, and so has the prompt it ended; the one after it still waits for an answer.
        await running.answer("Red")
        with anyio.fail_after(20):
            later = await running.prompt(session, "next", messageID="msg_next")

    assert aborted[0]["info"]["error"]["name"] == "MessageAbortedError"
    assert "error" not in later["info"]
    assert later["parts"][1]["text"] == "You said Red."


async def test_todos_are_what_the_model_wrote_last(tmp_path: Path) -> None:
    def todos(*contents: str) -> Sequence[JsonObject]:
        return [{"content": one, "status": "pending", "priority": "high"} for one in contents]

    call = 'call: todowrite {{"todos": [{0}]}}\n---\n'
    item = '{{"content": "{0}", "status": "pending", "priority": "high"}}'
    script = call.format(item.format("one")) + call.format(f"{item.format('two')}, {item.format('three')}") + "text: ok"
    async with system(tmp_path, script) as running:
        session = await running.session()
        before = (await running.client.get(f"/session/{session}/todo")).json()
        await running.prompt(session)

        after = (await running.client.get(f"/session/{session}/todo")).json()
        told = [event["properties"] for event in running.told.events if event["type"] == "todo.updated"]
    assert before == []
    assert after == todos("two", "three")
    assert told == [
        {"sessionID": session, "todos": todos("one")},
        {"sessionID": session, "todos": todos("two", "three")},
    ]
