"""Files given on the command line, as parts of a prompt."""

import base64
import mimetypes
from collections.abc import Sequence
from pathlib import Path

from mimocode.errors import Invalid
from mimocode.wire.prompt import FilePartInput

LARGEST_BYTES = 20 * 1024 * 1024


def parts(paths: Sequence[str]) -> list[FilePartInput]:
    """Their contents go along, so that the server may be on another machine. Raises `Invalid`."""
    return [_part(Path(path).expanduser(), path) for path in paths]


def _part(path: Path, given: str) -> FilePartInput:
    if path.is_dir():
        return FilePartInput(
            type="file", mime="application/x-directory", filename=path.name, url=path.absolute().as_uri()
        )
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise Invalid(f"--file: {given} is larger than {LARGEST_BYTES // 2**20} MiB. Let the agent read it itself.")
        content = path.read_bytes()
    except OSError as error:
        raise Invalid(f"--file: cannot read {given}: {error.strerror}.") from error
    mime = _mime(path, content)
    encoded = base64.b64encode(content).decode()
    return FilePartInput(type="file", mime=mime, filename=path.name, url=f"data:{mime};base64,{encoded}")


def _mime(path: Path, content: bytes) -> str:
    """Everything that can be read as text is text/plain, whatever its name says."""
    guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if guessed.startswith("image/") or guessed == "application/pdf":
        return guessed
    try:
        content.decode()
    except UnicodeDecodeError:
        return guessed
    return "text/plain"
