"""Fixtures of several files here."""

import os
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
    with tempfile.TemporaryDirectory(prefix="sandbox-", dir=_seen()) as root:
        yield place(request.param, Path(root))


def _seen() -> Path:
    """A folder that a command may be shown: this one's, else the home, else what a machine has for its services."""
    for folder in (CACHE, Path.home(), Path("/opt"), Path("/srv")):
        if os.access(folder, os.W_OK) and not any(folder.is_relative_to(one) for one in TEMPORARY):
            return folder
    pytest.skip("the project and the home lie below /tmp or /var/tmp, of which a command sees nothing")
