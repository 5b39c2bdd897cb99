"""Fixtures of several files here."""

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from support.clients import CACHE
from support.confined import KINDS, Place, place


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest) -> Generator[Place]:
    """A place for each kind of sandbox. Not in /tmp, of which a command sees nothing, wherever this tree lies."""
    CACHE.mkdir(exist_ok=True)
    outside = Path("/var/tmp") if CACHE.is_relative_to("/tmp") else CACHE
    with tempfile.TemporaryDirectory(prefix="sandbox-", dir=outside) as root:
        yield place(request.param, Path(root))
