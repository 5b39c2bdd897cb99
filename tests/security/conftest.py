"""Fixtures of several files here."""

import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from mimocode.sandbox.view import TEMPORARY
from support.clients import CACHE
from support.confined import KINDS, Place, place


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest) -> Generator[Place]:
    """A place for each kind of sandbox. Not in /tmp or /var/tmp, of which a command sees nothing."""
    CACHE.mkdir(exist_ok=True)
    outside = Path.home() if any(CACHE.is_relative_to(one) for one in TEMPORARY) else CACHE
    with tempfile.TemporaryDirectory(prefix="sandbox-", dir=outside) as root:
        yield place(request.param, Path(root))
