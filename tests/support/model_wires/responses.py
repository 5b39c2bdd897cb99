"""OpenAI responses."""

from collections.abc import Iterator
from typing import Any

from mimocode.llm.script import CallTool, Fail
from mimocode.turn.ports import Usage

from .base import History, Json, Wire, halves, role_of, sse, text_of, totals


class Responses(Wire):
    name = "responses"

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.output: list[Json] = []
        self.open: tuple[str, str] | None = None
        self.sequence = 0

    @staticmethod
    def history(body: Json) -> History:
        items = body.get("input", [])
        if isinstance(items, str):
            items = [{"role": "user", "content": items}]
        turns: list[tuple[str, str]] = [("system", str(body["instructions"]))] if body.get("instructions") else []
        for item in items:
            kind = item.get("type", "message")
            if kind == "function_call_output":
                turns.append(("tool", text_of(item.get("output"))))
            elif kind in ("function_call", "reasoning"):
                turns.append(("assistant", ""))
            elif kind == "message":
                turns.append((role_of(item), text_of(item.get("content"))))
        return History(turns)

    def event(self, kind: str, **fields: Any) -> bytes:
        self.sequence += 1
        return sse({"type": kind, "sequence_number": self.sequence, **fields}, kind)

    def response(self, status: str, **fields: Any) -> Json:
        base = {"id": "resp_1", "object": "response", "created_at": 1, "model": self.model, "status": status}
        rest = {"output": self.output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return {**base, **rest, **fields}

    def start(self) -> Iterator[bytes]:
        yield self.event("response.created", response=self.response("in_progress"))
        yield self.event("response.in_progress", response=self.response("in_progress"))

    def _opened(self, kind: str) -> Iterator[bytes]:
        if self.open and self.open[0] == kind:
            self.open = (kind, self.open[1])
            return
        yield from self._closed()
        self.open = (kind, "")
        index = len(self.output)
        at = {"output_index": index, "item_id": f"{kind}_{index}"}
        if kind == "msg":
            item: Json = {"id": at["item_id"], "type": "message", "role": "assistant", "content": []}
            yield self.event("response.output_item.added", output_index=index, item=item)
            part: Json = {"type": "output_text", "text": "", "annotations": []}
            yield self.event("response.content_part.added", **at, content_index=0, part=part)
        else:
            item = {"id": at["item_id"], "type": "reasoning", "summary": [], "status": "in_progress"}
            yield self.event("response.output_item.added", output_index=index, item=item)
            part = {"type": "summary_text", "text": ""}
            yield self.event("response.reasoning_summary_part.added", **at, summary_index=0, part=part)

    def _closed(self) -> Iterator[bytes]:
        if not self.open:
            return
        kind, text = self.open
        self.open = None
        index = len(self.output)
        at = {"output_index": index, "item_id": f"{kind}_{index}"}
        item: Json
        if kind == "msg":
            part: Json = {"type": "output_text", "text": text, "annotations": []}
            yield self.event("response.output_text.done", **at, content_index=0, text=text, logprobs=[])
            yield self.event("response.content_part.done", **at, content_index=0, part=part)
            item = {
                "id": at["item_id"],
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        else:
            part = {"type": "summary_text", "text": text}
            yield self.event("response.reasoning_summary_text.done", **at, summary_index=0, text=text)
            yield self.event("response.reasoning_summary_part.done", **at, summary_index=0, part=part)
            item = {"id": at["item_id"], "type": "reasoning", "summary": [part], "status": "completed"}
            item["encrypted_content"] = "c2VhbGVk"
        self.output.append(item)
        yield self.event("response.output_item.done", output_index=index, item=item)

    def _delta(self, kind: str, piece: str) -> Json:
        assert self.open
        self.open = (kind, self.open[1] + piece)
        return {"output_index": len(self.output), "item_id": f"{kind}_{len(self.output)}", "delta": piece}

    def say(self, piece: str) -> Iterator[bytes]:
        yield from self._opened("msg")
        yield self.event("response.output_text.delta", **self._delta("msg", piece), content_index=0, logprobs=[])

    def think(self, piece: str) -> Iterator[bytes]:
        yield from self._opened("rs")
        yield self.event("response.reasoning_summary_text.delta", **self._delta("rs", piece), summary_index=0)

    def call(self, call_id: str, call: CallTool) -> Iterator[bytes]:
        yield from self._closed()
        index = len(self.output)
        item = {"id": f"fc_{index}", "type": "function_call", "call_id": call_id, "name": call.tool, "arguments": ""}
        yield self.event("response.output_item.added", output_index=index, item={**item, "status": "in_progress"})
        at = {"output_index": index, "item_id": item["id"]}
        for piece in halves(call.raw):
            yield self.event("response.function_call_arguments.delta", **at, delta=piece)
        yield self.event("response.function_call_arguments.done", **at, name=call.tool, arguments=call.raw)
        self.output.append({**item, "arguments": call.raw, "status": "completed"})
        yield self.event("response.output_item.done", output_index=index, item=self.output[-1])

    def end(self, reason: str, usage: Usage) -> Iterator[bytes]:
        yield from self._closed()
        total_in, total_out = totals(usage)
        spent = {
            "input_tokens": total_in,
            "input_tokens_details": {"cached_tokens": usage.cache_read},
            "output_tokens": total_out,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": total_in + total_out,
        }
        why = {"length": "max_output_tokens", "content-filter": "content_filter"}.get(reason)
        status = "incomplete" if why else "completed"
        details = {"incomplete_details": {"reason": why}} if why else {}
        yield self.event(f"response.{status}", response=self.response(status, usage=spent, **details))

    def error_body(self, fail: Fail) -> Json:
        return {"error": {"message": fail.message, "type": "scripted_error", "param": None, "code": fail.code}}

    def error_event(self, fail: Fail) -> bytes:
        code = fail.code or ("rate_limit_exceeded" if fail.status == 429 else "server_error")
        failed = self.response("failed", error={"code": code, "message": fail.message})
        return self.event("response.failed", response=failed)
