"""Messages over HTTP: page by page, one by one, and removed."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr

from mimocode.wire.base import JsonObject
from support.system import QUESTION, System, prompt_of, system


async def conversation(running: System, count: int) -> tuple[str, list[str]]:
    """A session with so many messages, and their ids, oldest first."""
    session = await running.session()
    ids = [f"msg_{number:03}" for number in range(count)]
    for one in ids:
        await running.prompt(session, one, noReply=True, messageID=one)
    return session, ids


def ids_of(answer: httpx.Response) -> list[str]:
    return [message["info"]["id"] for message in answer.raise_for_status().json()]


async def test_without_a_limit_all_messages_come_oldest_first(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session, ids = await conversation(running, 5)

        answers = [await running.client.get(f"/session/{session}/message{query}") for query in ("", "?limit=0")]

    assert [ids_of(answer) for answer in answers] == [ids, ids]
    assert [{"link", "x-next-cursor"} & set(answer.headers) for answer in answers] == [set(), set()]


async def test_a_limit_gives_the_newest_and_a_cursor_leads_to_those_before(tmp_path: Path) -> None:
    pages: list[list[str]] = []
    async with system(tmp_path, "text: hi") as running:
        session, ids = await conversation(running, 7)

        answer = await running.client.get(f"/session/{session}/message?limit=3")
        first = answer
        pages.append(ids_of(answer))
        while cursor := answer.headers.get("x-next-cursor"):
            answer = await running.client.get(f"/session/{session}/message", params={"limit": 3, "before": cursor})
            pages.append(ids_of(answer))
        linked = await running.client.get(first.links["next"]["url"])

    assert pages == [ids[4:], ids[1:4], ids[:1]]
    assert ids_of(linked) == ids[1:4]
    assert first.headers["access-control-expose-headers"] == "Link, X-Next-Cursor"


async def test_the_cursor_is_spelled_as_opencode_does(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session, ids = await conversation(running, 2)

        answer = await running.client.get(f"/session/{session}/message?limit=1")

    cursor = answer.headers["x-next-cursor"]
    told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    [message] = answer.json()
    assert told == {"id": ids[1], "time": message["info"]["time"]["created"]}


@pytest.mark.parametrize("limit", [5, 6, 1_000_000])
async def test_a_page_that_holds_all_leads_nowhere(tmp_path: Path, limit: int) -> None:
    async with system(tmp_path, "text: hi") as running:
        session, ids = await conversation(running, 5)

        answer = await running.client.get(f"/session/{session}/message?limit={limit}")

    assert ids_of(answer) == ids
    assert {"link", "x-next-cursor"} & set(answer.headers) == set()


async def test_messages_that_come_while_somebody_pages_shift_nothing(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session, ids = await conversation(running, 4)
        first = await running.client.get(f"/session/{session}/message?limit=2")
        await running.prompt(session, "new", noReply=True)

        before = first.headers["x-next-cursor"]
        second = await running.client.get(f"/session/{session}/message", params={"limit": 2, "before": before})

    assert ids_of(first) + ids_of(second) == [ids[2], ids[3], ids[0], ids[1]]


def cursor_of(told: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=-1",
        "limit=1.5",
        "limit=99999999999999999999",
        f"before={cursor_of({'id': 'msg_1', 'time': 1})}",
        "limit=2&before=!",
        "limit=2&before=%C3%A9",
        "limit=2&before=W10",
        f"limit=2&before={cursor_of({'id': 'msg_1'})}",
        f"limit=2&before={cursor_of({'id': 'msg_1', 'time': 'x'})}",
        f"limit=2&before={cursor_of({'id': 'msg_1', 'time': 10**30})}",
        f"limit=2&before={cursor_of({'id': chr(0xD800), 'time': 1})}",
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_in_words(tmp_path: Path, query: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()

        answer = await running.client.get(f"/session/{session}/message?{query}")

    assert answer.status_code == 400
    assert answer.json() == {"name": "BadRequest", "data": {"message": IsStr(min_length=10), "kind": IsStr}}


async def test_one_message_is_what_the_list_has_and_an_unknown_one_is_not_found(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        other = await running.session()
        answer = await running.prompt(session)
        path = f"message/{answer['info']['id']}"

        found = await running.client.get(f"/session/{session}/{path}")
        elsewhere = await running.client.get(f"/session/{other}/{path}")
        unknown = await running.client.get(f"/session/{session}/message/msg_none")
        malformed = await running.client.get(f"/session/{session}/message/none")

    assert found.json() == answer
    assert (elsewhere.status_code, unknown.status_code, malformed.status_code) == (404, 404, 400)
    assert unknown.json() == {"name": "NotFoundError", "data": {"message": "Message not found: msg_none"}}
    assert malformed.json()["data"]["kind"] == "Params"


async def test_a_removed_message_is_gone_with_its_parts_and_the_removal_is_told(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi\n---\ntext: again") as running:
        session = await running.session()
        answer = await running.prompt(session)
        gone = answer["info"]["id"]

        removed = await running.client.delete(f"/session/{session}/message/{gone}")
        again = await running.client.delete(f"/session/{session}/message/{gone}")

        left = await running.messages(session)
        told = [event["properties"] for event in running.told.events if event["type"] == "message.removed"]
        parts = await running.app.queries.message(session, gone)
    assert (removed.status_code, removed.json(), again.status_code) == (200, True, 404)
    assert [message["info"]["role"] for message in left] == ["user"]
    assert told == [{"sessionID": session, "messageID": gone}]
    assert parts is None


async def test_a_removed_part_is_gone_and_its_neighbours_stay(tmp_path: Path) -> None:
    async with system(tmp_path, "think: hm\ntext: hi") as running:
        session = await running.session()
        answer = await running.prompt(session)
        path = f"/session/{session}/message/{answer['info']['id']}"
        thought = next(part for part in answer["parts"] if part["type"] == "reasoning")

        removed = await running.client.delete(f"{path}/part/{thought['id']}")
        again = await running.client.delete(f"{path}/part/{thought['id']}")

        left = (await running.client.get(path)).json()["parts"]
        told = [event["properties"] for event in running.told.events if event["type"] == "message.part.removed"]
    assert (removed.json(), again.status_code) == (True, 404)
    assert again.json()["data"]["message"] == f"Part not found: {thought['id']}"
    assert left == [part for part in answer["parts"] if part != thought]
    assert told == [{"sessionID": session, "messageID": answer["info"]["id"], "partID": thought["id"]}]


async def test_nothing_is_removed_under_a_turn_that_runs(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        async with running.prompting(session):
            await running.asked()
            prompt, step = await running.messages(session)
            path = f"/session/{session}/message"

            refused = [
                await running.client.delete(f"{path}/{prompt['info']['id']}"),
                await running.client.delete(f"{path}/{step['info']['id']}/part/{step['parts'][0]['id']}"),
            ]

            left = await running.messages(session)
            await running.answer("Red")
    busy = {"_tag": "SessionBusyError", "sessionID": session, "message": IsStr}
    assert [(answer.status_code, answer.json()) for answer in refused] == [(409, busy)] * 2
    assert [len(message["parts"]) for message in left] == [1, len(step["parts"])]


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b"{", "Body", "not JSON"),
        (b"", "Payload", "Missing "),
        (b"[]", "Payload", "got []\n  at the body itself"),
        (b"{}", "Payload", 'Missing key\n  at ["parts"]'),
        (b'{"parts": "hi"}', "Payload", 'got "hi"\n  at ["parts"]'),
        (b'{"parts": [{"type": "text"}]}', "Payload", '["text"]'),
        (b'{"parts": [{"type": "song", "text": "la"}]}', "Payload", '["parts"][0]'),
        (b'{"parts": [], "messageID": "nope"}', "Payload", '["messageID"]'),
        (b'{"parts": [], "format": {"type": "json_schema", "schema": {}, "retryCount": -1}}', "Payload", "retryCount"),
        (b'{"parts": [{"type": "file", "mime": "text/plain", "url": "ftp://x"}]}', "Payload", "data: or file:"),
        (b'{"parts": [{"type": "subtask", "prompt": "p", "description": "d", "agent": "a"}]}', "Payload", "subagents"),
    ],
)
@pytest.mark.parametrize("route", ["message", "prompt_async"])
async def test_a_prompt_that_makes_no_sense_is_refused_before_anything_is_stored(
    tmp_path: Path, route: str, body: bytes, kind: str, told: str
) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()

        answer = await running.client.post(f"/session/{session}/{route}", content=body)

        left = await running.messages(session)
        status = (await running.client.get("/session/status")).json()
    assert answer.status_code == 400
    assert answer.json() == {"name": "BadRequest", "data": {"message": IsStr, "kind": kind}}
    assert told in answer.json()["data"]["message"]
    assert (left, status) == ([], {})


async def test_a_prompt_of_no_parts_runs_as_it_does_at_opencode(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()

        answer = await running.client.post(f"/session/{session}/message", json={"parts": [], "extra": 1})

    assert answer.json()["parts"][1] == IsPartialDict(type="text", text="hi")


@pytest.mark.parametrize("message_id", ["msg_\u20ac", "msg_a\r\nx-evil: 1", "msg_a b/c?d", "msg_"])
async def test_whatever_a_client_calls_its_message_it_is_led_to_it(tmp_path: Path, message_id: str) -> None:
    async with system(tmp_path, "text: hi") as running:
        session = await running.session()
        body = prompt_of("x", messageID=message_id)

        at_once = await running.client.post(f"/session/{session}/prompt_async", json=body)
        answer = await running.client.post(f"/session/{session}/message", json=body)

        found = await running.client.get(at_once.headers["content-location"])
    assert at_once.status_code == 204
    assert at_once.content == b""
    assert "x-evil" not in at_once.headers
    assert answer.headers["content-location"] == at_once.headers["content-location"]
    assert answer.json()["info"]["parentID"] == message_id
    if "/" not in message_id:
        assert found.json()["info"]["id"] == message_id


async def test_half_a_surrogate_pair_of_a_model_harms_nothing(tmp_path: Path) -> None:
    script = 'call: bash {"command": "echo \\ud83d"}\ncall: nosuch {"x": ["\\udc00"]}\n---\ntext: done'
    async with system(tmp_path, script) as running:
        session = await running.session()

        answer = await running.prompt(session)

        messages = await running.messages(session)
    inputs = [part["state"]["input"] for part in messages[1]["parts"] if part["type"] == "tool"]
    assert text_of(answer["parts"]) == "done"
    assert inputs == [{"command": "echo ?"}, {"x": ["?"]}]


async def test_names_of_files_that_are_no_text_harm_nothing(tmp_path: Path) -> None:
    script = (
        'call: list {}\ncall: glob {"pattern": "*"}\ncall: bash {"command": "ls; printf \'\\\\377\'"}\n---\ntext: done'
    )
    async with system(tmp_path, script) as running:
        (Path(str(running.project)) / b"bad\xff.txt".decode(errors="surrogateescape")).touch()
        session = await running.session()

        answer = await running.prompt(session)

        messages = await running.messages(session)
    assert text_of(answer["parts"]) == "done"
    assert [part["state"]["status"] for part in messages[1]["parts"] if part["type"] == "tool"] == ["completed"] * 3


def text_of(parts: Sequence[JsonObject]) -> str:
    return "".join(part["text"] for part in parts if part["type"] == "text")
