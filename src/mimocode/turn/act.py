"""Runs the tools that a step called, side by side, and journals what becomes of each."""

from collections.abc import Sequence

import anyio

from mimocode import ids
from mimocode.errors import Rejected, ToolFailed
from mimocode.wire.base import JsonObject
from mimocode.wire.event import Body, FileEdited, FileWatcherUpdated
from mimocode.wire.part import (
    Closed,
    FilePart,
    Start,
    ToolCompleted,
    ToolErrored,
    ToolPart,
    ToolPending,
    ToolRunning,
)

from . import prompt
from .closing import close_step
from .decide import STOP, WAITING, RunTools
from .freed import freed
from .ports import Attachment, Call, Done, Need, Progress, Tool
from .snapshots import Before
from .world import Writing

DOOM_LOOP = 3
"""So many identical calls in a row, and a human is asked whether to go on."""


async def run_tools(pen: Writing, action: RunTools) -> None:
    """Runs every call that has not ended. A call found running is one whose process died: see `_is_lost`."""
    before = Before(pen, action.message_id)
    pen.calls = len(action.parts)
    if len(action.parts) == 1:
        await _Running(pen, action.parts[0], before, by_human=action.by_human).run()
        return
    async with anyio.create_task_group() as group:
        for part in action.parts:
            group.start_soon(freed, _Running(pen, part, before, by_human=action.by_human).run)


