"""What two programs on the way could read in two ways, on a raw socket: refused, and nothing behind it is read."""

import json

import anyio

from mimocode.server.listen import listening
from support.raw import Seen, exchanged, read_to_the_end

POST = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

REFUSED = {
    "a length beside chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks beside a length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "one length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a length too large to count": POST + b"Content-Length: 99999999999999999999\r\n\r\n{}",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a coding upon chunks": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a folded line": GET + b"X-A: b\r\n c\r\n\r\n",
    "bare line feeds": b"GET /x HTTP/1.1\nHost: localhost\n\n",
    "a bare carriage return": GET[:-2] + b"\rX: y\r\n\r\n",
    "a NUL": GET + b"X: a\0b\r\n\r\n",
    "a line without a colon": GET + b"abc\r\n\r\n",
    "a chunk size with a prefix": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a space": CHUNKED + b"2 \r\n{}\r\n0\r\n\r\n",
    "a chunk size too large to count": CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than its size": CHUNKED + b"2\r\n{}0\r\n\r\n",
    "a line feed in a chunk's extension": CHUNKED + b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "no host": b"GET /x HTTP/1.1\r\n\r\n",
    "another version": b"GET /x HTTP/2.0\r\nHost: localhost\r\n\r\n",
    "another host in the request line": b"GET http://evil.example/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an upgrade with a body": POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}",
}


async def test_each_is_refused_and_nothing_behind_it_is_read() -> None:
    app = Seen()

    async with listening(app) as place:
        answers = {name: await exchanged(place, request + BEHIND) for name, request in REFUSED.items()}

    odd = {name: answer[:60] for name, answer in answers.items() if not answer.startswith(b"HTTP/1.1 400 ")}
    assert odd == {}
    assert {name: answer.count(b"\r\n\r\n") for name, answer in answers.items()} == dict.fromkeys(REFUSED, 1)
    told = [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers.values()]
    assert all(one["name"] == "BadRequest" and one["data"]["message"] for one in told)
    assert "/smuggled" not in app.paths


async def test_what_breaks_the_rules_behind_a_request_is_not_answered_inside_its_answer() -> None:
    app = Seen()

    async with listening(app) as place:
        with anyio.fail_after(30):
            async with await anyio.connect_tcp("127.0.0.1", place.port) as stream:
                await stream.send(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await app.begun.wait()
                await stream.send(b"GARBAGE\r\n\r\n")
                received = await read_to_the_end(stream)
        app.go_on.set()

    assert received.count(b"HTTP/1.1") == 1
    assert b"400" not in received


async def test_an_upgrade_is_not_done_and_the_connection_ends_with_the_answer() -> None:
    app = Seen()

    async with listening(app) as place:
        answer = await exchanged(place, GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", BEHIND)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert app.paths == ["/x"]
