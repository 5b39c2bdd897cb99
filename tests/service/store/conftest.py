"""A database of ours, opened; and the values that tests put into it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from mimocode.store import migrations
from mimocode.store.sqlite import SqliteFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a file with our schema."""
    path = tmp_path / "mimocode.db"
    migrations.upgrade(path)
    return path


@pytest.fixture
async def file(path: Path) -> AsyncGenerator[SqliteFile]:
    async with SqliteFile(path) as opened:
        yield opened
