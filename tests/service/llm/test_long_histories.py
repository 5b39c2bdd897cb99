"""A long history is put into a provider's shape as a short one is, and nobody else waits for it."""

import asyncio
import importlib
import json
import pkgutil
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mimocode.llm.aside import SHORT, computed
from mimocode.wire.message import WithParts
from support.model_calls import WIRES, assistant, completed, said, thought, tool, user

from .test_history import PIXEL, SEES, asked, file

IN_THE_LIBRARY = {
    "openai_models.ChatModel": "pydantic_ai.models.openai.OpenAIChatModel",
    "openai_models.ResponsesModel": "pydantic_ai.models.openai.OpenAIResponsesModel",
    "anthropic_models.Messages": "pydantic_ai.models.anthropic.AnthropicModel",
    "anthropic_models.Client": "anthropic.AsyncAnthropic",
    "google_models.Contents": "pydantic_ai.models.google.GoogleModel",
}
"""What of ours stands for what of theirs."""

COMPUTES_IN_THE_LIBRARY = (
    "pydantic_ai.models.openai.OpenAIChatModel._map_messages",
    "pydantic_ai.models.openai.OpenAIResponsesModel._map_messages",
    "pydantic_ai.models.anthropic.AnthropicModel._prepare_messages_create",
    "anthropic.AsyncAnthropic._copy_and_prepare",
    "pydantic_ai.models.google.GoogleModel._build_content_and_config",
)
"""What takes half a second for a thousand messages."""


def telling_its_thread(
    computes: Callable[..., Awaitable[Any]], threads: list[threading.Thread]
) -> Callable[..., Awaitable[Any]]:
    async def told(*args: Any, **more: Any) -> Any:
        threads.append(threading.current_thread())
        return await computes(*args, **more)

    return told


def in_one_spelling(body: object) -> object:
    """Google reads a field in both spellings, and its library writes some as they were given."""
    text = json.dumps(body)
    return json.loads(text.replace('"mime_type"', '"mimeType"').replace('"inline_data"', '"inlineData"'))


def long(wire: str, messages: int) -> list[WithParts]:
    """One of each kind of thing that a history holds, and as many steps with a tool as make it so long."""
    picture = file("image/png", f"data:image/png;base64,{PIXEL}", "a.png")
    signed = {wire: {"signature": "sig", "itemId": "rs_1"}}
    begin = [
        user(1, "See", picture, said("(put in)", synthetic=True)),
        assistant(
            2,
            thought("hm", metadata=signed),
            "I look – at “it”.",
            tool("read", completed("Image read", attachments=[picture]), "call_0"),
            provider_id=wire,
            finish="tool-calls",
        ),
    ]
    steps = (
        assistant(
            3 + number,
            tool("bash", completed("a.txt\n" * 20, {"command": f"ls {number}"}), f"call_{number + 1}"),
            provider_id=wire,
            finish="tool-calls",
        )
        for number in range(messages)
    )
    return [*begin, *steps, user(3 + messages, "Thanks")]


@pytest.mark.parametrize("wire", WIRES)
async def test_a_long_history_is_sent_as_the_providers_own_library_would(
    wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = long(wire, SHORT * 2)
    async with asked(wire, history, model=SEES) as body:
        ours = body

    for mine, theirs in IN_THE_LIBRARY.items():
        module, _, name = theirs.rpartition(".")
        monkeypatch.setattr(f"mimocode.llm.{mine}", getattr(importlib.import_module(module), name))
    async with asked(wire, history, model=SEES) as body:
        assert in_one_spelling(body) == in_one_spelling(ours)
    assert PIXEL in str(ours)


@pytest.mark.parametrize("messages", [1, SHORT * 2])
@pytest.mark.parametrize("wire", WIRES)
async def test_a_long_history_is_put_into_shape_beside_the_event_loop(
    wire: str, messages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    for computes in COMPUTES_IN_THE_LIBRARY:
        monkeypatch.setattr(computes, telling_its_thread(pkgutil.resolve_name(computes), threads))

    async with asked(wire, long(wire, messages), model=SEES):
        pass

    assert threads
    assert {thread is threading.current_thread() for thread in threads} == {messages == 1}


async def test_what_waits_is_not_taken_for_a_computation() -> None:
    async def waits() -> Any:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waits for something"):
        await computed(waits(), of=range(SHORT + 1))
