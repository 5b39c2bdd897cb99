"""Fetching: from a real server on this machine, which only the tests' guard lets through."""

import gzip
import ssl
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from mimocode.errors import ToolFailed
from mimocode.tools import webfetch
from mimocode.tools.addresses import Address, is_public
from mimocode.tools.webfetch import WebFetch
from mimocode.turn.ports import Done, Need
from support.site import Answer, Site, serving

from .conftest import Bench
from .test_read import PNG

HTML = b"<html><head><title>T</title><style>x{}</style></head><body><h1>Hi</h1><p>A <b>bold</b> word.</p></body></html>"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


async def local(host: str, port: int) -> Sequence[str]:
    """Every name leads to this machine."""
    return ["127.0.0.1"]


def anywhere(address: Address) -> bool:
    return True


async def fetch(bench: Bench, url: str, /, **arguments: object) -> Done:
    tool = WebFetch(allow=anywhere, resolve=local)
    return await tool.ready({"url": url, **arguments}).run(bench.call())


async def refusal(bench: Bench, url: str, tool: WebFetch | None = None, /, **arguments: object) -> str:
    tool = tool or WebFetch(allow=anywhere, resolve=local)
    with pytest.raises(ToolFailed) as failed:
        await tool.ready({"url": url, **arguments}).run(bench.call())
    return str(failed.value)


@pytest.mark.parametrize(
    ("form", "expected"),
    [("markdown", "T\n\n# Hi\n\nA **bold** word."), ("text", "T\nHi\nA\nbold\n word."), ("html", HTML.decode())],
)
async def test_a_page_comes_in_the_form_that_was_asked_for(bench: Bench, site: Site, form: str, expected: str) -> None:
    site.pages["/"] = Answer(HTML, "text/html; charset=utf-8")

    done = await fetch(bench, site.url("/"), format=form)

    assert done == Done(expected, f"{site.url('/')} (text/html)")
    assert site.asked == [("/", f"pages.test:{site.port}")]


async def test_other_text_comes_as_it_is(bench: Bench, site: Site) -> None:
    site.pages["/json"] = Answer(b'{"a": 1}', "application/json")
    site.pages["/latin"] = Answer("caf\xe9".encode("latin-1"), "text/plain; charset=iso-8859-1")
    site.pages["/packed"] = Answer(gzip.compress(b"unpacked"), headers={"Content-Encoding": "gzip"})

    assert (await fetch(bench, site.url("/json"))).output == '{"a": 1}'
    assert (await fetch(bench, site.url("/latin"))).output == "café"
    assert (await fetch(bench, site.url("/packed"))).output == "unpacked"


async def test_a_page_may_say_its_encoding_itself(bench: Bench, site: Site) -> None:
    site.pages["/"] = Answer('<meta charset="shift_jis"><p>日本</p>'.encode("shift_jis"), "text/html")

    assert (await fetch(bench, site.url("/"))).output == "日本"


async def test_a_page_nested_deeper_than_can_be_followed_is_still_text(bench: Bench, site: Site) -> None:
    site.pages["/"] = Answer(b"<div>" * 5_000 + b"deep", "text/html")

    assert (await fetch(bench, site.url("/"))).output == "deep"


async def test_images_are_shown_and_other_binaries_refused(bench: Bench, site: Site) -> None:
    site.pages["/dot"] = Answer(PNG, "image/png")
    site.pages["/zip"] = Answer(b"PK\3\4\0\0", "application/zip")

    done = await fetch(bench, site.url("/dot"))

    assert done.output == "Image fetched successfully"
    assert [attached.mime for attached in done.attachments] == ["image/png"]
    assert "is application/zip, which cannot be read as text" in await refusal(bench, site.url("/zip"))


async def test_redirects_are_followed_a_few_times(bench: Bench, site: Site) -> None:
    for number in range(10):
        site.pages[f"/{number}"] = Answer(status=302, headers={"Location": f"/{number + 1}"})
    site.pages["/5"] = Answer(b"there")

    followed = await fetch(bench, site.url("/0"))
    site.pages["/5"] = Answer(status=302, headers={"Location": "/6"})
    refused = await refusal(bench, site.url("/0"))

    assert followed == Done("there", f"{site.url('/5')} (text/plain)")
    assert "redirects more than 5 times" in refused


async def test_a_redirect_is_judged_like_the_first_address(bench: Bench, site: Site) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return {"pages.test": ["127.0.0.1"], "inner.test": ["127.0.0.2"]}[host]

    site.pages["/out"] = Answer(status=302, headers={"Location": site.url("/in", "inner.test")})
    site.pages["/file"] = Answer(status=302, headers={"Location": "file:///etc/passwd"})
    tool = WebFetch(allow=lambda address: address == ip_address("127.0.0.1"), resolve=resolve)

    inner = await refusal(bench, site.url("/out"), tool)
    file = await refusal(bench, site.url("/file"), tool)

    assert "'inner.test' leads to 127.0.0.2, which is not on the public internet" in inner
    assert "only http:// and https://" in file
    assert [path for path, _ in site.asked] == ["/out", "/file"]