class _Running:
    """One call, from its part as it was found to the part as it ends."""

    def __init__(self, pen: Writing, part: ToolPart, before: Before, *, by_human: bool) -> None:
        self._pen = pen
        self._by_human = by_human
        self._part = part
        self._before = before
        state = part.state
        self._start_ms = state.time.start if isinstance(state, ToolRunning) else pen.world.clock.now_ms()

    async def run(self) -> None:
        await self._to_its_end()
        self._pen.calls -= 1

    async def _to_its_end(self) -> None:
        tool = self._pen.world.toolbox.get(self._part.tool)
        if self._is_lost(tool):
            await self._end_lost()
            return
        try:
            done = await self._do(tool)
        except Rejected as refused:
            await self._fail(str(refused), marks=None if refused.feedback else {STOP: True})
        except ToolFailed as failed:
            await self._fail(str(failed), metadata=failed.metadata or None)
        else:
            await self._complete(done)

    def _is_lost(self, tool: Tool | None) -> bool:
        """Whether it may have taken effect before its process died: such a call is never run again."""
        state = self._part.state
        if not isinstance(state, ToolRunning) or (self._part.metadata or {}).get(WAITING):
            return False
        return tool is None or not tool.resumable

    async def _end_lost(self) -> None:
        state = self._part.state
        assert isinstance(state, ToolRunning)
        closed = Closed(start=state.time.start, end=self._pen.world.clock.now_ms())
        marks = {**(state.metadata or {}), "interrupted": True}
        errored = ToolErrored(input=state.input, error=prompt.INTERRUPTED, metadata=marks, time=closed)
        await self._pen.put(self._pen.part(self._part.but(state=errored)), durable=True)

    async def _do(self, tool: Tool | None) -> Done:
        arguments = self._arguments()
        if tool is None:
            known = ", ".join(self._pen.world.toolbox)
            raise ToolFailed(f"There is no tool named {self._part.tool!r}. The tools are: {known}.")
        ready = tool.ready(arguments)
        call = self._call()
        needs = [*self._doom_loop(arguments), *await ready.needs(call)]
        # Before it takes effect it is on disk that it may have: it must not run twice, whatever happens to the power.
        running = ToolRunning(input=arguments, time=Start(start=self._start_ms))
        undoable = tool.writes and self._pen.world.snapshots is not None
        await self._show(running, waiting=bool(needs), durable=tool.writes and not needs and not undoable)
        if needs:
            await self._pen.world.human.permit(call, needs)
        if undoable:
            await self._before.take()
        if needs or undoable:
            await self._pen.keep(self._pen.part(self._unmarked()), durable=tool.writes)
        try:
            return await ready.run(call)
        finally:
            self._pen.groups.pop(self._part.id, None)

    def _arguments(self) -> JsonObject:
        state = self._part.state
        if isinstance(state, ToolPending) and not state.input and state.raw.strip() not in ("", "{}"):
            raise ToolFailed(
                f"The arguments of {self._part.tool} are not a JSON object: {state.raw[:500]!r}. "
                "Call it again with valid JSON."
            )
        return state.input

    def _call(self) -> Call:
        turn, part = self._pen.turn, self._part
        return Call(
            session_id=part.sessionID,
            message_id=part.messageID,
            part_id=part.id,
            call_id=part.callID,
            agent=turn.agent,
            directory=turn.directory,
            worktree=turn.worktree,
            progress=self._progress,
            by_human=self._by_human,
        )

    def _doom_loop(self, arguments: JsonObject) -> Sequence[Need]:
        """The model called this same tool with these same arguments just before, and before that."""
        name = self._part.tool
        calls = [part for entry in self._pen.history.mine for part in entry.tools]
        position = next((n for n, part in enumerate(calls) if part.id == self._part.id), len(calls) - 1)
        recent = calls[max(0, position - DOOM_LOOP + 1) : position + 1]
        if len(recent) < DOOM_LOOP or any(part.tool != name or part.state.input != arguments for part in recent):
            return ()
        shown = {"tool": name, "input": arguments}
        return [Need(permission="doom_loop", patterns=[name], always=[name], metadata=shown)]

    async def _progress(self, progress: Progress) -> None:
        state = self._part.state
        if progress.group is not None:
            self._pen.groups[self._part.id] = progress.group
        if isinstance(state, ToolRunning):
            title = progress.title or state.title
            await self._show(state.but(title=title, metadata=progress.metadata), waiting=False)

    async def _show(self, state: ToolRunning, *, waiting: bool, durable: bool = False) -> None:
        marks = {**(self._part.metadata or {}), WAITING: "permission"} if waiting else self._unmarked().metadata
        part = self._part.but(state=state, metadata=marks)
        if part != self._part:  # one that goes on waiting is shown already
            self._part = part
            await self._pen.put(self._pen.part(part), durable=durable)

    def _unmarked(self) -> ToolPart:
        marks = {key: value for key, value in (self._part.metadata or {}).items() if key != WAITING}
        self._part = self._part.but(metadata=marks or None)
        return self._part

    async def _complete(self, done: Done) -> None:
        part = self._unmarked()
        state = ToolCompleted(
            input=part.state.input,
            output=done.output,
            title=done.title,
            metadata=done.metadata,
            time=self._closed(),
            attachments=[self._attached(attachment) for attachment in done.attachments] or None,
        )
        told: list[Body] = []
        for changed in done.changed:
            told.append(FileEdited(file=str(changed.path)))
            told.append(FileWatcherUpdated(file=str(changed.path), event=changed.event))
        await self._end(*told, self._pen.part(part.but(state=state)))

    async def _fail(self, error: str, *, metadata: JsonObject | None = None, marks: JsonObject | None = None) -> None:
        part = self._unmarked()
        state = ToolErrored(input=part.state.input, error=error, metadata=metadata, time=self._closed())
        kept = {**(part.metadata or {}), **(marks or {})}
        await self._end(self._pen.part(part.but(state=state, metadata=kept or None)))

    async def _end(self, *changes: Body) -> None:
        """Puts how it ended. The last of a step's calls closes the step too."""
        if self._by_human or self._pen.calls > 1:
            await self._pen.put(*changes)
        else:
            await close_step(self._pen, self._part.messageID, *changes)

    def _closed(self) -> Closed:
        return Closed(start=self._start_ms, end=self._pen.world.clock.now_ms())

    def _attached(self, attachment: Attachment) -> FilePart:
        return FilePart(
            id=ids.ascending("prt"),
            sessionID=self._part.sessionID,
            messageID=self._part.messageID,
            mime=attachment.mime,
            filename=attachment.filename,
            url=attachment.url,
        )
