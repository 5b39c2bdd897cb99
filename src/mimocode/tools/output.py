"""How much of a tool's output a model reads: the beginning and the end, the whole of it in a file it is told of.

This is the one place where output is cut, for every tool; `Bounded` puts it around one.
"""

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import anyio.to_thread

from mimocode import ids
from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Done, Need, Ready, Tool, ToolSpec
from mimocode.wire.base import JsonObject

MAX_LINES = 2_000
MAX_BYTES = 50 * 1024
SLACK_LINES = 50
SLACK_BYTES = 4 * 1024
"""What a tool that keeps the limits by itself may add around its text."""
_LONGEST_FAILURE = 8 * 1024
KEPT_S = 7 * 24 * 3600.0


def cleaned(text: str) -> str:
    """Text that any store and any client takes: no lone surrogates, no NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def count_lines(text: str) -> int:
    return text.count("\n") + (0 if text.endswith("\n") or not text else 1)


def first(text: str, lines: int, size: int) -> str:
    """The beginning: at most `lines` lines and `size` bytes of UTF-8, in whole lines where one fits."""
    end = -1
    for _ in range(lines):
        end = text.find("\n", end + 1)
        if end < 0:
            break
    kept = text if end < 0 else text[: end + 1]
    data = kept[:size].encode()
    if len(data) <= size and len(kept) <= size:
        return kept
    short = data[:size].decode("utf-8", "ignore")
    return short[: short.rfind("\n") + 1] or short


def last(text: str, lines: int, size: int) -> str:
    """The end: at most `lines` lines and `size` bytes of UTF-8, in whole lines where one fits."""
    start = len(text) - 1 if text.endswith("\n") else len(text)
    for _ in range(lines):
        start = text.rfind("\n", 0, start)
        if start < 0:
            break
    kept = text[start + 1 :]
    data = kept[-size:].encode()
    if len(data) <= size and len(kept) <= size:
        return kept
    short = data[-size:].decode("utf-8", "ignore")
    return short[short.find("\n") + 1 :] or short


def fits(text: str, lines: int = MAX_LINES, size: int = MAX_BYTES) -> bool:
    return count_lines(text) <= lines and len(text) <= size and len(text.encode()) <= size


def ends_of(text: str, lines: int = MAX_LINES, size: int = MAX_BYTES) -> tuple[str, str]:
    """The beginning and the end that are kept of a text that does not fit; together within the limits."""
    return first(text, lines // 2, size // 2), last(text, lines - lines // 2, size - size // 2)


def joined(head: str, tail: str, *, lines: int, size: int, kept_in: Path | None, whole: bool = True) -> str:
    """What the model reads in place of a text of `lines` lines and `size` bytes; `whole` is whether all was kept."""
    gone_lines = max(lines - count_lines(head) - count_lines(tail), 0)
    gone_bytes = max(size - len(head.encode()) - len(tail.encode()), 0)
    where = (
        f"{'The whole' if whole else 'The beginning of the'} output ({lines:,} lines, {size:,} bytes) is in {kept_in}. "
        "Search it with grep, or read parts of it with read and its offset and limit, rather than all of it."
        if kept_in
        else "The whole output could not be kept: run a narrower command to see what is missing."
    )
    gap = f"... {gone_lines:,} lines ({gone_bytes:,} bytes) left out ..."
    return "\n\n".join([head.rstrip("\n"), gap, tail.strip("\n"), where])


@dataclass(frozen=True, slots=True)
class Spill:
    """The directory that whole outputs are kept in, one file each, readable by their owner only."""

    directory: Path

    def fresh(self) -> Path:
        """The path of a new file, which is not there yet; the directory is. Raises `OSError`."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.directory / ids.ascending("tool")

    def keep(self, text: str) -> Path | None:
        """Writes; None when the disk refuses."""
        try:
            path = self.fresh()
            with open(private(path), "w", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError:
            return None
        return path

    def sweep(self, older_than_s: float = KEPT_S) -> int:
        """Removes what was kept longer than that; says how many files that were."""
        removed = 0
        for path in self.directory.glob("tool_*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - older_than_s:
                    path.unlink()
                    removed += 1
        return removed


def private(path: Path) -> int:
    """A descriptor of a new file for its owner alone, open for writing. Raises `OSError`."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A tool whose output is cleaned and cut."""

    tool: Tool
    spill: Spill

    @property
    def spec(self) -> ToolSpec:
        return self.tool.spec

    @property
    def resumable(self) -> bool:
        return self.tool.resumable

    @property
    def writes(self) -> bool:
        return self.tool.writes

    def ready(self, arguments: JsonObject) -> Ready:
        return _BoundedReady(self.tool.ready(arguments), self.spill)


@dataclass(frozen=True, slots=True)
class _BoundedReady:
    ready: Ready
    spill: Spill

    async def needs(self, call: Call) -> Sequence[Need]:
        with _readable_failures():
            needs = await self.ready.needs(call)
        return [replace(need, metadata=_cleaned_object(need.metadata)) for need in needs]

    async def run(self, call: Call) -> Done:
        with _readable_failures():
            done = await self.ready.run(call)
        output = cleaned(done.output)
        metadata = {"truncated": False, **_cleaned_object(done.metadata)}
        if not fits(output, MAX_LINES + SLACK_LINES, MAX_BYTES + SLACK_BYTES):
            path = await anyio.to_thread.run_sync(self.spill.keep, output)
            head, tail = ends_of(output)
            size = len(output.encode())
            output = joined(head, tail, lines=count_lines(output), size=size, kept_in=path)
            metadata |= {"truncated": True} | ({"outputPath": str(path)} if path else {})
        return replace(done, output=output, title=cleaned(done.title), metadata=metadata)


@contextlib.contextmanager
def _readable_failures() -> Generator[None]:
    """What a tool says when it fails is cleaned and cut as well."""
    try:
        yield
    except ToolFailed as failed:
        text = first(cleaned(str(failed)), MAX_LINES, _LONGEST_FAILURE)
        raise ToolFailed(text, metadata=_cleaned_object(failed.metadata)) from failed


def _cleaned_object(value: JsonObject) -> JsonObject:
    return cast("JsonObject", _cleaned_json(value))


def _cleaned_json(value: Any) -> Any:
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, dict):
        return {cleaned(str(key)): _cleaned_json(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list):
        return [_cleaned_json(item) for item in cast("list[Any]", value)]
    return value
