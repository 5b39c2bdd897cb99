"""Keys that must be found nowhere, a provider that says back what it was sent, and a search that knows encodings."""

import base64
import json
import re
import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_plus

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}")


def canary(where: str) -> str:
    """A key that says where it was put."""
    return f"cnry-{where}-7Qx4vT9pLw2ZkR8mNb5Y"


def found(text: bytes, canaries: Iterable[str]) -> list[str]:
    """Those that are in there: as they are, escaped, or in anything that could be base64."""
    seen = [
        text,
        unquote_plus(text.decode("utf-8", "replace")).encode(),
        text.replace(b'\\"', b'"').replace(b"\\\\", b"\\"),
    ]
    for run in _BASE64.findall(text):
        for start in range(4):
            piece = run[start:].translate(bytes.maketrans(b"-_", b"+/"))
            seen.append(base64.b64decode(piece[: len(piece) // 4 * 4]))
    return sorted({one for one in canaries if any(one.encode() in each for each in seen)})


@contextmanager
def parrot() -> Generator[str]:
    """An HTTP server that refuses everything with what it was sent, in the body and in headers. Its address.

    The model's name says how: ``401``, ``429`` and so on, or ``stream`` for a stream that breaks off with an error.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Parrot)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Parrot(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        how: str = asked.get("model", "401")
        sent = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")}
        told = {"error": {"message": f"No such key: {sent} at {self.path}", "type": "parrot", "code": "parrot"}}
        if how == "stream":
            self._send(200, f"data: {json.dumps(told)}\n\n".encode(), {"content-type": "text/event-stream"})
            return
        # Long enough that the last of it is cut off, in the middle of a key if that were still there.
        again = {"sent": [{**sent, "quoted": json.dumps(sent), "basic": _basic(sent)}] * 8}
        headers = {f"x-parrot-{number}": value for number, value in enumerate(sent.values())}
        self._send(int(how), json.dumps({**told, **again}).encode(), {**headers, "retry-after": "600"})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _basic(sent: dict[str, str]) -> str:
    return base64.b64encode(f"user:{sorted(sent.values())}".encode()).decode()
