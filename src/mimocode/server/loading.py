"""What is loaded in another way than an import would: with less work at the start."""

import importlib

from pydantic import BaseModel


def load_fastapi() -> None:
    """FastAPI, whose types of the OpenAPI document are not built before `GET /doc` asks for them.

    They were a sixteenth of the start. FastAPI has no word for that, but a type takes `defer_build` from what it is
    derived from. Without this call before FastAPI's first import all is the same, and slower.
    """
    usual = BaseModel.model_config
    BaseModel.model_config = {**usual, "defer_build": True}
    try:
        importlib.import_module("fastapi")
    finally:
        BaseModel.model_config = usual
