"""docs/http.md names every path of /doc and every status, and nothing that is not there."""

import re
from pathlib import Path

from mimocode.server.errors import STATUS
from support.system import system

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


async def test_every_path_is_documented_with_a_line_and_no_other(tmp_path: Path) -> None:
    async with system(tmp_path, "text: hello") as running:
        document = (await running.client.get("/doc")).json()

    there = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    told = re.findall(r"^\| `([A-Z]+ /\S+)` \| \S.* \|$", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(there)


def test_every_status_of_an_error_is_documented() -> None:
    table = PAGE.partition("## Errors")[2].partition("\n## ")[0]

    assert [status for status in STATUS.values() if f"| {status} |" not in table] == []
