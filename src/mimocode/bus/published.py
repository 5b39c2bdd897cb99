"""One event on its way to every stream, encoded once for each kind of them."""

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
        self._event: Event | None = None
        self._frames: dict[Form, bytes] = {}

    @property
    def event(self) -> Event:
        """The event on the wire, made when somebody listens."""
        if self._event is None:
            self._event = Event(id=ids.ascending("evt", self.moment), type=self.body.type, properties=self.body)
        return self._event

    def frame(self, form: Form) -> bytes:
        """As that kind of stream has it."""
        if form not in self._frames:
            # The id comes last: who is cut off before it has not got the event, and asks for it again.
            end = b"\n\n" if self.seq is None else b"\nid: %d\n\n" % self.seq
            self._frames[form] = b"data: " + self._told(form).encode() + end
        return self._frames[form]

    def _told(self, form: Form) -> Event | GlobalEvent | SecondEvent:
        place = self.place
        match form:
            case "plain":
                return self.event
            case "wrapped":
                return GlobalEvent(
                    directory=place.directory if place else None,
                    project=place.project if place else None,
                    payload=self.event,
                )
            case "second":
                session_id = getattr(self.body, "sessionID", None)
                durable = (
                    None if self.seq is None or session_id is None else Durable(aggregateID=session_id, seq=self.seq)
                )
                return SecondEvent(
                    id=self.event.id,
                    type=self.event.type,
                    durable=durable,
                    location=SecondPlace(directory=place.directory) if place else None,
                    data=self.body,
                )

    def is_for(self, directory: str | None, form: Form) -> bool:
        """Whether it is told to streams of that directory, or of all (None)."""
        if form == "second" and isinstance(self.body, InstanceDisposed):
            return False  # it has no such event
        return directory is None or self.place is None or self.place.directory == directory
