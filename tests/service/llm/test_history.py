"""What a model reads of the stored history."""

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mimocode.wire.message import WithParts
from mimocode.wire.part import AgentPart, CompactionPart, FilePart
from support.model_calls import (
    WIRES,
    assistant,
    call,
    completed,
    errored,
    events,
    pending,
    registry_for,
    running,
    said,
    thought,
    tool,
    user,
)
from support.model_server import ModelServer

PIXEL = base64.b64encode(b"\x89PNG tiny").decode()
SEES = {"modalities": {"input": ["text", "image", "pdf"], "output": ["text"]}}


def file(mime: str, url: str, name: str | None = None) -> FilePart:
    return FilePart(id="prt_f", sessionID="ses_1", messageID="msg", mime=mime, url=url, filename=name)


@asynccontextmanager
async def asked(wire: str, history: list[WithParts], *, model: dict[str, Any] | None = None) -> AsyncGenerator[Any]:
    """The body of the request that a history makes."""
    async with ModelServer("each-prompt: yes\ntext: ok") as server:
        registry = registry_for(server, model=model)
        await events(registry, call(registry.resolve(wire, "m"), history, tools=()))
        await registry.aclose()
        yield server.requests[0].body


async def chat(*history: WithParts, model: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The messages of a chat completions request, without the system prompt."""
    async with asked("chat", list(history), model=model) as body:
        return body["messages"][1:]


async def test_texts_of_a_message_are_one_message() -> None:
    sent = await chat(user(1, "Look", said("(put in)", synthetic=True), said("not for you", ignored=True)))

    assert sent == [{"role": "user", "content": "Look\n\n(put in)"}]


async def test_a_tool_call_comes_with_its_result() -> None:
    step = assistant(2, "I look.", tool("bash", completed("a.txt", {"command": "ls"}), "call_7"))

    sent = await chat(user(1, "What is here?"), step, user(3, "Thanks"))

    assert sent == [
        {"role": "user", "content": "What is here?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {
                    "id": "call_7",
                    "type": "function",
                    "function": {"name": "bash", "arguments": '{"command":"ls"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_7", "content": '<data-6289aa9c from="bash">\na.txt\n</data-6289aa9c>'},
        {"role": "user", "content": "Thanks"},
    ]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (errored("No such file"), "No such file"),
        (running({"command": "make"}), "[Tool execution was interrupted]"),
        (pending(), "[Tool execution was interrupted]"),
        (completed("a thousand lines", compacted=5), "[Old tool result content cleared]"),
    ],
)
async def test_every_call_has_a_result(state: Any, told: str) -> None:
    sent = await chat(user(1, "Go"), assistant(2, tool("bash", state)), user(3, "And?"))

    results = [message["content"] for message in sent if message["role"] == "tool"]
    assert len(results) == 1
    assert told in results[0]


async def test_messages_without_words_are_left_out() -> None:
    history = [user(1, "Go"), assistant(2, finish=None), assistant(3, thought("hm")), user(4), user(5, "Still there?")]

    sent = await chat(*history)

    assert sent == [{"role": "user", "content": "Go"}, {"role": "user", "content": "Still there?"}]


async def test_steps_nobody_came_between_are_one_message() -> None:
    sent = await chat(user(1, "Go"), assistant(2, "One"), assistant(3, "Two"), user(4, "More"))

    assert [message["role"] for message in sent] == ["user", "assistant", "user"]


async def test_a_summary_answers_the_compaction() -> None:
    compaction = CompactionPart(id="prt_k", sessionID="ses_1", messageID="msg", auto=True)

    sent = await chat(user(1, compaction), assistant(2, "We built a house.", summary=True), user(3, "Paint it"))

    assert sent == [
        {"role": "user", "content": "What did we do so far?"},
        {"role": "assistant", "content": "We built a house."},
        {"role": "user", "content": "Paint it"},
    ]


async def test_a_named_agent_is_told() -> None:
    sent = await chat(user(1, "Ask", AgentPart(id="prt_a", sessionID="ses_1", messageID="msg", name="explore")))

    assert sent[0]["content"] == "Ask\n\n[The user asks for the agent explore.]"


async def test_images_go_to_models_that_see() -> None:
    sent = await chat(user(1, "See", file("image/png", f"data:image/png;base64,{PIXEL}", "a.png")), model=SEES)

    assert sent == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORyB0aW55"}},
            ],
        }
    ]


async def test_other_models_are_told_of_an_image() -> None:
    sent = await chat(user(1, "See", file("image/png", f"data:image/png;base64,{PIXEL}", "a.png")))

    assert "a.png" in sent[0]["content"]
    assert PIXEL not in sent[0]["content"]


async def test_text_files_are_read_unless_the_server_read_them() -> None:
    url = "data:text/plain;base64," + base64.b64encode(b"a + b").decode()
    attached = file("text/plain", url, "calc.py")

    alone = await chat(user(1, "Look", attached))
    explained = await chat(user(1, "Look", said("Read calc.py: a + b", synthetic=True), attached))

    assert alone[0]["content"] == 'Look\n\n<data-7733a8c3 from="calc.py">\na + b\n</data-7733a8c3>'
    assert explained[0]["content"] == "Look\n\nRead calc.py: a + b"


async def test_a_file_that_cannot_be_had_is_told() -> None:
    sent = await chat(user(1, file("image/png", "file:///gone.png", "gone.png")), model=SEES)

    assert (
        sent[0]["content"]
        == "[The user attached gone.png (image/png). You cannot see it: tell the user if it matters.]"
    )


@pytest.mark.parametrize("wire", WIRES)
async def test_what_a_tool_shows_reaches_a_model_that_sees(wire: str) -> None:
    shown = completed("Image read", attachments=[file("image/png", f"data:image/png;base64,{PIXEL}", "a.png")])
    history = [user(1, "See"), assistant(2, tool("read", shown), provider_id=wire)]

    async with asked(wire, history, model=SEES) as body:
        sent = str(body)

    assert PIXEL in sent
    assert "Image read" in sent


@pytest.mark.parametrize("wire", WIRES)
async def test_reasoning_of_another_provider_stays_away(wire: str) -> None:
    marks = {"provider": {"name": "elsewhere", "id": "r1", "signature": "c2VjcmV0"}}
    history = [user(1, "Go"), assistant(2, thought("deep", marks), "Done", provider_id="elsewhere"), user(3, "More")]

    async with asked(wire, history) as body:
        sent = str(body)

    assert "Done" in sent
    assert "deep" not in sent
    assert "c2VjcmV0" not in sent


async def test_arguments_that_were_no_json_do_not_break_the_next_call() -> None:
    broken = pending().but(raw='{"command": "l')

    sent = await chat(user(1, "Go"), assistant(2, tool("bash", broken)), user(3, "More"))

    assert sent[1]["tool_calls"][0]["function"]["name"] == "bash"
