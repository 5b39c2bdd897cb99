"""What one impatient client sees: its idle timer is 1 s, the person answers after 5, and it asks but once."""

from pathlib import Path

import pytest

from .cells import Cell, Terms, outcomes
from .matrix import OURS, PEER

pytestmark = [pytest.mark.slow, pytest.mark.peer]

IMPATIENT = Terms(timer_s=1, thinks_s=5, tries=1)


async def test_a_client_with_an_idle_timer_of_a_second_gets_an_answer_that_takes_five(tmp_path: Path) -> None:
    ours, peers = Cell(OURS, "direct", "httpx"), Cell(PEER, "direct", "httpx")

    found = await outcomes(tmp_path, [ours, peers], terms=IMPATIENT)

    assert {ours: "first", peers: "wrong"} == {cell: outcome.verdict for cell, outcome in found.items()}, found
    assert "ReadTimeout" in found[peers].said
