"""The same request, sent again, joins the turn it started: by id, by key, as an announced retry, across restarts."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from dirty_equals import IsPartialDict, IsStr

from mimocode.asgi.group import task_group
from mimocode.server.http import asgi
from mimocode.server.listen import listening
from mimocode.session import joining
from support.system import QUESTION, System, prompt_of, system

SHELL = {"agent": "build", "command": "echo once >> ran"}
ROUTES = [
    ("message", prompt_of("go"), prompt_of("stop")),
    ("shell", SHELL, {**SHELL, "command": "echo twice >> ran"}),
    ("command", {"command": "init", "arguments": ""}, {"command": "init", "arguments": "now"}),
    (
        "summarize",
        {"providerID": "rehearsal", "modelID": "demo"},
        {"providerID": "rehearsal", "modelID": "demo", "auto": True},
    ),
]
RETRY = {"x-stainless-retry-count": "1"}


@pytest.mark.parametrize(("path", "body", "other"), ROUTES)
async def test_a_key_gives_the_stored_answer_byte_for_byte_also_after_a_restart(
    tmp_path: Path, path: str, body: dict[str, Any], other: dict[str, Any]
) -> None:
    key = {"idempotency-key": "7f3c-order-1"}
    async with system(tmp_path, "text: one\n---\ntext: two") as running:
        session = await running.session()
        first = await running.client.post(f"/session/{session}/{path}", json=body, headers=key)
        messages = await running.messages(session)
        again = await running.client.post(f"/session/{session}/{path}", json=body, headers=key)

    async with system(tmp_path, "text: one\n---\ntext: two") as running:
        restarted = await running.client.post(f"/session/{session}/{path}", json=body, headers=key)
        refused = await running.client.post(f"/session/{session}/{path}", json=other, headers=key)
        after = await running.messages(session)

    assert first.status_code == 200
    assert [again.content.lstrip(), restarted.content.lstrip()] == [first.content.lstrip()] * 2
    assert again.headers["content-location"] == first.headers["content-location"]
    assert after == messages
    assert refused.status_code == 409
    assert "7f3c-order-1" in refused.json()["data"]["message"]


async def test_a_key_joins_a_running_turn(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        bodies = await _both(running, session, {"idempotency-key": "k"}, {"idempotency-key": "k"})
        messages = await running.messages(session)

    assert bodies[0] == bodies[1]
    assert [message["info"]["role"] for message in messages] == ["user", "assistant", "assistant"]


async def test_a_key_belongs_to_its_session(tmp_path: Path) -> None:
    async with system(tmp_path, "text: one") as running:
        answers: list[str] = []
        for _ in range(2):
            session = await running.session()
            answered = await running.client.post(
                f"/session/{session}/message", json=prompt_of("go"), headers={"idempotency-key": "k"}
            )
            answers.append(answered.json()["info"]["sessionID"])

    assert answers[0] != answers[1]


async def test_a_key_of_one_route_is_refused_by_another(tmp_path: Path) -> None:
    async with system(tmp_path, "text: one") as running:
        session, key = await running.session(), {"idempotency-key": "k"}
        await running.client.post(f"/session/{session}/message", json=prompt_of("go"), headers=key)

        refused = await running.client.post(f"/session/{session}/shell", json=SHELL, headers=key)

    assert refused.status_code == 409
    assert not (running.project / "ran").exists()


async def test_prompts_with_keys_stay_in_the_order_they_were_sent(tmp_path: Path) -> None:
    async with system(tmp_path, "text: one\n---\ntext: two\n---\ntext: three") as running:
        session = await running.session()
        for key in ("zz", "aa", "mm"):
            await running.client.post(
                f"/session/{session}/message", json=prompt_of(key), headers={"idempotency-key": key}
            )
        asked = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert [one["parts"][0]["text"] for one in sorted(asked, key=lambda one: one["info"]["id"])] == ["zz", "aa", "mm"]


async def test_a_key_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with system(tmp_path, "text: one") as running:
        session = await running.session()

        refused = await running.client.post(
            f"/session/{session}/message", json=prompt_of("go"), headers={"idempotency-key": "k" * 256}
        )
        messages = await running.messages(session)

    assert refused.status_code == 400
    assert refused.json()["data"] == {"message": IsStr(regex=".*256 characters.*255.*"), "kind": "Headers"}
    assert messages == []


async def test_a_key_makes_prompt_async_one_prompt(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        places = [
            (
                await running.client.post(
                    f"/session/{session}/prompt_async", json=prompt_of("go"), headers={"idempotency-key": "k"}
                )
            ).headers["content-location"]
            for _ in range(2)
        ]
        await running.client.post(f"/session/{session}/abort")
        users = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert places[0] == places[1]
    assert len(users) == 1


async def test_an_announced_retry_joins_the_first_while_it_runs(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        bodies = await _both(running, session, {"x-stainless-retry-count": "0"}, RETRY)
        users = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert bodies[0] == bodies[1]
    assert len(users) == 1


async def test_an_announced_retry_joins_a_turn_that_went_on_after_a_restart(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))
        await running.asked()

    async with system(tmp_path, QUESTION) as running:
        answers: list[httpx.Response] = []

        async def retry() -> None:
            answers.append(
                await running.client.post(f"/session/{session}/message", json=prompt_of("go"), headers=RETRY)
            )

        async with task_group() as group:
            group.start_soon(retry)
            await running.answer("Blue")
        users = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert answers[0].json()["info"]["finish"] == "stop"
    assert len(users) == 1


async def test_an_announced_retry_that_comes_just_after_the_end_gets_the_same_answer(tmp_path: Path) -> None:
    async with system(tmp_path, "text: first\n---\ntext: second") as running:
        session = await running.session()
        path = f"/session/{session}/message"
        first = await running.client.post(path, json=prompt_of("go"), headers={"x-stainless-retry-count": "0"})
        again = await running.client.post(path, json=prompt_of("go"), headers=RETRY)
        users = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert again.content.strip() == first.content.strip()
    assert len(users) == 1


async def test_a_retry_long_after_the_end_or_of_another_body_is_a_prompt_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "RETRIED_WITHIN_MS", -60_000)
    async with system(tmp_path, f"text: first\n---\n{QUESTION}") as running:
        session = await running.session()
        await running.prompt(session, "go")
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"), headers=RETRY)
        await running.asked()
        await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("stop"), headers=RETRY)
        await running.client.post(f"/session/{session}/abort")
        users = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert [one["parts"][0]["text"] for one in users] == ["go", "go", "stop"]


async def test_a_retry_of_what_was_said_before_the_last_prompt_is_a_prompt_of_its_own(tmp_path: Path) -> None:
    async with system(tmp_path, "text: first\n---\ntext: second\n---\ntext: third") as running:
        session = await running.session()
        await running.prompt(session, "go")
        await running.prompt(session, "stop")
        await running.client.post(f"/session/{session}/message", json=prompt_of("go"), headers=RETRY)
        users = [one for one in await running.messages(session) if one["info"]["role"] == "user"]

    assert [one["parts"][0]["text"] for one in users] == ["go", "stop", "go"]


async def test_content_location_gives_the_answer_to_who_prefers_to_wait(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()
        posted = await running.client.post(f"/session/{session}/message", json=prompt_of("go"))
        place = posted.headers["content-location"]

    async with system(tmp_path, "text: hello") as running:
        beating = await running.client.get(place, headers={"prefer": "wait"})
        within = await running.client.get(place, headers={"prefer": "wait=30"})
        plain = await running.client.get(place)

    assert beating.content.lstrip() == within.content == posted.content.lstrip()
    assert beating.headers["preference-applied"] == "wait"
    assert within.headers["preference-applied"] == "wait=30"
    assert within.headers["content-location"] == place
    assert plain.json()["info"]["role"] == "user"


async def test_who_waits_for_a_turn_by_get_sees_it_beat(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION) as running, _served(running) as client:
        session = await running.session()
        place = await _begun(running, session)
        with anyio.fail_after(30):
            async with client.stream("GET", place, headers={"prefer": "wait"}) as response:
                chunks = response.aiter_raw()
                seen = b""
                while len(seen) < 3:
                    seen += await anext(chunks)
                await running.answer("Blue")
                body = b"".join([chunk async for chunk in chunks])

    assert seen.strip() == b""
    assert json.loads(body)["info"] == IsPartialDict(role="assistant", finish="stop")


@pytest.mark.parametrize("seconds", ["0", "1"])
async def test_when_the_seconds_have_passed_the_location_says_where_to_wait_on(tmp_path: Path, seconds: str) -> None:
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        place = await _begun(running, session)

        sent_away = await running.client.get(place, headers={"prefer": f"wait={seconds}"})
        still = await running.asked()
        await running.answer("Blue")
        answered = await running.client.get(sent_away.headers["location"], headers={"prefer": "wait=30"})

    assert sent_away.status_code == 202
    assert sent_away.headers["location"] == place
    assert sent_away.headers["preference-applied"] == f"wait={seconds}"
    assert sent_away.json() == {"sessionID": session, "messageID": place.rpartition("/")[2]}
    assert still["sessionID"] == session
    assert answered.json()["info"]["finish"] == "stop"


async def test_respond_async_sends_away_at_once_and_the_answer_is_where_it_said(tmp_path: Path) -> None:
    async with system(tmp_path, QUESTION, env={"MIMOCODE_ON_DISCONNECT": "abort"}) as running:
        session = await running.session()
        accepted = await running.client.post(
            f"/session/{session}/message", json=prompt_of("go"), headers={"prefer": "respond-async"}
        )
        place = accepted.headers["location"]
        await running.answer("Blue")
        answered = await running.client.get(place, headers={"prefer": "wait=30"})
        again = await running.client.post(
            f"/session/{session}/message", json=prompt_of("go", messageID=place.rpartition("/")[2])
        )

    assert accepted.status_code == 202
    assert accepted.headers["preference-applied"] == "respond-async"
    assert answered.json()["info"]["finish"] == "stop"
    # The body had no messageID, so this is another one under the same id.
    assert again.status_code == 409


async def test_a_post_that_prefers_to_wait_gets_the_answer_without_a_beat(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()

        answered = await running.client.post(
            f"/session/{session}/message", json=prompt_of("go"), headers={"prefer": 'respond-async, wait="30"'}
        )

    assert answered.status_code == 200
    assert answered.content.startswith(b"{")
    assert answered.headers["preference-applied"] == "wait=30"


@pytest.mark.parametrize("wait", ["wait=soon", "wait=-1", "wait=1e3", "wait=99999999999", "return=minimal"])
async def test_a_preference_that_makes_no_sense_is_passed_over(tmp_path: Path, wait: str) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()

        answered = await running.client.post(
            f"/session/{session}/message", json=prompt_of("go"), headers={"prefer": wait}
        )
        prompt = await running.client.get(answered.headers["content-location"], headers={"prefer": wait})

    assert answered.status_code == 200
    assert answered.content.startswith(b" ")
    assert "preference-applied" not in answered.headers
    assert prompt.json()["info"]["role"] == "user"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        (["heartbeat=3"], "heartbeat=3"),
        (["heartbeat=0.03"], "heartbeat=0.03"),
        (["heartbeat=0.001"], None),  # not as fast as that
        (["heartbeat=soon"], None),
        (["return=minimal", 'Heartbeat="60"; strict'], "heartbeat=60"),
        (["wait, heartbeat=3"], "wait, heartbeat=3"),
        (["wait=30", "heartbeat=3"], "wait=30"),  # no beat comes before an answer that is waited for
    ],
)
async def test_what_was_applied_of_several_preferences_is_named(
    tmp_path: Path, prefer: list[str], applied: str | None
) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()

        answered = await running.client.post(
            f"/session/{session}/message", json=prompt_of("go"), headers=[("prefer", line) for line in prefer]
        )

    assert (answered.status_code, answered.headers.get("preference-applied")) == (200, applied)


WAITING_ROUTES = pytest.mark.parametrize(
    ("path", "body"),
    [
        ("message", prompt_of("go")),
        ("command", {"command": "init", "arguments": ""}),
        ("shell", {"agent": "build", "command": "while [ ! -e release ]; do sleep 0.02; done"}),
        ("summarize", {"providerID": "rehearsal", "modelID": "SCRIPT"}),
    ],
)


@WAITING_ROUTES
async def test_every_route_that_waits_for_a_turn_can_be_told_how_to_wait(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    """`wait=0` and `respond-async` send the client away; the place then says the same, and gives the answer."""
    async with system(tmp_path, QUESTION) as running:
        session = await running.session()
        if path != "shell":
            await _begun(running, session)  # what follows waits for its turn to begin
        if path == "summarize":
            body = {**body, "modelID": str(tmp_path / "home" / "script.rehearsal")}
        key = {"idempotency-key": "the same"}

        async def send(prefer: str) -> httpx.Response:
            return await running.client.post(f"/session/{session}/{path}", json=body, headers={**key, "prefer": prefer})

        first, again = await send("respond-async"), await send("wait=0")
        place = first.headers["location"]
        polled = await running.client.get(place, headers={"prefer": "respond-async"})
        await running.client.post(f"/session/{session}/abort")
        answered = await running.client.get(place, headers={"prefer": "wait=30"})

    sent_away = [(one.status_code, one.headers["preference-applied"]) for one in (first, again, polled)]
    assert sent_away == [(202, "respond-async"), (202, "wait=0"), (202, "respond-async")]
    assert {one.headers["location"] for one in (first, again, polled)} == {place}
    assert (answered.status_code, answered.headers["preference-applied"]) == (200, "wait=30")


async def test_a_client_that_leaves_while_it_prefers_to_wait_aborts_where_the_operator_wants_it_so(
    tmp_path: Path,
) -> None:
    async with (
        system(tmp_path, QUESTION, env={"MIMOCODE_ON_DISCONNECT": "abort"}) as running,
        _served(running) as client,
    ):
        session = await running.session()
        async with task_group() as group:
            group.start_soon(
                lambda: client.post(
                    f"/session/{session}/message", json=prompt_of("go"), headers={"prefer": "wait=3600"}
                )
            )
            await running.asked()
            group.cancel_scope.cancel()
        await running.told.until("session.idle")
        messages = await running.messages(session)

    assert messages[-1]["info"]["error"]["name"] == "MessageAbortedError"


async def test_a_message_that_is_no_prompt_is_given_at_once_whatever_is_preferred(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        session = await running.session()
        answer = await running.prompt(session)
        path = f"/session/{session}/message/{answer['info']['id']}"

        given = await running.client.get(path, headers={"prefer": "wait"})
        unknown = await running.client.get(f"/session/{session}/message/msg_none", headers={"prefer": "wait"})

    assert given.json() == answer
    assert unknown.status_code == 404


async def _begun(running: System, session: str) -> str:
    """Where the answer of a turn that waits for a human will be."""
    begun = await running.client.post(f"/session/{session}/prompt_async", json=prompt_of("go"))
    await running.asked()
    return begun.headers["content-location"]


async def _both(running: System, session: str, first: dict[str, str], second: dict[str, str]) -> list[bytes]:
    """The JSON that two requests of the same body get, the second sent while the first one's turn waits."""
    bodies: list[bytes] = []

    async def send(headers: dict[str, str]) -> None:
        answered = await running.client.post(f"/session/{session}/message", json=prompt_of("go"), headers=headers)
        bodies.append(answered.raise_for_status().content.lstrip())

    with anyio.fail_after(30):
        async with task_group() as group:
            group.start_soon(send, first)
            await running.asked()
            async with running.client.stream(
                "POST", f"/session/{session}/message", json=prompt_of("go"), headers=second
            ) as joined:
                chunks = joined.aiter_raw()
                seen = await anext(chunks)
                await running.answer("Blue")
                bodies.append((seen + b"".join([chunk async for chunk in chunks])).lstrip())
    return bodies


@asynccontextmanager
async def _served(running: System) -> AsyncGenerator[httpx.AsyncClient]:
    """The same application on a real socket."""
    async with listening(asgi(running.app, password=None)) as place:
        async with httpx.AsyncClient(base_url=place.url, timeout=30) as client:
            yield client
