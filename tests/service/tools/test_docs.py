"""The page for users names every tool, every argument and every permission."""

import re
from pathlib import Path

from .conftest import Bench

PAGE = Path(__file__).parents[3] / "docs" / "tools.md"


def rows() -> dict[str, list[str]]:
    """The cells of the table, by the tool in the first of them."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            found[cells[0].strip("`")] = cells[1:]
    return found


def test_the_page_has_a_row_for_every_tool_in_their_order(bench: Bench) -> None:
    assert list(rows()) == list(bench.tools)


def test_every_argument_is_documented_as_one_that_may_be_left_out_or_not(bench: Bench) -> None:
    documented = {name: re.findall(r"`(\w+)(?:\[\])?`(\??)", cells[0]) for name, cells in rows().items()}

    for name, tool in bench.tools.items():
        properties = tool.spec.parameters.get("properties", {})
        required = tool.spec.parameters.get("required", [])
        expected = [(argument, "" if argument in required else "?") for argument in properties]
        assert [pair for pair in documented[name] if pair[0] in properties] == expected, name


async def test_the_permission_of_every_tool_is_documented(bench: Bench) -> None:
    (bench.project / "f").write_text("a")
    arguments: dict[str, dict[str, object]] = {
        "bash": {"command": "ls"},
        "read": {"filePath": "f"},
        "glob": {"pattern": "*"},
        "grep": {"pattern": "a"},
        "edit": {"filePath": "f", "oldString": "a", "newString": "b"},
        "write": {"filePath": "f", "content": "b"},
        "apply_patch": {"patchText": "*** Begin Patch\n*** Delete File: f\n*** End Patch"},
        "webfetch": {"url": "https://example.test"},
        "todowrite": {"todos": []},
    }

    for name, cells in rows().items():
        if name != "question":
            needs = await bench.needs(name, **arguments.get(name, {}))
            assert [cells[2].partition(":")[0]] == [f"`{need.permission}`" for need in needs], name
