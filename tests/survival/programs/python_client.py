"""A program that sends one prompt with one HTTP library, and again when that fails: see `main` for its words.

Prints the answer's JSON; ends with 1, and says why on stderr, when no try brought one.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PAUSE_S = 0.2


class Lost(Exception):
    """This try brought no answer."""


@dataclass(frozen=True)
class Wanted:
    """`timer_s` is the client's own idle timer."""

    url: str
    session: str
    message: str
    text: str
    timer_s: float
    tries: int

    @property
    def path(self) -> str:
        return f"{self.url}/session/{self.session}/message"

    @property
    def parts(self) -> list[Any]:
        return [{"type": "text", "text": self.text}]

    @property
    def body(self) -> dict[str, Any]:
        return {"messageID": self.message, "parts": self.parts}


def by_httpx(wanted: Wanted) -> str:
    import httpx

    try:
        return httpx.post(wanted.path, json=wanted.body, timeout=wanted.timer_s).text
    except httpx.HTTPError as error:
        raise Lost(repr(error)) from error


def by_requests(wanted: Wanted) -> str:
    import requests

    try:
        return requests.post(wanted.path, json=wanted.body, timeout=wanted.timer_s).text
    except requests.RequestException as error:
        raise Lost(repr(error)) from error


def by_aiohttp(wanted: Wanted) -> str:
    import asyncio

    import aiohttp

    async def post() -> str:
        timer = aiohttp.ClientTimeout(total=None, sock_read=wanted.timer_s)
        async with aiohttp.ClientSession(timeout=timer) as session:
            async with session.post(wanted.path, json=wanted.body) as response:
                return await response.text()

    try:
        return asyncio.run(post())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Lost(repr(error)) from error


def by_urllib(wanted: Wanted) -> str:
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    data = json.dumps(wanted.body).encode()
    request = Request(wanted.path, data=data, headers={"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=wanted.timer_s) as response:
            return response.read().decode()
    except (OSError, HTTPException) as error:
        raise Lost(repr(error)) from error


def by_opencode_ai(wanted: Wanted) -> str:
    """Retries by itself, as it does for everybody; it knows no message id to join by."""
    library: Any = importlib.import_module("opencode_ai")
    client = library.Opencode(base_url=wanted.url, timeout=wanted.timer_s, max_retries=wanted.tries - 1)
    try:
        answer = client.session.chat(
            wanted.session, model_id="scripted", provider_id="lab", parts=wanted.parts, extra_body={}
        )
    except library.APIError as error:
        raise Lost(repr(error)) from error
    return json.dumps(answer.to_dict())


def by_mimocode(wanted: Wanted) -> str:
    """Joins by itself."""
    from mimocode.client import Mimo
    from mimocode.wire.prompt import PromptInput

    prompt = PromptInput.model_validate(wanted.body)
    with Mimo(wanted.url, beat_s=wanted.timer_s / 3) as mimo:
        answer = mimo.prompt(wanted.session, prompt)
    return answer.encode().decode()


LIBRARIES: dict[str, tuple[Callable[[Wanted], str], bool]] = {
    "httpx": (by_httpx, True),
    "requests": (by_requests, True),
    "aiohttp": (by_aiohttp, True),
    "urllib": (by_urllib, True),
    "opencode-ai": (by_opencode_ai, False),
    "mimocode": (by_mimocode, False),
}
"""How to send a prompt, and whether this program must send it again when it is lost."""


def main(library: str, url: str, session: str, message: str, text: str, timer_s: str, tries: str) -> int:
    wanted = Wanted(url, session, message, text, float(timer_s), int(tries))
    send, again = LIBRARIES[library]
    for _ in range(wanted.tries if again else 1):
        try:
            answer = json.loads(send(wanted))
            if "info" in answer:
                print(json.dumps(answer))
                return 0
            print(f"no answer: {json.dumps(answer)[:200]}", file=sys.stderr)
        except (Lost, ValueError) as error:
            print(f"lost: {error}"[:200], file=sys.stderr)
        time.sleep(PAUSE_S)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
