"""Changes several files by one patch: all of them, or none."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Changed, Done, Need
from mimocode.wire.base import JsonObject

from .base import Arguments, Declared
from .diff import Difference, difference
from .files import Text, changing, read_text, remove, write_text
from .patch import Add, Delete, Operation, Update, applied, parse
from .paths import Located, located, outside_need, patterns, relative

_LETTERS = {"add": "A", "update": "M", "delete": "D", "move": "M"}
_EVENTS: dict[str, Literal["add", "change", "unlink"]] = {"add": "add", "update": "change", "delete": "unlink"}


class ApplyPatchArguments(Arguments):
    patchText: str = Field(min_length=1, description="The patch, from `*** Begin Patch` to `*** End Patch`")


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one file; `target` is where it is afterwards."""

    kind: Literal["add", "update", "delete", "move"]
    source: Located
    target: Located
    before: Text | None
    after: Text | None

    def difference(self) -> Difference:
        before = self.before.text if self.before else ""
        return difference(self.target.shown, before, self.after.text if self.after else "")


class ApplyPatch(Declared[ApplyPatchArguments]):
    name = "apply_patch"
    takes = ApplyPatchArguments
    writes = True

    async def needs(self, arguments: ApplyPatchArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: ApplyPatchArguments, call: Call) -> Done:
        operations = parse(arguments.patchText)
        paths = await to_thread.run_sync(_named, operations, call)
        async with changing(paths):
            changes = await to_thread.run_sync(_planned, operations, call)
            await to_thread.run_sync(_carry_out, changes)
        lines = [f"{_LETTERS[change.kind]} {relative(call, change.target.shown)}" for change in changes]
        metadata = await to_thread.run_sync(_metadata, changes, call)
        return Done(
            output="\n".join(["Success. Updated the following files:", *lines]),
            title=f"{len(changes)} file{'' if len(changes) == 1 else 's'}",
            metadata={**metadata, "diagnostics": {}},
            changed=[told for change in changes for told in _told(change)],
        )


def _needs(arguments: ApplyPatchArguments, call: Call) -> list[Need]:
    changes = _planned(parse(arguments.patchText), call)
    places = [place for change in changes for place in dict.fromkeys((change.source, change.target))]
    names = list(dict.fromkeys(name for place in places for name in patterns(call, place)))
    metadata = {"filepath": ", ".join(names), **_metadata(changes, call)}
    return [
        *outside_need(call, [place.real for place in places], directory=False),
        Need("edit", names, ["*"], metadata),
    ]


def _named(operations: Sequence[Operation], call: Call) -> list[Path]:
    names = [name for each in operations for name in (each.path, getattr(each, "move", None)) if name]
    return [located(call, name).real for name in names]


def _planned(operations: Sequence[Operation], call: Call) -> list[Change]:
    """Every change, worked out in memory; nothing is written before all of them are known to fit."""
    files: dict[Path, Text | None] = {}

    def now(where: Located) -> Text | None:
        return files[where.real] if where.real in files else read_text(where.real)

    changes: list[Change] = []
    for operation in operations:
        change = _change(operation, call, now)
        files[change.source.real] = None
        files[change.target.real] = change.after
        changes.append(change)
    return changes


def _change(operation: Operation, call: Call, now: Callable[[Located], Text | None]) -> Change:
    source = located(call, operation.path)
    before = now(source)
    match operation:
        case Add():
            if before is not None:
                raise ToolFailed(f"{source.shown} exists already: use `*** Update File:` to change it.")
            return Change("add", source, source, None, Text(operation.text))
        case Delete():
            return Change("delete", source, source, _existing(before, source), None)
        case Update():
            text = _existing(before, source)
            after = text.but(applied(text.text, operation.hunks, str(source.shown)))
            if operation.move is None:
                return Change("update", source, source, text, after)
            target = located(call, operation.move)
            if target.real == source.real or now(target) is not None:
                raise ToolFailed(f"{source.shown} cannot be moved to {target.shown}: that file exists already.")
            return Change("move", source, target, text, after)


def _existing(text: Text | None, where: Located) -> Text:
    if text is None:
        raise ToolFailed(f"File not found: {where.shown}. Check the path; `*** Add File:` makes a new file.")
    return text


def _carry_out(changes: Sequence[Change]) -> None:
    """Writes; when the disk refuses in the middle, what was written is put back."""
    done: list[Change] = []
    try:
        for change in changes:
            done.append(change)
            _put(change.target, change.after)
            if change.kind == "move":
                _put(change.source, None)
    except ToolFailed:
        for change in reversed(done):
            _put_back(change)
        raise


def _put(where: Located, text: Text | None) -> None:
    if text is None:
        remove(where.real)
    else:
        write_text(where.real, text)


def _put_back(change: Change) -> None:
    with contextlib.suppress(ToolFailed):
        _put(change.source, change.before)
        if change.kind == "move":
            _put(change.target, None)


def _told(change: Change) -> list[Changed]:
    if change.kind == "move":
        return [Changed(change.source.shown, "unlink"), Changed(change.target.shown, "add")]
    return [Changed(change.target.shown, _EVENTS[change.kind])]


def _metadata(changes: Sequence[Change], call: Call) -> JsonObject:
    files: list[JsonObject] = []
    for change in changes:
        made = change.difference()
        file: JsonObject = {
            "filePath": str(change.source.shown),
            "relativePath": relative(call, change.target.shown),
            "type": change.kind,
            "patch": made.patch,
            "additions": made.additions,
            "deletions": made.deletions,
        }
        if change.kind == "move":
            file["movePath"] = str(change.target.shown)
        files.append(file)
    return {"diff": "\n".join(file["patch"] for file in files), "files": files}
