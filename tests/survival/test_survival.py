"""The part of the survival matrix that every change is held against, cell by cell (`matrix.CI`).

What each cell must come to is in `contract/survival.json`, which `make survival` writes together with the page.
"""

from collections.abc import Mapping

import anyio
import pytest

from . import matrix, picture, report
from .cells import Cell, Outcome, Verdict, outcomes

pytestmark = [pytest.mark.slow, pytest.mark.peer]

AT_ONCE = 24
KNOWN = report.expected()
KEPT: tuple[Verdict, ...] = ("first", "joined")


def _as_known(cell: Cell, verdict: Verdict) -> bool:
    """Of the peer's only whether the answer was kept: how often it runs what it lost is chance."""
    known = KNOWN[str(cell)]
    return verdict == known if cell.server == matrix.OURS else (verdict in KEPT) == (known in KEPT)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[Cell, Outcome]:
    """All of them, run side by side."""
    scratch = tmp_path_factory.mktemp("survival")

    async def run() -> dict[Cell, Outcome]:
        return await outcomes(
            scratch, matrix.CI, at_once=AT_ONCE, fits=lambda cell, outcome: _as_known(cell, outcome.verdict)
        )

    return anyio.run(run)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cell", matrix.CI, ids=str)
def test_a_cell_comes_to_what_is_known_of_it(found: Mapping[Cell, Outcome], cell: Cell) -> None:
    outcome = found[cell]

    assert _as_known(cell, outcome.verdict), f"{KNOWN[str(cell)]} is known, and now it is {outcome}"


def test_every_cell_of_the_matrix_was_measured() -> None:
    assert {str(cell) for cell in [*matrix.ours(), *matrix.peers()]} == set(KNOWN)


def test_the_page_and_its_picture_are_made_from_what_was_measured() -> None:
    measured = report.kept()

    assert report.page(measured) == report.PAGE.read_text()
    assert picture.drawn(measured["cells"]) == report.PICTURE.read_text()
