"""Libraries that are loaded with less work than an import does. For the command alone, whose process nobody shares."""

import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import cast


def load_fastapi() -> None:
    """FastAPI, whose types of the OpenAPI document are not built before `GET /doc` asks for them.

    They were a sixteenth of the start. FastAPI has no word for that, but a type takes `defer_build` from what it is
    derived from.
    """
    from pydantic import BaseModel

    usual = BaseModel.model_config
    BaseModel.model_config = {**usual, "defer_build": True}
    try:
        importlib.import_module("fastapi")
    finally:
        BaseModel.model_config = usual


def load_httpx() -> None:
    """httpx, without the libraries of its own command line, and without trio, wherever they are installed.

    It does without them by itself where they are not; they took as long as all else that `mimo run` does.
    """
    with _absent("rich", "pygments", "click", "trio"):
        importlib.import_module("httpx")
        importlib.import_module("httpcore")  # which httpx loads later


@contextmanager
def _absent(*names: str) -> Generator[None]:
    """Inside the block these, where they are not loaded yet, are as if they were not installed."""
    hidden: Sequence[str] = [name for name in names if name not in sys.modules]
    modules = cast("dict[str, ModuleType | None]", sys.modules)
    modules.update(dict.fromkeys(hidden))  # what is None there is not looked for
    try:
        yield
    finally:
        for name in hidden:
            del modules[name]
