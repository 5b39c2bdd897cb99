"""The stored history as a model reads it: wire messages to pydantic-ai's.

| in the history | what the model reads |
|---|---|
| user text, also synthetic | as it is; `ignored` text is left out |
| text of an attached file | between marks that it cannot close (`marked`) |
| file | what the model can take (image, PDF, audio, video) as data, text between marks, anything else as a note |
| compaction | "What did we do so far?", which the summary that follows answers |
| assistant text | as it is |
| reasoning | only to the provider it came from, with its signature |
| tool completed, error | the call and its result; between marks, if others may have written it |
| tool pending, running | the call and a result that says it was interrupted |
| tool output that was compacted | the call and a note instead of the output |
| a message with nothing of these | left out |
"""

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote_to_bytes

from mimocode.turn.prompt import ATTACHED, OF_THE_USER, SUMMARISED
from mimocode.turn.prompt import INTERRUPTED as LOST
from mimocode.turn.structured import TOOL_NAME as STRUCTURED
from mimocode.wire.base import JsonObject
from mimocode.wire.message import AssistantMessage, WithParts
from mimocode.wire.part import (
    AgentPart,
    CompactionPart,
    FilePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCompleted,
    ToolErrored,
    ToolPart,
    ToolPending,
)
from mimocode.wire.provider import Modalities, Model

from .marked import marked, named

if TYPE_CHECKING:
    from pydantic_ai.messages import (
        ModelMessage,
        ModelRequestPart,
        ModelResponsePart,
        ToolReturnPart,
        UserContent,
    )

INTERRUPTED = "[Tool execution was interrupted]"
CLEARED = "[Old tool result content cleared]"
ORIGIN = "provider"
"""The key in a part's metadata under which a provider's marks are kept: see `marks`."""

_OURS = frozenset({"question", "todowrite", "todoread", STRUCTURED})
"""Tools whose results are the user's words, the model's or ours."""
_OURS_IF_DONE = frozenset({"write", "edit", "apply_patch"})
"""Tools that say only that they did it; when they cannot, they show what is in the file."""

_SHORT = 40
"""Parts. Each takes some ten microseconds."""

_KINDS = {"image": "image", "audio": "audio", "video": "video"}


def marks(part: "ModelResponsePart", system: str | None) -> JsonObject | None:
    """What must come back with a part at the next call: its id at the provider, its signature and the like."""
    kept = {
        "name": part.provider_name,
        "system": system,
        "id": getattr(part, "id", None),
        "signature": getattr(part, "signature", None),
        "details": part.provider_details,
    }
    said = {key: value for key, value in kept.items() if value}
    return {ORIGIN: said} if said.keys() - {"name", "system"} else None


def is_short(history: Sequence[WithParts]) -> bool:
    """Whether mapping it takes less than handing it to another thread: not with a file, which may be large."""
    parts = 0
    for message in history:
        parts += len(message.parts)
        if parts > _SHORT or any(isinstance(part, FilePart) for part in message.parts):
            return False
    return True


def messages(history: Sequence[WithParts], model: Model) -> "list[ModelMessage]":
    """The whole history for `model`. Requests and responses alternate."""
    from pydantic_ai.messages import ModelRequest

    found: list[ModelMessage] = []
    for message in history:
        if isinstance(message.info, AssistantMessage):
            said, results = _assistant(message, model)
            if said:
                _add_response(found, said, message)
            if results:
                found.append(ModelRequest(parts=results))
            continue
        asked = _user(message, model)
        if asked is None:
            continue
        last = found[-1] if found else None
        if isinstance(last, ModelRequest):
            found[-1] = ModelRequest(parts=[*last.parts, asked])
        else:
            found.append(ModelRequest(parts=[asked]))
    return found


def _add_response(found: "list[ModelMessage]", said: "list[ModelResponsePart]", message: WithParts) -> None:
    """Appends what the model said; to what it said before, if nobody spoke in between."""
    from pydantic_ai.messages import ModelResponse

    last = found[-1] if found else None
    if isinstance(last, ModelResponse):
        found[-1] = ModelResponse(
            parts=[*last.parts, *said], provider_name=last.provider_name, canonical_system=last.canonical_system
        )
        return
    origins = [_origin(part) for part in message.parts]
    origin = next((origin for origin in origins if origin), JsonObject())
    found.append(ModelResponse(parts=said, provider_name=origin.get("name"), canonical_system=origin.get("system")))


# ── what the user says ───────────────────────────────────────────────────────────────────────────────────


def _user(message: WithParts, model: Model) -> "ModelRequestPart | None":
    from pydantic_ai.messages import UserPromptPart

    explained = any(isinstance(part, TextPart) and part.synthetic for part in message.parts)
    content: list[UserContent] = []
    attached: str | None = None
    for part in message.parts:
        if attached is not None and isinstance(part, TextPart) and part.synthetic:
            content.append(marked(part.text, attached))
        else:
            content += _said(part, model, explained=explained)
        attached = _announced(part)
    if not content:
        return None
    texts = [item for item in content if isinstance(item, str)]
    return UserPromptPart(content="\n\n".join(texts) if len(texts) == len(content) else content)


def _announced(part: Part) -> str | None:
    """The path of the attached file whose text the next part is; None if it is not."""
    if not isinstance(part, TextPart) or not part.synthetic or not part.text.startswith(ATTACHED):
        return None
    try:
        return str(json.loads(part.text.removeprefix(ATTACHED))["filePath"])
    except (ValueError, LookupError, TypeError):
        return "file"  # of a server before this one, with a quote in its name


