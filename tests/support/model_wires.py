"""How the four model APIs spell a stream: each class turns what a script says into server-sent events.

A wire also reads what a request holds: its prompt, its last tool result and how often the model spoke before.
"""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from mimocode.llm.script import CallTool, Fail
from mimocode.turn.ports import Usage

Json = dict[str, Any]


def sse(data: object, event: str | None = None) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {event}\n" if event else "").encode() + f"data: {text}\n\n".encode()


class History:
    """What a scripted model looks at: (role, text) of each message; roles are user, assistant, tool and system."""

    def __init__(self, turns: Sequence[tuple[str, str]]) -> None:
        self.turns = list(turns)

    def _prompt_at(self) -> int:
        """Where the last prompt is: user text that does not directly follow a tool's result."""
        at = -1
        for index, (role, _) in enumerate(self.turns):
            if role == "user" and (index == 0 or self.turns[index - 1][0] != "tool"):
                at = index
        return at

    @property
    def prompt(self) -> str:
        return self.turns[self._prompt_at()][1] if self._prompt_at() >= 0 else ""

    @property
    def result(self) -> str:
        return next((text for role, text in reversed(self.turns) if role == "tool"), "")

    @property
    def system(self) -> str:
        return "\n".join(text for role, text in self.turns if role == "system")

    @property
    def rounds(self) -> int:
        return self._rounds(0)

    @property
    def rounds_since_prompt(self) -> int:
        return self._rounds(self._prompt_at() + 1)

    def _rounds(self, start: int) -> int:
        roles = ["", *(role for role, _ in self.turns[start:])]
        return sum(now == "assistant" and before != "assistant" for before, now in itertools.pairwise(roles))


def text_of(content: Any) -> str:
    """All text in a piece of content, whichever of the APIs it is from."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        pieces = [text_of(item) for item in cast(list[Any], content)]
        return "\n".join(filter(None, pieces))
    if isinstance(content, dict):
        block = cast(Json, content)
        return text_of(block.get("text") or block.get("content") or block.get("parts") or block.get("output"))
    return ""


def role_of(message: Json) -> str:
    return "system" if message["role"] == "developer" else str(message["role"])


class Wire(ABC):
    """One answer. Text, thoughts and calls come in any order; blocks are opened and closed as the API wants it."""

    name: str

    def __init__(self, model: str) -> None:
        self.model = model

    @staticmethod
    @abstractmethod
    def history(body: Json) -> History: ...

    @abstractmethod
    def start(self) -> Iterator[bytes]: ...

    @abstractmethod
    def say(self, piece: str) -> Iterator[bytes]: ...

    @abstractmethod
    def think(self, piece: str) -> Iterator[bytes]: ...

    @abstractmethod
    def call(self, call_id: str, call: CallTool) -> Iterator[bytes]: ...

    @abstractmethod
    def end(self, reason: str, usage: Usage) -> Iterator[bytes]: ...

    @abstractmethod
    def error_body(self, fail: Fail) -> Json: ...

    @abstractmethod
    def error_event(self, fail: Fail) -> bytes: ...

    def garbage(self, text: str) -> bytes:
        return sse(text)


def halves(raw: str) -> list[str]:
    middle = len(raw) // 2
    return [half for half in (raw[:middle], raw[middle:]) if half]


class Chat(Wire):
    """OpenAI chat completions."""

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


def totals(usage: Usage) -> tuple[int, int]:
    return usage.input + usage.cache_read + usage.cache_write, usage.output + usage.reasoning


class Responses(Wire):
    """OpenAI responses."""

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


class Messages(Wire):
    """Anthropic messages."""

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


class Google(Wire):
    """Google's generateContent."""

    name = "google"
    reasons = {"stop": "STOP", "tool-calls": "STOP", "length": "MAX_TOKENS", "content-filter": "SAFETY"}

    @staticmethod
    def history(body: Json) -> History:
        system = body.get("systemInstruction") or body.get("system_instruction")
        turns: list[tuple[str, str]] = [("system", text_of(system))] if system else []
        for content in body.get("contents", []):
            parts: list[Json] = content.get("parts", [])
            results = [part["functionResponse"] for part in parts if "functionResponse" in part]
            turns += [("tool", json.dumps(result.get("response", {}))) for result in results]
            others = [part for part in parts if "functionResponse" not in part]
            if others:
                role = "assistant" if content.get("role") == "model" else "user"
                turns.append((role, text_of(others)))
        return History(turns)

    def chunk(self, parts: list[Json], **fields: Any) -> bytes:
        finish: Json = {"finishReason": fields.pop("finish")} if "finish" in fields else {}
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **finish}
        return sse({"candidates": [candidate], "modelVersion": self.model, "responseId": "r1", **fields})

    def start(self) -> Iterator[bytes]:
        yield from ()

    def say(self, piece: str) -> Iterator[bytes]:
        yield self.chunk([{"text": piece}])

    def think(self, piece: str) -> Iterator[bytes]:
        yield self.chunk([{"text": piece, "thought": True}])

    def call(self, call_id: str, call: CallTool) -> Iterator[bytes]:
        arguments = call.input if call.input is not None else {"raw": call.raw}
        function = {"id": call_id, "name": call.tool, "args": arguments}
        yield self.chunk([{"functionCall": function, "thoughtSignature": "c2lnbmVk"}])

    def end(self, reason: str, usage: Usage) -> Iterator[bytes]:
        total_in, total_out = totals(usage)
        spent = {
            "promptTokenCount": total_in,
            "cachedContentTokenCount": usage.cache_read,
            "candidatesTokenCount": usage.output,
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": total_in + total_out,
        }
        yield self.chunk([{"text": ""}], finish=self.reasons.get(reason, "OTHER"), usageMetadata=spent)

    def error_body(self, fail: Fail) -> Json:
        status = fail.code or {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}.get(fail.status, "INVALID_ARGUMENT")
        return {"error": {"code": fail.status, "message": fail.message, "status": status}}

    def error_event(self, fail: Fail) -> bytes:
        return sse(self.error_body(fail))


def wire_for(path: str) -> Callable[[str], Wire] | None:
    """Which API a path belongs to, whatever stands before it."""
    route = path.partition("?")[0].rstrip("/")
    if route.endswith("/chat/completions"):
        return Chat
    if route.endswith("/responses"):
        return Responses
    if route.endswith("/messages"):
        return Messages
    if route.endswith(":streamGenerateContent"):
        return Google
    return None
