"""From the body of a prompt to the user message that is stored: files are read now, so that they stay as they were."""

import base64
import binascii
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

import anyio.to_thread

from mimocode import ids
from mimocode.errors import Invalid, ToolFailed
from mimocode.store.rows import Op, Put, TurnRow
from mimocode.tools.opened import Special, opened
from mimocode.turn import compact
from mimocode.turn import prompt as texts
from mimocode.turn.history import History
from mimocode.turn.ports import Call, Place, Progress, Tool
from mimocode.wire import event
from mimocode.wire.ask import Rule
from mimocode.wire.base import Wire
from mimocode.wire.message import Created, ModelRef, UserMessage
from mimocode.wire.part import AgentPart, CompactionPart, FilePart, Part, TextPart
from mimocode.wire.prompt import (
    AgentPartInput,
    CommandInput,
    FilePartInput,
    PromptInput,
    SubtaskPartInput,
    SummarizeInput,
    TextPartInput,
)
from mimocode.wire.session import Session

from .instance import Instance
from .lane import Kind

MOST_ATTACHED_BYTES = 20 * 1024 * 1024
"""A file larger than this is not taken into a message."""


async def user_message(
    instance: Instance, session: Session, wanted: PromptInput, message_id: str, read: Tool
) -> tuple[UserMessage, list[Part]]:
    """The message and its parts. `read` is the tool that turns files into text.

    Raises `Invalid` for an agent, a model, a variant or a part that cannot be used.
    """
    agent = instance.agent(wanted.agent or session.agent)
    model = _model(instance, session, wanted, agent.model)
    message = UserMessage(
        id=message_id,
        sessionID=session.id,
        time=Created(created=ids.now_ms()),
        format=wanted.format,
        agent=agent.name,
        model=model,
        system=wanted.system,
        tools=wanted.tools,
    )
    parts: list[Part] = []
    for part in wanted.parts:
        match part:
            case TextPartInput():
                parts.append(_text(message, part))
            case FilePartInput():
                parts += await _File(instance, message, part, read).parts()
            case AgentPartInput():
                given = part.model_dump(exclude={"id"}, exclude_none=True)
                parts.append(
                    AgentPart(
                        **given, id=part.id or ids.ascending("prt"), sessionID=message.sessionID, messageID=message.id
                    )
                )
            case SubtaskPartInput():
                raise Invalid(
                    f"A subtask part (agent {part.agent!r}) needs subagents, which this server does not have yet. "
                    'Send its prompt as a part of type "text".\n  at ["parts"]'
                )
    reminder = texts.reminder(agent.name, session.agent)
    if reminder is not None:
        parts.append(
            TextPart(
                id=ids.ascending("prt"),
                sessionID=message.sessionID,
                messageID=message.id,
                text=reminder,
                synthetic=True,
            )
        )
    return message, parts


def _model(instance: Instance, session: Session, wanted: PromptInput, of_agent: ModelRef | None) -> ModelRef:
    """The prompt's model, else the agent's, else the session's last, else the default. Raises `Invalid`.

    Also for a variant that the model has not: the turn would fail at its first call.
    """
    chosen = wanted.model or of_agent
    if chosen is None and session.model is not None:
        chosen = ModelRef(providerID=session.model.providerID, modelID=session.model.id)
    if chosen is None:
        default = instance.models.default
        chosen = ModelRef(providerID=default.providerID, modelID=default.id)
    variant = wanted.variant or chosen.variant
    instance.models.resolve(chosen.providerID, chosen.modelID).variant(variant)
    return ModelRef(providerID=chosen.providerID, modelID=chosen.modelID, variant=variant)


def _text(message: UserMessage, part: TextPartInput) -> TextPart:
    given = part.model_dump(exclude={"id"}, exclude_none=True)
    return TextPart(**given, id=part.id or ids.ascending("prt"), sessionID=message.sessionID, messageID=message.id)


