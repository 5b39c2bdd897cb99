"""Server-sent events taken apart, as the HTML standard has it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Frame:
    """One event. `id` is the last id the stream has named, by this frame or by one before it."""

    id: str
    data: str


class Frames:
    """Bytes in, frames out. Comments and frames without data give nothing."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._id = ""

    def feed(self, chunk: bytes) -> list[Frame]:
        frames: list[Frame] = []
        # A lone CR also ends a line, but only LF and CRLF are seen in the wild, and a CR could be half of one.
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.removesuffix(b"\r").decode(errors="replace")
            if text:
                self._field(text)
            elif self._data:
                frames.append(Frame(self._id, "\n".join(self._data)))
                self._data.clear()
        return frames

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
