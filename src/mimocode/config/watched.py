"""Which files something was made from, so that a change of one is noticed without reading it again. Blocking."""

from dataclasses import dataclass, field
from pathlib import Path

Trace = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Watched:
    """Files as they were when they were looked at. A file that was not there counts too: it may come to be."""

    seen: dict[Path, Trace] = field(default_factory=dict[Path, Trace])

    def note(self, file: Path) -> None:
        """To be called before `file` is read: a change in between is then noticed later, not lost."""
        self.seen.setdefault(file, _trace(file))

    def current(self) -> bool:
        """False once a file was changed, added or removed: one `stat` for each."""
        return all(_trace(file) == trace for file, trace in self.seen.items())


def _trace(file: Path) -> Trace:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