class _File:
    """One file part: text is also given as text, as if the model had read it; images and PDFs as ``data:``."""

    def __init__(self, instance: Instance, message: UserMessage, part: FilePartInput, read: Tool) -> None:
        self._instance = instance
        self._message = message
        self._part = part
        self._read = read

    async def parts(self) -> Sequence[Part]:
        url = urlsplit(self._part.url)
        if url.scheme == "data":
            return self._inline(url.path)
        if url.scheme == "file":
            from urllib.request import url2pathname  # which brings an HTTP library along

            return await self._on_disk(Path(url2pathname(url.path)))
        raise Invalid(
            f"A file part's url must begin with data: or file:, not {self._part.url[:40]!r}. Download it, "
            'or let the model fetch it with webfetch.\n  at ["parts"]'
        )

    def _inline(self, path: str) -> Sequence[Part]:
        file = self._file(self._part.url)
        if not self._is_text(self._part.mime):
            return [file]
        kind, _, payload = path.partition(",")
        try:
            data = base64.b64decode(payload) if kind.endswith(";base64") else unquote_to_bytes(payload)
        except binascii.Error as error:
            raise Invalid(f'A file part\'s data: URL is not base64: {error}.\n  at ["parts"]') from error
        name = self._part.filename or "attachment"
        return [*self._as_read(name, data.decode(errors="replace")), file]

    async def _on_disk(self, path: Path) -> Sequence[Part]:
        if self._is_text(self._part.mime) or self._part.mime == "application/x-directory":
            return [*self._as_read(str(path), await self._text_of(path)), self._file(self._part.url)]
        data = await anyio.to_thread.run_sync(self._bytes_of, path)
        return [self._file(f"data:{self._part.mime};base64,{base64.b64encode(data).decode()}")]

    async def _text_of(self, path: Path) -> str:
        """What the read tool makes of it; what it says if it cannot is told to the model, which may know better."""
        call = Call(
            session_id=self._message.sessionID,
            message_id=self._message.id,
            part_id=ids.ascending("prt"),
            call_id="attached",
            agent=self._message.agent,
            directory=self._instance.directory,
            worktree=self._instance.worktree,
            progress=_unseen,
        )
        arguments: dict[str, object] = {"filePath": str(path)}
        query = {name: values[0] for name, values in parse_qs(urlsplit(self._part.url).query).items()}
        if query.get("start", "").isdigit():
            arguments["offset"] = int(query["start"])
            if query.get("end", "").isdigit():
                arguments["limit"] = int(query["end"]) - int(query["start"]) + 1
        try:
            return (await self._read.ready(arguments).run(call)).output
        except ToolFailed as failed:
            return f"Read tool failed to read {path} with the following error: {failed}"

    def _bytes_of(self, path: Path) -> bytes:
        try:
            with opened(Path(os.path.realpath(path))) as (descriptor, status):
                if not stat.S_ISREG(status.st_mode):
                    raise self._no_file(path)
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    data = file.read(MOST_ATTACHED_BYTES + 1)
        except Special as error:
            raise self._no_file(path) from error
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise Invalid(f'{path} cannot be attached: {why}.\n  at ["parts"]') from error
        if len(data) > MOST_ATTACHED_BYTES:
            raise Invalid(
                f"{path} has {status.st_size} bytes; an attached file may have {MOST_ATTACHED_BYTES}."
                ' Attach a smaller one.\n  at ["parts"]'
            )
        return data

    @staticmethod
    def _no_file(path: Path) -> Invalid:
        return Invalid(f'{path} is not a regular file. Attach a file.\n  at ["parts"]')

    def _as_read(self, name: str, text: str) -> Sequence[Part]:
        called = texts.ATTACHED + json.dumps({"filePath": name}, ensure_ascii=False, separators=(",", ":"))
        message = self._message
        return [
            TextPart(
                id=ids.ascending("prt"), sessionID=message.sessionID, messageID=message.id, text=words, synthetic=True
            )
            for words in (called, text)
        ]

    def _file(self, url: str) -> FilePart:
        return FilePart(
            id=self._part.id or ids.ascending("prt"),
            sessionID=self._message.sessionID,
            messageID=self._message.id,
            mime=self._part.mime,
            filename=self._part.filename or unquote(Path(urlsplit(self._part.url).path).name)[:255] or None,
            url=url,
            source=self._part.source,
        )

    @staticmethod
    def _is_text(mime: str) -> bool:
        return mime.startswith("text/") or mime in ("application/json", "application/xml", "application/toml")


