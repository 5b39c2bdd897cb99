"""Replaces an exact piece of a file's text."""

from collections.abc import Sequence

from anyio import to_thread
from pydantic import Field

from mimocode.errors import ToolFailed
from mimocode.turn.ports import Call, Changed, Done, Need

from .base import Arguments, Declared
from .diff import Difference, difference
from .files import Text, changing, read_text, write_text
from .nearest import explain_absence, places
from .paths import Located, located, outside_need, patterns, relative


class EditArguments(Arguments):
    filePath: str = Field(description="Path of the file, absolute or relative to the working directory")
    oldString: str = Field(description="The exact text to replace, whitespace and indentation included")
    newString: str = Field(description="The text to put in its place; must differ from oldString")
    replaceAll: bool = Field(default=False, description="Replace every occurrence of oldString (default false)")


class Edit(Declared[EditArguments]):
    name = "edit"
    takes = EditArguments
    writes = True

    async def needs(self, arguments: EditArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: EditArguments, call: Call) -> Done:
        where = await to_thread.run_sync(located, call, arguments.filePath)
        async with changing([where.real]):
            change, count, existed = await to_thread.run_sync(_edit, where, arguments)
        output = "Edit applied successfully." + (f" {count} occurrences were replaced." if count > 1 else "")
        return Done(
            output=output,
            title=relative(call, where.shown),
            metadata={"diagnostics": {}, "diff": change.patch, "filediff": change.filediff(where.shown)},
            changed=[Changed(where.shown, "change" if existed else "add")],
        )


def replaced(text: str, arguments: EditArguments) -> tuple[str, int]:
    """The text with the edit made, and how often. Raises `ToolFailed` that tells a model how to mend its call."""
    old, new = arguments.oldString, arguments.newString
    if old == new:
        raise ToolFailed("oldString and newString are the same: there is nothing to change.")
    if not old:
        if text:
            raise ToolFailed(
                "oldString is empty, but the file is not. Give the text to replace, or use write to replace all of it."
            )
        return new, 1
    if old not in text and "\r\n" in text and "\r" not in old:
        old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
    count = text.count(old)
    if count == 0:
        raise ToolFailed(explain_absence(text, arguments.oldString))
    if count > 1 and not arguments.replaceAll:
        raise ToolFailed(
            f"oldString stands {count} times in the file, at lines {places(text, old)}. Add lines around it until "
            "exactly one place matches, or set replaceAll to true to change them all."
        )
    return text.replace(old, new), count


def _read(where: Located, arguments: EditArguments) -> Text | None:
    found = read_text(where.real)
    if found is None and arguments.oldString:
        raise ToolFailed(
            f"File not found: {where.shown}. Check the path (glob finds files by name); to make a new file use write."
        )
    return found


def _needs(arguments: EditArguments, call: Call) -> list[Need]:
    where = located(call, arguments.filePath)
    before = (_read(where, arguments) or Text("")).text
    after, _ = replaced(before, arguments)
    metadata = {"filepath": str(where.shown), "diff": difference(where.shown, before, after).patch}
    return [
        *outside_need(call, [where.real], directory=False),
        Need("edit", patterns(call, where), ["*"], metadata),
    ]


def _edit(where: Located, arguments: EditArguments) -> tuple[Difference, int, bool]:
    found = _read(where, arguments)
    before = found or Text("")
    after, count = replaced(before.text, arguments)
    write_text(where.real, before.but(after))
    return difference(where.shown, before.text, after), count, found is not None
