"""One HTTP/1.1 connection: uvicorn's, stricter. What two programs on the way could read in two ways is refused.

httptools refuses by itself what its grammar does: two lengths, a length beside chunks, folded lines, bare line feeds, a
space before a colon, chunk sizes that are none. Here is what it lets pass.
"""

import json
from typing import Final
from urllib.parse import urlsplit

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 64 * 1024
"""Of a request line with its headers. nginx takes 32 KiB."""

_REASONS: Final = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}
_VERSIONS: Final = ("1.0", "1.1")


class Connection(HttpToolsProtocol):
    """The library would also take a request line and headers of any length, from anybody.

    What is counted are pieces as they are read that lie wholly inside a head, so the limit is exceeded by two at most.
    """

    _head_bytes: int | None = None
    """None outside of a head."""
    _why = ""

    def data_received(self, data: bytes) -> None:
        before = self._head_bytes
        super().data_received(data)
        if before is None or self._head_bytes is None:
            return
        self._head_bytes = before + len(data)
        if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"The request line and headers have more than {MOST_HEAD_BYTES} bytes. Send fewer.")

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._why = self._ambiguous()
        if self._why:
            raise ValueError(self._why)  # the parser makes its own error of it, which is answered with 400
        super().on_headers_complete()
        if self.parser is not None and self.parser.should_upgrade():
            # It is not done, and the parser would take what follows for the other protocol's.
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, self._why or "This is no HTTP/1.1 request.")

    def _ambiguous(self) -> str:
        """What is wrong with a head that the parser has let pass; nothing: empty."""
        assert self.parser is not None  # it is the parser that asks
        headers = dict(self.headers)
        version, coding = self.parser.get_http_version(), headers.get(b"transfer-encoding")
        if version not in _VERSIONS:
            return f"The version HTTP/{version} is not spoken here: use HTTP/1.1."
        if version == "1.1" and b"host" not in headers:
            return "A request of HTTP/1.1 must say in a Host header which server it means."
        if coding is not None and (version == "1.0" or coding.strip().lower() != b"chunked"):
            return f"The Transfer-Encoding {coding.decode('latin-1')!r} is not taken: only chunked is, in HTTP/1.1."
        if self.parser.should_upgrade() and (coding is not None or headers.get(b"content-length", b"0").strip(b"0")):
            return "A request with a body cannot ask for an Upgrade. Leave that header out, or speak HTTP/1.1 only."
        named = urlsplit(self.url.decode("latin-1")).netloc if not self.url.startswith(b"/") else ""
        if named and named.lower() != headers.get(b"host", b"").decode("latin-1").lower():
            return f"The request line names the host {named!r}, the Host header another. Send the same in both."
        return ""

    def _refuse(self, status: int, why: str) -> None:
        """Says so, unless that would stand inside another request's answer or before it; then closes."""
        if self._may_answer():
            body = json.dumps({"name": "BadRequest", "data": {"message": why, "kind": "Headers"}}).encode()
            self.transport.write(
                b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
                % (status, _REASONS[status], len(body), body)
            )
        if self.cycle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _may_answer(self) -> bool:
        """Nothing is being answered, or what is was not whole yet: then it is that request which is refused."""
        cycle = self.cycle
        if not cycle or cycle.response_complete:
            return True
        return cycle.more_body and not cycle.response_started and not self.pipeline
