"""What tools say, without this server's own keys: neither models nor people need them, and both are others' machines.

A file keeps its keys. So what was hidden must not be written back: who tries is told how to change the file around it.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from mimocode.errors import ToolFailed
from mimocode.redaction import KEPT_FROM_MODELS, Redaction
from mimocode.turn.ports import Call, Done, Need, Progress, Ready, Tool, ToolSpec
from mimocode.wire.base import JsonObject

_WRITING_FILES = frozenset({"write", "edit", "apply_patch"})


@dataclass(frozen=True, slots=True)
class Redacted:
    """A tool whose output, progress and failures hold no key."""

    tool: Tool
    redaction: Redaction

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
        """Raises `ToolFailed` for a file's text that has the mark of a hidden key in place of it."""
        if self.spec.name in _WRITING_FILES and _marked(arguments):
            raise ToolFailed(
                f"The text has {KEPT_FROM_MODELS!r}, which stands for a key that you cannot see: written to a file, "
                "the key would be lost. Edit the lines around it only, or ask the user to change that line."
            )
        return _RedactedReady(self.tool.ready(arguments), self.redaction)


def _marked(value: Any) -> bool:
    if isinstance(value, str):
        return KEPT_FROM_MODELS in value
    if isinstance(value, Mapping):
        return any(map(_marked, cast("Mapping[str, Any]", value).values()))
    return isinstance(value, list) and any(map(_marked, cast("list[Any]", value)))


@dataclass(frozen=True, slots=True)
class _RedactedReady:
    ready: Ready
    redaction: Redaction

    async def needs(self, call: Call) -> Sequence[Need]:
        with self._failures():
            needs = await self.ready.needs(call)
        # Not the patterns: the rules are judged by them.
        return [replace(need, metadata=self.redaction.data(need.metadata, sure=True)) for need in needs]

    async def run(self, call: Call) -> Done:
        async def progress(shown: Progress) -> None:
            await call.progress(replace(shown, metadata=self.redaction.growing(shown.metadata)))

        with self._failures():
            done = await self.ready.run(replace(call, progress=progress))
        hide = self.redaction.text
        return replace(
            done,
            output=hide(done.output, sure=True),
            title=hide(done.title, sure=True),
            metadata=self.redaction.data(done.metadata, sure=True),
        )

    @contextmanager
    def _failures(self) -> Generator[None]:
        try:
            yield
        except ToolFailed as failed:
            text = self.redaction.text(str(failed), sure=True)
            raise ToolFailed(text, metadata=self.redaction.data(failed.metadata, sure=True)) from failed
