"""A bench for each test."""

from pathlib import Path

import psutil
import pytest

from support.tool_bench import Bench, Lists, Person, benched

__all__ = ["BOUND_S", "Bench", "Lists", "Person", "bench", "until_gone"]

BOUND_S = 20
"""No wait in these tests is longer."""


def until_gone(pid: int) -> None:
    """Returns when the process has ended."""
    try:
        psutil.Process(pid).wait(timeout=BOUND_S)
    except psutil.NoSuchProcess:
        return


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return benched(tmp_path)