def _said(part: Part, model: Model, *, explained: bool) -> "Iterator[UserContent]":
    match part:
        case TextPart(ignored=True) | TextPart(text=""):
            return
        case TextPart():
            yield part.text
        case FilePart():
            yield from _file(part, model, explained=explained)
        case AgentPart():
            yield f"[The user asks for the agent {part.name}.]"
        case CompactionPart():
            yield SUMMARISED
        case _:
            return


def _file(part: FilePart, model: Model, *, explained: bool) -> "Iterator[UserContent]":
    """A file as data, as text or as a note. Text that the server already put in (`explained`) does not come twice."""
    from pydantic_ai.messages import BinaryContent

    name = named(part.filename or part.mime)
    if part.mime == "application/x-directory" or _is_text(part.mime):
        text = None if explained else _decoded(part.url)
        if text is not None:
            yield marked(text.decode("utf-8", errors="replace"), name)
        elif not explained:
            yield f"[The user attached {name}, which could not be read.]"
        return
    data = _decoded(part.url) if _takes(model.capabilities.input, part.mime) else None
    if data is None:
        yield f"[The user attached {name} ({part.mime}). You cannot see it: tell the user if it matters.]"
        return
    yield BinaryContent.narrow_type(BinaryContent(data=data, media_type=part.mime))


def _is_text(mime: str) -> bool:
    return mime.startswith("text/") or mime in ("application/json", "application/xml", "application/yaml")


def _takes(takes: Modalities, mime: str) -> bool:
    if mime == "application/pdf":
        return takes.pdf
    kind = _KINDS.get(mime.partition("/")[0])
    return kind is not None and getattr(takes, kind) is True


def _decoded(url: str) -> bytes | None:
    """The bytes in a ``data:`` URL; None if it is another URL, or not decodable."""
    head, comma, body = url.partition(",")
    if not head.startswith("data:") or not comma:
        return None
    if not head.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return None


# ── what the model said, and what its tools gave ─────────────────────────────────────────────────────────


def _assistant(message: WithParts, model: Model) -> "tuple[list[ModelResponsePart], list[ModelRequestPart]]":
    said: list[ModelResponsePart] = []
    results: list[ModelRequestPart] = []
    info = message.info
    same = isinstance(info, AssistantMessage) and info.providerID == model.providerID
    for part in message.parts:
        mapped = _spoken(part, same=same)
        if mapped is not None:
            said.append(mapped)
        if isinstance(part, ToolPart):
            results.append(_result(part, model))
    # Reasoning alone is no answer, and providers refuse a message that has nothing else.
    if all(entry.part_kind == "thinking" for entry in said):
        return [], []
    return said, results


def _spoken(part: Part, *, same: bool) -> "ModelResponsePart | None":
    """A part as the model is told that it said it; `same` if it goes back to the provider it came from."""
    from pydantic_ai import messages as ai

    origin = _origin(part) if same else {}
    marked: dict[str, Any] = {"id": origin.get("id"), "provider_details": origin.get("details")}
    marked["provider_name"] = origin.get("name")
    match part:
        case TextPart() if part.text.strip() and not part.ignored:
            return ai.TextPart(part.text, **marked)
        case ReasoningPart() if same:
            return ai.ThinkingPart(part.text, signature=origin.get("signature"), **marked)
        case ToolPart():
            return ai.ToolCallPart(part.tool, _arguments(part), part.callID, **marked)
        case _:
            return None


def _arguments(part: ToolPart) -> str | JsonObject:
    """The call's input, or what the model wrote where that was no JSON object."""
    state = part.state
    return state.raw if isinstance(state, ToolPending) and not state.input and state.raw else state.input


def _origin(part: Part) -> JsonObject:
    metadata = part.metadata if isinstance(part, TextPart | ReasoningPart | ToolPart) else None
    found: Any = (metadata or {}).get(ORIGIN)
    return cast(JsonObject, found) if isinstance(found, dict) else {}


def _result(part: ToolPart, model: Model) -> "ToolReturnPart":
    from pydantic_ai.messages import BinaryContent, ToolReturnPart

    state = part.state
    if isinstance(state, ToolErrored):
        return ToolReturnPart(part.tool, _told(part, state.error), part.callID, outcome="failed")
    if not isinstance(state, ToolCompleted):
        return ToolReturnPart(part.tool, INTERRUPTED, part.callID, outcome="interrupted")
    if state.time.compacted is not None:
        return ToolReturnPart(part.tool, CLEARED, part.callID)
    notes = [state.output]
    shown: list[BinaryContent] = []
    for attachment in state.attachments or ():
        data = _decoded(attachment.url) if _takes(model.capabilities.input, attachment.mime) else None
        if data is None:
            notes.append(f"[Attached: {named(attachment.filename or attachment.mime)}, which you cannot see.]")
        else:
            shown.append(BinaryContent.narrow_type(BinaryContent(data=data, media_type=attachment.mime)))
    text = _told(part, "\n\n".join(note for note in notes if note))
    return ToolReturnPart(part.tool, [text, *shown] if shown else text, part.callID)


def _told(part: ToolPart, text: str) -> str:
    """A result between marks, if others than the user, the model and we may have written it."""
    if part.tool in _OURS or not text:
        return text
    if isinstance(part.state, ToolCompleted):
        return text if part.tool in _OURS_IF_DONE else marked(text, part.tool)
    return text if text == LOST or text.startswith(OF_THE_USER) else marked(text, part.tool)
