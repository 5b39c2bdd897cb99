"""A bounded part of what `python -m tests.crash` does by the hundreds."""

from pathlib import Path

import pytest
from tests.crash import commits, harness

from mimocode.store.crash import When

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


async def test_a_server_killed_again_and_again_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    outcome = await harness.run(1, tmp_path, kills=8)

    assert outcome.wrong == []
    assert outcome.kills.total() > 0


@pytest.mark.parametrize(("when", "numbers"), [("before", [1, 17, 33]), ("after", [1, 24])])
async def test_a_server_that_dies_at_a_commit_goes_on_from_what_is_stored(
    tmp_path: Path, when: When, numbers: list[int]
) -> None:
    outcome = await commits.run(tmp_path, when, numbers)

    assert outcome.wrong == []
    assert outcome.kills.total() == len(numbers)
