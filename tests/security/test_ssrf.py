"""What a page, a name server or a model may try to make `webfetch` connect to, read or unpack."""

import gzip
import itertools
import re
import zlib
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import anyio
import psutil
import pytest

from mimocode.errors import ToolFailed
from mimocode.tools.addresses import is_public
from mimocode.tools.webfetch import MAX_BYTES, WebFetch
from support.site import Answer, Site, serving
from support.tool_bench import Bench, benched

PUBLIC = "93.184.216.34"
INNER = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.31.255.255", "192.168.0.1", "169.254.169.254",
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.251", "255.255.255.255",
    "::", "::1", "::7f00:1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return benched(tmp_path)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


class Names:
    """A name server: what each name leads to, one answer after the other, the last for ever."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self._answers = {name.replace("_", "."): list(found) for name, found in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        found = self._answers[host]
        return [found.pop(0) if len(found) > 1 else found[0]]


def on_this_machine(site: Site) -> WebFetch:
    """The guard is off for one address, so that there can be a page to begin with; for all others it is on."""
    here = ip_address("127.0.0.1")
    return WebFetch(allow=lambda address: address == here or is_public(address), resolve=_here)


async def _here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"] if host.endswith(".test") else [host.strip("[]")]


async def refused(bench: Bench, tool: WebFetch, url: str, **arguments: object) -> str:
    with anyio.fail_after(60), pytest.raises(ToolFailed) as failed:
        await tool.ready({"url": url, **arguments}).run(bench.call())
    return str(failed.value)


@pytest.mark.parametrize("address", INNER)
async def test_a_name_that_leads_to_an_inner_address_is_refused(bench: Bench, address: str) -> None:
    names = Names(evil_test=[address])

    said = await refused(bench, WebFetch(resolve=names.resolve), "http://evil.test/")

    assert "not on the public internet" in said


@pytest.mark.parametrize("address", [address for address in INNER if "%" not in address and address != "127.0.0.1"])
async def test_a_redirect_to_an_inner_address_is_refused(bench: Bench, site: Site, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    site.pages["/"] = Answer(status=302, headers={"Location": f"http://{host}/latest/meta-data"})

    said = await refused(bench, on_this_machine(site), site.url("/"))

    assert "not on the public internet" in said
    assert [path for path, _ in site.asked] == ["/"]


async def test_a_name_that_changes_its_address_between_two_looks_is_judged_at_each(bench: Bench, site: Site) -> None:
    site.pages["/"] = Answer(status=302, headers={"Location": site.url("/again")})
    names = Names(pages_test=["127.0.0.1", "127.0.0.2"])
    tool = WebFetch(allow=lambda address: str(address) == "127.0.0.1", resolve=names.resolve)

    said = await refused(bench, tool, site.url("/"))

    assert "leads to 127.0.0.2" in said
    assert names.asked == ["pages.test", "pages.test"]
    assert [path for path, _ in site.asked] == ["/"]


SPELLINGS = """
localhost localhost. LOCALHOST 127.1 127.0.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 0 0.0.0.0
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:7f00:1] ①②⑦.⓪.⓪.① 127。0。0。1
"""
NO_PAGES = """
file:///etc/passwd ftp://example.com/ gopher://example.com/ data:text/plain,x unix:/run/docker.sock javascript:1
http+unix://%2Frun/ http://example.com@127.0.0.1/ http://example.com:80@127.0.0.1/ http://user:pw@example.com/
"""


@pytest.mark.parametrize("host", SPELLINGS.split())
async def test_no_spelling_of_this_machine_is_fetched(bench: Bench, site: Site, host: str) -> None:
    said = await refused(bench, WebFetch(), site.url("/", host))

    assert "not on the public internet" in said or "cannot be resolved" in said or "is not a URL" in said
    assert site.asked == []


@pytest.mark.parametrize("url", NO_PAGES.split())
async def test_only_web_pages_of_a_plain_host_are_fetched(bench: Bench, site: Site, url: str) -> None:
    site.pages["/"] = Answer(status=307, headers={"Location": url})

    for said in (await refused(bench, WebFetch(), url), await refused(bench, on_this_machine(site), site.url("/"))):
        assert re.search("only http:// and https://|user name or password|is not a URL|cannot be fetched", said)
    assert [path for path, _ in site.asked] == ["/"]


@pytest.mark.parametrize("url", ["http:///etc/passwd", "//example.com/", "/etc/passwd", ""])
async def test_a_url_without_a_host_is_none(bench: Bench, url: str) -> None:
    assert re.search("only http|at least 1", await refused(bench, WebFetch(), url))


async def test_proxies_of_the_environment_are_not_used(
    bench: Bench, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, site.url("/", "127.0.0.1"))
        monkeypatch.setenv(name.lower(), site.url("/", "127.0.0.1"))
    site.pages["/page"] = Answer(b"direct")

    done = await on_this_machine(site).ready({"url": site.url("/page")}).run(bench.call())

    assert done.output == "direct"
    assert [path for path, _ in site.asked] == ["/page"]


def packed(form: str, data: bytes) -> bytes:
    if form == "deflate bare":
        bare = zlib.compressobj(wbits=-15)
        return bare.compress(data) + bare.flush()
    return zlib.compress(data) if form == "deflate" else gzip.compress(data)


@pytest.mark.parametrize("form", ["gzip", "deflate", "deflate bare"])
async def test_a_packed_page_is_unpacked_no_further_than_it_may_be_large(bench: Bench, site: Site, form: str) -> None:
    coding = {"Content-Encoding": form.partition(" ")[0]}
    site.pages["/page"] = Answer(packed(form, b"a page"), headers=coding)
    site.pages["/bomb"] = Answer(packed(form, bytes(200 * 1024 * 1024)), headers=coding)
    fetch = on_this_machine(site)

    assert (await fetch.ready({"url": site.url("/page")}).run(bench.call())).output == "a page"
    before = psutil.Process().memory_info().rss
    assert "larger than 5 MB" in await refused(bench, fetch, site.url("/bomb"))
    assert psutil.Process().memory_info().rss - before < 10 * MAX_BYTES


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "gzip,deflate", "zstd", "compress"])
async def test_what_is_packed_otherwise_or_twice_is_not_unpacked(bench: Bench, site: Site, coding: str) -> None:
    site.pages["/"] = Answer(gzip.compress(gzip.compress(b"x")), headers={"Content-Encoding": coding})

    assert "was not asked for" in await refused(bench, on_this_machine(site), site.url("/"))


async def test_what_is_not_packed_as_it_says_is_told(bench: Bench, site: Site) -> None:
    site.pages["/"] = Answer(b"plain", headers={"Content-Encoding": "gzip"})

    assert "is packed wrongly" in await refused(bench, on_this_machine(site), site.url("/"))


async def test_a_body_that_trickles_is_given_up_when_the_time_is_over(bench: Bench) -> None:
    async def trickle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n")
            for _ in itertools.count():
                await stream.send(b".")
                await anyio.sleep(0.05)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    said = ""
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, trickle)
        tool = WebFetch(allow=lambda _: True, resolve=_here)

        said = await refused(bench, tool, f"http://slow.test:{port}/", timeout=0.5)

        group.cancel_scope.cancel()
    assert "no whole answer within 0.5 s" in said


async def test_a_page_that_keeps_the_parser_busy_is_given_up(bench: Bench, site: Site) -> None:
    site.pages["/"] = Answer(b"<a " * 30_000, "text/html")
    before = {child.pid for child in psutil.Process().children()}
    call = on_this_machine(site).ready({"url": site.url("/"), "timeout": 1})

    said = ""
    try:
        await call.run(bench.call())
    except ToolFailed as failed:
        said = str(failed)
    if not said:
        pytest.skip("this Python's parser is quick with broken tags")

    assert "was not made readable within 1 s. Fetch it as html" in said
    busy = [child for child in psutil.Process().children() if child.pid not in before]
    assert psutil.wait_procs(busy, timeout=20)[1] == []
