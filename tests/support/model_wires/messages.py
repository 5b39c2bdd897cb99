"""Anthropic messages."""

from collections.abc import Iterator
from typing import Any

from mimocode.llm.script import CallTool, Fail
from mimocode.turn.ports import Usage

from .base import History, Json, Wire, halves, sse, text_of


class Messages(Wire):
    name = "messages"
    reasons = {"stop": "end_turn", "tool-calls": "tool_use", "length": "max_tokens", "content-filter": "refusal"}

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.index = -1
        self.open: str | None = None

    @staticmethod
    def history(body: Json) -> History:
        turns: list[tuple[str, str]] = [("system", text_of(body["system"]))] if body.get("system") else []
        for message in body.get("messages", []):
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            results = [block for block in blocks if block["type"] == "tool_result"]
            others = [block for block in blocks if block["type"] != "tool_result"]
            turns += [("tool", text_of(block.get("content"))) for block in results]
            if others:
                turns.append((message["role"], text_of(others)))
        return History(turns)

    def event(self, kind: str, **fields: Any) -> bytes:
        return sse({"type": kind, **fields}, kind)

    def garbage(self, text: str) -> bytes:
        # Its clients skip events without a name.
        return sse(text, "content_block_delta")

    def start(self) -> Iterator[bytes]:
        message: Json = {"id": "msg_1", "type": "message", "role": "assistant", "model": self.model, "content": []}
        usage = {"input_tokens": 0, "output_tokens": 1}
        rest = {"stop_reason": None, "stop_sequence": None, "usage": usage}
        yield self.event("message_start", message={**message, **rest})
        yield self.event("ping")

    def _opened(self, kind: str, block: Json) -> Iterator[bytes]:
        if self.open == kind:
            return
        yield from self._closed()
        self.open = kind
        self.index += 1
        yield self.event("content_block_start", index=self.index, content_block=block)

    def _closed(self) -> Iterator[bytes]:
        if self.open == "thinking":
            yield self._delta({"type": "signature_delta", "signature": "c2lnbmVk"})
        if self.open:
            self.open = None
            yield self.event("content_block_stop", index=self.index)

    def _delta(self, delta: Json) -> bytes:
        return self.event("content_block_delta", index=self.index, delta=delta)

    def say(self, piece: str) -> Iterator[bytes]:
        yield from self._opened("text", {"type": "text", "text": ""})
        yield self._delta({"type": "text_delta", "text": piece})

    def think(self, piece: str) -> Iterator[bytes]:
        yield from self._opened("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        yield self._delta({"type": "thinking_delta", "thinking": piece})

    def call(self, call_id: str, call: CallTool) -> Iterator[bytes]:
        yield from self._closed()
        yield from self._opened("tool", {"type": "tool_use", "id": call_id, "name": call.tool, "input": {}})
        for piece in halves(call.raw):
            yield self._delta({"type": "input_json_delta", "partial_json": piece})
        yield from self._closed()

    def end(self, reason: str, usage: Usage) -> Iterator[bytes]:
        yield from self._closed()
        spent = {
            "input_tokens": usage.input,
            "cache_read_input_tokens": usage.cache_read,
            "cache_creation_input_tokens": usage.cache_write,
            "output_tokens": usage.output + usage.reasoning,
        }
        delta = {"stop_reason": self.reasons.get(reason, "end_turn"), "stop_sequence": None}
        yield self.event("message_delta", delta=delta, usage=spent)
        yield self.event("message_stop")

    def error_body(self, fail: Fail) -> Json:
        kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"}
        kinds |= {404: "not_found_error", 429: "rate_limit_error", 529: "overloaded_error"}
        kind = fail.code or kinds.get(fail.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": fail.message}}

    def error_event(self, fail: Fail) -> bytes:
        return sse(self.error_body(fail), "error")
