"""What a stream changes, on its way to the journal: what comes together is one write, and deltas are told at once, or
behind the write that they need. Nobody waits for the disk before the end of the stream.
"""

from collections.abc import Sequence

from mimocode.wire.event import Body, MessageUpdated, PartDelta, PartUpdated
from mimocode.wire.part import ToolPart

from .partial import Partial
from .ports import BlockEnd, Kept, ModelEvent, StreamEnd, ToolCalled
from .world import Writing


class Streamed:
    """The changes of one attempt at a step. Those that a block's end makes wait for what follows it: with a provider
    that is the same piece of the stream.
    """

    def __init__(self, pen: Writing, partial: Partial) -> None:
        self._pen = pen
        self._partial = partial
        self._waiting: list[Body | Kept] = []

    def take(self, changes: Sequence[Body], event: ModelEvent) -> None:
        """Tells the deltas, and puts the others before them; `event` is what made the changes."""
        for change in changes:
            if isinstance(change, PartDelta):
                self._begin()
                self._pen.tell(change)
                self._partial.grew(change.partID)
            else:
                self._waiting.append(Kept(change) if _is_whole_call(change) else change)
        if changes and not isinstance(event, BlockEnd | ToolCalled | StreamEnd):
            self._begin()

    async def end(self, done: MessageUpdated, *, called: bool) -> None:
        """The stream is complete: `done` is its message, which is told when the step is closed.

        After calls it is stored now, so that a complete stream is never asked for again, however long they take. A
        step without any is closed at once, which stores all of that.
        """
        if called:
            await self._pen.put(*self._flushed(), Kept(done))
        else:
            self._pen.carry(*self._flushed())
            self._pen.history.apply(done)

    def _begin(self) -> None:
        if flushed := self._flushed():
            self._pen.begin(*flushed)

    def _flushed(self) -> Sequence[Body | Kept]:
        """What waited: it is on its way as a whole, and nothing of it is left to keep."""
        waiting, self._waiting = self._waiting, []
        for change in waiting:
            body = change.body if isinstance(change, Kept) else change
            if isinstance(body, PartUpdated):
                self._partial.stored(body.part.id)
        return waiting


def _is_whole_call(change: Body) -> bool:
    """A call that is complete but not running yet: clients saw it begin, and will see it run."""
    part = change.part if isinstance(change, PartUpdated) else None
    return isinstance(part, ToolPart) and part.state.status == "pending" and bool(part.state.raw)
