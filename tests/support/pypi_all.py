"""Calls every method of opencode's own Python client: python pypi_all.py URL FILE. Prints one JSON object.

By method: the class of what it gave, or of the error that it raised and its status.
"""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any

TEXT = [{"type": "text", "text": "hello python"}]
MODEL = {"model_id": "scripted", "provider_id": "lab"}


def main(url: str, file: str) -> dict[str, Any]:
    package: Any = importlib.import_module("opencode_ai")
    client = package.Opencode(base_url=url, max_retries=0)
    session = client.session.create(extra_body={}).id
    calls: dict[str, Callable[[], Any]] = {
        "session.chat": lambda: client.session.chat(session, parts=TEXT, **MODEL),
        "session.messages": lambda: client.session.messages(session),
        "session.list": client.session.list,
        "session.abort": lambda: client.session.abort(session),
        "session.init": lambda: client.session.init(session, message_id="msg_200000000000aaaaaaaaaaaaaa", **MODEL),
        "session.summarize": lambda: client.session.summarize(session, **MODEL),
        "session.revert": lambda: client.session.revert(session, message_id="msg_200000000000aaaaaaaaaaaaaa"),
        "session.unrevert": lambda: client.session.unrevert(session),
        "session.share": lambda: client.session.share(session),
        "session.unshare": lambda: client.session.unshare(session),
        "app.get": client.app.get,
        "app.init": client.app.init,
        "app.modes": client.app.modes,
        "app.providers": client.app.providers,
        "app.log": lambda: client.app.log(level="info", message="note", service="mine"),
        "config.get": client.config.get,
        "file.read": lambda: client.file.read(path=file),
        "file.status": client.file.status,
        "find.files": lambda: client.find.files(query="calc"),
        "find.symbols": lambda: client.find.symbols(query="add"),
        "find.text": lambda: client.find.text(pattern="def"),
        "tui.append_prompt": lambda: client.tui.append_prompt(text="hi"),
        "tui.open_help": client.tui.open_help,
        "session.delete": lambda: client.session.delete(session),
    }
    return {name: _given(call, package.APIStatusError) for name, call in calls.items()}


def _given(call: Callable[[], Any], refused: type[Exception]) -> list[Any]:
    try:
        return [type(call()).__name__]
    except refused as error:
        return [type(error).__name__, vars(error)["status_code"]]


def impatient(url: str) -> dict[str, Any]:
    """A chat whose client gives up after a second, and tries again by itself."""
    client: Any = importlib.import_module("opencode_ai").Opencode(base_url=url, max_retries=8)
    session = client.session.create(extra_body={}).id
    words = [{"type": "text", "text": "go [[slow 30]]"}]
    answer = client.session.chat(session, parts=words, timeout=1.0, **MODEL)
    return {
        "roles": [message.info.role for message in client.session.messages(session)],
        "answer": answer.model_dump(mode="json"),
    }


if __name__ == "__main__":
    print(json.dumps(impatient(sys.argv[1]) if len(sys.argv) == 2 else main(*sys.argv[1:])))