async def test_the_connection_goes_to_the_address_that_was_judged(bench: Bench, site: Site) -> None:
    answers = [["127.0.0.1"], ["127.0.0.3"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    site.pages["/"] = Answer(b"judged")
    tool = WebFetch(allow=lambda address: address == ip_address("127.0.0.1"), resolve=rebinding)

    done = await tool.ready({"url": site.url("/")}).run(bench.call())

    assert done.output == "judged"
    assert answers == [["127.0.0.3"]]


async def test_the_next_address_is_tried_where_one_does_not_answer(bench: Bench, site: Site) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    site.pages["/"] = Answer(b"found")

    done = await WebFetch(allow=anywhere, resolve=resolve).ready({"url": site.url("/")}).run(bench.call())

    assert done.output == "found"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_out_of_reach_by_any_name(bench: Bench, site: Site, host: str) -> None:
    site.pages["/"] = Answer(b"secret")

    text = await refusal(bench, site.url("/", host), WebFetch())

    assert "not on the public internet" in text or "cannot be resolved" in text
    assert site.asked == []


async def test_one_inner_address_among_public_ones_is_enough_to_refuse(bench: Bench) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    assert "leads to 10.0.0.1" in await refusal(bench, "http://x.test/", WebFetch(resolve=resolve))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "::10.0.0.1",
        "2001:db8::1",
    ],
)
def test_an_address_of_some_inner_network_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_what_is_no_page_is_said_in_words(bench: Bench, site: Site) -> None:
    site.pages["/gone"] = Answer(status=410)

    assert "answered 410 Gone" in await refusal(bench, site.url("/gone"))
    assert "only http:// and https://" in await refusal(bench, "ftp://pages.test/")
    assert "only http:// and https://" in await refusal(bench, "/etc/passwd")
    assert "user name or password" in await refusal(bench, "http://me:secret@pages.test/")
    assert "cannot be fetched" in await refusal(bench, "http://pages.test:1/")


async def test_a_name_that_leads_nowhere_is_said(bench: Bench) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    text = await refusal(bench, "http://nowhere.test/", WebFetch(resolve=resolve))

    assert text == "The host 'nowhere.test' cannot be resolved: no such host. Check the URL."


async def test_a_page_too_large_is_refused(bench: Bench, site: Site) -> None:
    site.pages["/large"] = Answer(b"x" * (5 * 1024 * 1024 + 1))
    site.pages["/bomb"] = Answer(gzip.compress(b"\0" * 50_000_000), headers={"Content-Encoding": "gzip"})

    assert "larger than 5 MB" in await refusal(bench, site.url("/large"))
    assert "larger than 5 MB" in await refusal(bench, site.url("/bomb"))


async def test_a_server_that_does_not_answer_is_given_up(bench: Bench, site: Site) -> None:
    text = await refusal(bench, site.url("/hang"), timeout=0.3)

    assert f"{site.url('/hang')} gave no whole answer within 0.3 s" in text


def test_a_longer_wait_than_two_minutes_is_refused() -> None:
    with pytest.raises(ToolFailed, match="less than or equal to 120"):
        WebFetch().ready({"url": "http://x.test", "timeout": 121})


async def test_fetching_needs_leave_for_the_url() -> None:
    ready = WebFetch().ready({"url": "https://x.test/a", "format": "text"})

    needs = await ready.needs(None)  # pyright: ignore[reportArgumentType]

    metadata = {"url": "https://x.test/a", "format": "text", "timeout": None}
    assert needs == [Need("webfetch", ["https://x.test/a"], ["*"], metadata)]


async def test_certificates_are_judged_as_the_system_judges_them(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    known, own = tmp_path / "known.pem", tmp_path / "own.pem"
    authority.issue_cert("pages.test").private_key_and_cert_chain_pem.write_to_path(str(own))
    tls.load_cert_chain(own)
    authority.cert_pem.write_to_path(str(known))
    with serving(tls) as site:
        site.pages["/"] = Answer(b"over TLS")

        webfetch._system_tls.cache_clear()
        unknown = await refusal(bench, site.url("/", scheme="https"))
        monkeypatch.setenv("SSL_CERT_FILE", str(known))
        webfetch._system_tls.cache_clear()
        trusted = await fetch(bench, site.url("/", scheme="https"))
        misnamed = await refusal(bench, site.url("/", "other.test", "https"))
        webfetch._system_tls.cache_clear()

    assert trusted.output == "over TLS"
    assert "certificate" in unknown.lower()
    assert "certificate" in misnamed.lower()
