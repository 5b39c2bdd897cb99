"""Loading with less work than an import does. For the command alone, whose process nobody shares."""

import gc
import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast


def keep_what_is_made() -> None:
    """Garbage is looked for from now on, but not in what is there now.

    That stays, and to look through it takes 50 ms, in which a server answers nobody.
    """
    gc.freeze()
    gc.enable()


def load_fastapi() -> None:
    """FastAPI, whose types of the OpenAPI document are not built before `GET /doc` asks for them.

    They were a tenth of the start. FastAPI has no word for that, but a type takes `defer_build` from what it is derived
    from; and three of them, which name each other, are built at the end of their module by `model_rebuild`.
    """
    from pydantic import BaseModel

    rebuild = BaseModel.model_rebuild.__func__

    @classmethod
    def rebuilt(cls: type[BaseModel], **asked: Any) -> bool | None:
        # A module that has it done at its end asks for nothing; who asks for something needs the type now.
        return rebuild(cls, **asked) if asked else None

    meanwhile = {"model_config": {**BaseModel.model_config, "defer_build": True}, "model_rebuild": rebuilt}
    usual = {name: vars(BaseModel)[name] for name in meanwhile}
    try:
        for name, value in meanwhile.items():
            setattr(BaseModel, name, value)
        importlib.import_module("fastapi")
    finally:
        for name, value in usual.items():
            setattr(BaseModel, name, value)


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
