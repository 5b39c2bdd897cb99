"""OpenAI chat completions."""

from collections.abc import Iterator

from mimocode.llm.script import CallTool, Fail
from mimocode.turn.ports import Usage

from .base import History, Json, Wire, halves, role_of, sse, text_of, totals


class Chat(Wire):
    name = "chat"
    reasons = {"stop": "stop", "tool-calls": "tool_calls", "length": "length", "content-filter": "content_filter"}

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.calls = 0

    @staticmethod
    def history(body: Json) -> History:
        messages: list[Json] = body.get("messages", [])
        return History([(role_of(message), text_of(message.get("content"))) for message in messages])

    def chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return sse({**self.head(), "choices": [choice]})

    def head(self) -> Json:
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.model}

    def start(self) -> Iterator[bytes]:
        yield self.chunk({"role": "assistant", "content": ""})

    def say(self, piece: str) -> Iterator[bytes]:
        yield self.chunk({"content": piece})

    def think(self, piece: str) -> Iterator[bytes]:
        yield self.chunk({"reasoning_content": piece})

    def call(self, call_id: str, call: CallTool) -> Iterator[bytes]:
        index, self.calls = self.calls, self.calls + 1
        head = {"id": call_id, "type": "function", "function": {"name": call.tool, "arguments": ""}}
        yield self.chunk({"tool_calls": [{"index": index, **head}]})
        for piece in halves(call.raw):
            yield self.chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def end(self, reason: str, usage: Usage) -> Iterator[bytes]:
        yield self.chunk({}, self.reasons.get(reason, reason))
        read, total_in, total_out = usage.cache_read, *totals(usage)
        spent = {
            "prompt_tokens": total_in,
            "completion_tokens": total_out,
            "total_tokens": total_in + total_out,
            "prompt_tokens_details": {"cached_tokens": read},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
        }
        yield sse({**self.head(), "choices": [], "usage": spent})
        yield sse("[DONE]")

    def error_body(self, fail: Fail) -> Json:
        return {"error": {"message": fail.message, "type": "scripted_error", "param": None, "code": fail.code}}

    def error_event(self, fail: Fail) -> bytes:
        return sse(self.error_body(fail))
