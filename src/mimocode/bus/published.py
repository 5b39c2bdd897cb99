"""One event on its way to every stream, encoded once for each kind of them."""

from functools import cached_property

from mimocode import ids
from mimocode.turn.ports import Place
from mimocode.wire.event import Body, Durable, Event, Form, GlobalEvent, InstanceDisposed, SecondEvent, SecondPlace


class Published:
    """One event, encoded at most once for each kind of stream.

    `seq` is the number of the write that stored it, by which a stream can be resumed; None for what is not stored.
    """

    def __init__(self, place: Place | None, body: Body, seq: int | None = None) -> None:
        self.place = place
        self.body = body
        self.seq = seq
        self.moment = ids.moment()
        """When it was told: events are in this order, and so are their ids."""

    @cached_property
    def event(self) -> Event:
        """The event on the wire, made when somebody listens."""
        return Event(id=ids.ascending("evt", self.moment), type=self.body.type, properties=self.body)

    @cached_property
    def plain(self) -> bytes:
        """The frame for `/event`."""
        return self._frame(self.event)

    @cached_property
    def wrapped(self) -> bytes:
        """The frame for `/global/event`."""
        place = self.place
        wrapper = GlobalEvent(
            directory=place.directory if place else None,
            project=place.project if place else None,
            payload=self.event,
        )
        return self._frame(wrapper)

    @cached_property
    def second(self) -> bytes:
        """The frame for `/api/event`."""
        place, session_id = self.place, getattr(self.body, "sessionID", None)
        durable = None if self.seq is None or session_id is None else Durable(aggregateID=session_id, seq=self.seq)
        told = SecondEvent(
            id=self.event.id,
            type=self.event.type,
            durable=durable,
            location=SecondPlace(directory=place.directory) if place else None,
            data=self.body,
        )
        return self._frame(told)

    def _frame(self, told: Event | GlobalEvent | SecondEvent) -> bytes:
        # The id comes last: who is cut off before it has not got the event, and asks for it again.
        end = b"\n\n" if self.seq is None else b"\nid: %d\n\n" % self.seq
        return b"data: " + told.encode() + end

    def frame(self, form: Form) -> bytes:
        """As that kind of stream has it."""
        match form:
            case "plain":
                return self.plain
            case "wrapped":
                return self.wrapped
            case "second":
                return self.second

    def is_for(self, directory: str | None, form: Form) -> bool:
        """Whether it is told to streams of that directory, or of all (None)."""
        if form == "second" and isinstance(self.body, InstanceDisposed):
            return False  # it has no such event
        return directory is None or self.place is None or self.place.directory == directory
