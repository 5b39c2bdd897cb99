"""One event on its way to every stream. What it tells is encoded once; each kind of stream puts its words around it."""

import json
from functools import lru_cache

from mimocode import ids
from mimocode.turn.ports import Place
from mimocode.wire.event import Body, Form, InstanceDisposed


class Published:
    """One event, spelled at most once for each kind of stream.

    `seq` is the number of the write that stored it, by which a stream can be resumed; None for what is not stored.
    """

    __slots__ = ("_frames", "_id", "_properties", "_session_id", "body", "disposes", "moment", "place", "seq", "type")

    def __init__(self, place: Place | None, body: Body, seq: int | None = None) -> None:
        self.place = place
        self.body: Body | None = body
        """None once only its bytes are kept."""
        self.type = body.type
        self.seq = seq
        self.moment = ids.moment()
        """When it was told: events are in this order, and so are their ids."""
        self.disposes = isinstance(body, InstanceDisposed)
        """Whether the streams of its directory end after it."""
        self._session_id: str | None = getattr(body, "sessionID", None)
        self._id: bytes | None = None
        self._properties: bytes | None = None
        self._frames: dict[Form, bytes] = {}

    @property
    def properties(self) -> bytes:
        """What it tells, as JSON."""
        if self._properties is None:
            assert self.body is not None  # it is dropped only when they are there
            self._properties = self.body.encode()
        return self._properties

    def lighten(self) -> None:
        """Keeps only what a stream still needs: a tenth of the memory, for what is to stay a while."""
        self._properties = self.properties
        self.body = None
        self._frames = {}

    def frame(self, form: Form) -> bytes:
        """As that kind of stream has it."""
        if form not in self._frames:
            # The id comes last: who is cut off before it has not got the event, and asks for it again.
            end = b"\n\n" if self.seq is None else b"\nid: %d\n\n" % self.seq
            self._frames[form] = b"data: %b%b" % (self._told(form), end)
        return self._frames[form]

    def _told(self, form: Form) -> bytes:
        """As `Event`, `GlobalEvent` and `SecondEvent` in `wire.event` describe it."""
        if self._id is None:
            self._id = ids.ascending("evt", self.moment).encode()
        place = self.place
        head = b'"id":"%b","type":"%b"' % (self._id, self.type.encode())
        match form:
            case "plain":
                return b'{%b,"properties":%b}' % (head, self.properties)
            case "wrapped":
                where = b"" if place is None else b'"directory":%b,"project":%b,' % _quoted(place)
                return b'{%b"payload":{%b,"properties":%b}}' % (where, head, self.properties)
            case "second":
                if self.seq is not None and self._session_id is not None:
                    head += b',"durable":{"aggregateID":%b,"seq":%d,"version":1}' % (_json(self._session_id), self.seq)
                if place is not None:
                    head += b',"location":{"directory":%b}' % _quoted(place)[0]
                return b'{%b,"data":%b}' % (head, self.properties)

    def is_for(self, directory: str | None, form: Form) -> bool:
        """Whether it is told to streams of that directory, or of all (None)."""
        if form == "second" and self.disposes:
            return False  # it has no such event
        return directory is None or self.place is None or self.place.directory == directory


@lru_cache(maxsize=64)
def _quoted(place: Place) -> tuple[bytes, bytes]:
    """Its directory and project, as JSON."""
    return _json(place.directory), _json(place.project)


def _json(text: str) -> bytes:
    """What of a name is no text becomes ``?``, as everywhere."""
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
