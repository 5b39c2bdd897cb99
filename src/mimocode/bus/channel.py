"""Readers of one kind that take at once whatever they are told: it is put together once, and handed to each."""

from collections.abc import Iterable

from mimocode.wire.event import Form

from .published import Published
from .subscription import Subscription


class Channel:
    """The subscriptions of one directory, or of all, and of one form whose frames do not wait in queues."""

    def __init__(self, directory: str | None, form: Form) -> None:
        self._directory = directory
        self._form: Form = form
        self._readers: dict[Subscription, None] = {}
        self._frames: list[bytes] = []
        """Told, and not handed yet."""

    def __len__(self) -> int:
        return len(self._readers)

    def join(self, reader: Subscription) -> None:
        self.wake()
        self._readers[reader] = None

    def leave(self, reader: Subscription) -> Iterable[bytes]:
        """Returns what it was told and not handed."""
        del self._readers[reader]
        return tuple(self._frames)

    def offer(self, published: Published) -> None:
        """Has it handed over if it is wanted, when `wake` is called next."""
        if not self._readers or not published.is_for(self._directory, self._form):
            return
        self._frames.append(published.frame(self._form))
        if self._directory is not None and published.disposes:
            for reader in tuple(self._readers):
                reader.end(whole=True)

    def wake(self) -> None:
        """What was told is handed over now. Who does not take it has it in its queue."""
        if not self._frames:
            return
        frames, self._frames = self._frames, []
        together = b"".join(frames)
        for reader in tuple(self._readers):
            if reader in self._readers and not reader.write(together):
                reader.take_back(frames)
