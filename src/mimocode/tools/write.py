"""Writes a whole file."""

from collections.abc import Sequence

from anyio import to_thread
from pydantic import Field

from mimocode.turn.ports import Call, Changed, Done, Need

from .base import Arguments, Declared
from .diff import difference
from .files import Text, changing, read_text, write_text
from .paths import Located, located, outside_need, patterns, relative


class WriteArguments(Arguments):
    filePath: str = Field(description="Path of the file, absolute or relative to the working directory")
    content: str = Field(description="The whole new content of the file")


class Write(Declared[WriteArguments]):
    name = "write"
    takes = WriteArguments
    writes = True

    async def needs(self, arguments: WriteArguments, call: Call) -> Sequence[Need]:
        return await to_thread.run_sync(_needs, arguments, call)

    async def run(self, arguments: WriteArguments, call: Call) -> Done:
        where = await to_thread.run_sync(located, call, arguments.filePath)
        async with changing([where.real]):
            existed = await to_thread.run_sync(_write, where, arguments.content)
        return Done(
            output="Wrote file successfully.",
            title=relative(call, where.shown),
            metadata={"diagnostics": {}, "filepath": str(where.shown), "exists": existed},
            changed=[Changed(where.shown, "change" if existed else "add")],
        )


def _needs(arguments: WriteArguments, call: Call) -> list[Need]:
    where = located(call, arguments.filePath)
    before = read_text(where.real)
    change = difference(where.shown, before.text if before else "", arguments.content)
    metadata = {"filepath": str(where.shown), "diff": change.patch}
    return [
        *outside_need(call, [where.real], directory=False),
        Need("edit", patterns(call, where), ["*"], metadata),
    ]


def _write(where: Located, content: str) -> bool:
    """Says whether there was a file. A byte-order mark that was there stays."""
    before = read_text(where.real)
    if before is None:
        write_text(where.real, Text(content))
        return False
    write_text(where.real, before.but(content.removeprefix("\ufeff") if before.bom else content))
    return True
