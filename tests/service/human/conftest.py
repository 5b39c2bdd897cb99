"""A desk for each test."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from support.desk import Desk, opened


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with opened(tmp_path / "mimocode.db") as desk:
        yield desk
