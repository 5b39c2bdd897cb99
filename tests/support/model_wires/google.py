"""Google's generateContent."""

import json
from collections.abc import Iterator
from typing import Any

from mimocode.llm.script import CallTool, Fail
from mimocode.turn.ports import Usage

from .base import History, Json, Wire, sse, text_of, totals


def _result(response: Json) -> str:
    """What a tool gave; clients wrap text in an object of one field."""
    values = list(response.values())
    return values[0] if len(values) == 1 and isinstance(values[0], str) else json.dumps(response)


class Google(Wire):
    name = "google"
    reasons = {"stop": "STOP", "tool-calls": "STOP", "length": "MAX_TOKENS", "content-filter": "SAFETY"}

    @staticmethod
    def history(body: Json) -> History:
        system = body.get("systemInstruction") or body.get("system_instruction")
        turns: list[tuple[str, str]] = [("system", text_of(system))] if system else []
        for content in body.get("contents", []):
            parts: list[Json] = content.get("parts", [])
            results = [part["functionResponse"] for part in parts if "functionResponse" in part]
            turns += [("tool", _result(result.get("response", {}))) for result in results]
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