async def _unseen(_: Progress) -> None:
    """Nobody watches a file being attached."""


def from_command(instance: Instance, wanted: CommandInput) -> PromptInput:
    """The prompt that a command stands for. Raises `Invalid` for an unknown command."""
    command = next((one for one in instance.commands if one.name == wanted.command), None)
    if command is None:
        shown = ", ".join(one.name for one in instance.commands)
        raise Invalid(f'Command not found: {wanted.command!r}. The commands are: {shown}.\n  at ["command"]')
    provider_id, _, model_id = (wanted.model or command.model or "").partition("/")
    words = texts.command(command.template, wanted.arguments)
    return PromptInput(
        messageID=wanted.messageID,
        agent=wanted.agent or command.agent,
        model=ModelRef(providerID=provider_id, modelID=model_id) if provider_id else None,
        variant=wanted.variant,
        parts=[TextPartInput(type="text", text=words), *wanted.parts],
    )


def compaction_message(
    instance: Instance, session: Session, wanted: SummarizeInput, message_id: str, history: History
) -> tuple[UserMessage, list[Part]]:
    """The message that asks for a summary of the session so far. Raises `Invalid` for an unknown model."""
    model = instance.models.resolve(wanted.providerID, wanted.modelID)
    agent = instance.agent(session.agent)
    message = UserMessage(
        id=message_id,
        sessionID=session.id,
        time=Created(created=ids.now_ms()),
        agent=agent.name,
        model=ModelRef(providerID=model.providerID, modelID=model.id),
    )
    tail = compact.tail_start(history.visible(), instance.window_of(model))
    part = CompactionPart(
        id=ids.ascending("prt"), sessionID=session.id, messageID=message_id, auto=wanted.auto, tail_start_id=tail
    )
    return message, [part]


def at(place: Place, turn: int) -> Place:
    return Place(directory=place.directory, project=place.project, turn=turn)


def row(session: Session, turn_id: str, kind: Kind, digest: bytes, wanted: Wire) -> TurnRow:
    return TurnRow(
        session_id=session.id,
        id=turn_id,
        number=0,
        kind=kind,
        digest=digest,
        request=wanted.encode(),
        created=ids.now_ms(),
        ended=None,
        answer=None,
    )


def stored(row: TurnRow, number: int, answer: bytes | None = None) -> Op:
    return Put(
        "turn",
        {
            "session_id": row.session_id,
            "id": row.id,
            "number": number,
            "kind": row.kind,
            "digest": row.digest,
            "request": row.request,
            "created": row.created,
            "ended": row.created if answer is not None else None,
            "answer": answer,
        },
    )


def told(session_id: str, message: UserMessage, parts: list[Part]) -> list[event.Body]:
    now = ids.now_ms()
    told: list[event.Body] = [event.MessageUpdated(sessionID=session_id, info=message)]
    return [*told, *(event.PartUpdated(sessionID=session_id, part=part, time=now) for part in parts)]


def with_rules(rules: Sequence[Rule], more: Sequence[Rule]) -> list[Rule]:
    """The rules and, behind them, some more; what they repeat is not kept twice, however often a client sends it."""
    again = {(rule.permission, rule.pattern) for rule in more}
    return [*(rule for rule in rules if (rule.permission, rule.pattern) not in again), *more]
