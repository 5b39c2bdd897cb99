"""What schemathesis is told of this server: sessions that there are, and values that would run or sleep.

It loads this file itself (`SCHEMATHESIS_HOOKS`), with the server's address and password in the environment.
"""

import os
from typing import Any, cast

import requests
import schemathesis

_URL = os.environ["MIMOCODE_FUZZED_URL"]
_HEADERS = {"authorization": f"Bearer {os.environ['MIMOCODE_FUZZED_PASSWORD']}"}


def _made(path: str, body: dict[str, Any]) -> Any:
    answer = requests.post(_URL + path, headers=_HEADERS, json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


_SESSION = _made("/session", {})["id"]
_MESSAGE = _made(f"/session/{_SESSION}/message", {"parts": [{"type": "text", "text": "hi"}]})["info"]["id"]
_THERE = {"sessionID": _SESSION, "messageID": _MESSAGE}


@cast("Any", schemathesis).hook  # its types leave open what it hooks
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Half of all requests are for what is there: the others would all be told 404."""
    parameters: dict[str, Any] = case.path_parameters or {}
    for name, known in _THERE.items():
        given = str(parameters.get(name, ""))
        if given.startswith(known[:3]) and case.method != "DELETE" and len(given) % 2:
            parameters[name] = known
    body: object = case.body
    if isinstance(body, dict):
        harmless(case.operation.path, cast("dict[str, Any]", body))


def harmless(path: str, body: dict[str, Any]) -> None:
    if path.endswith("/shell") and isinstance(body.get("command"), str):
        body["command"] = "true"
    if path == "/probe/answer" and body.get("seconds", 5) not in (0, None, ""):
        body["seconds"] = 0
