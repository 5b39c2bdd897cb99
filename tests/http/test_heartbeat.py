"""How often an answer beats: what the operator configured, what the client declares, what its kind bears."""

import logging
import math
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from mimocode.server.heartbeat import VARIABLE, configured_s, interval_s, known_clients
from mimocode.server.prefer import preferences

DEFAULT_S = 10.0


@pytest.fixture(autouse=True)
def forget_warnings() -> Generator[None]:
    configured_s.cache_clear()
    yield
    configured_s.cache_clear()


@pytest.mark.parametrize(
    ("headers", "env", "expected_s"),
    [
        ({}, {}, DEFAULT_S),
        ({}, {VARIABLE: ""}, DEFAULT_S),
        ({}, {VARIABLE: "50"}, 0.05),
        ({}, {VARIABLE: "2500.5"}, 2.5005),
        ({}, {VARIABLE: "60000"}, 60.0),
        ({}, {VARIABLE: "1"}, 0.02),
        ({"x-stainless-read-timeout": "6"}, {}, 3.0),
        ({"x-stainless-timeout": "8"}, {}, 4.0),
        ({"x-stainless-read-timeout": "6", "x-stainless-timeout": "5"}, {}, 2.5),
        ({"x-stainless-timeout": "600"}, {}, DEFAULT_S),
        ({"x-stainless-timeout": "0.001"}, {}, 0.02),
        ({"prefer": "heartbeat=3"}, {}, 1.5),
        ({"prefer": 'respond-async, Heartbeat="1"; x=y, wait=25'}, {}, 0.5),
        ({"prefer": "heartbeat=100"}, {}, DEFAULT_S),
        ({"user-agent": "python-httpx/0.28.1"}, {}, 2.5),
        ({"user-agent": "okhttp/4.12.0"}, {}, 5.0),
        ({"user-agent": "MyApp/1 CFNetwork/1490.0.4 Darwin/23.2.0"}, {VARIABLE: "45000"}, 30.0),
        ({"user-agent": "Ruby"}, {VARIABLE: "45000"}, 30.0),
        ({"user-agent": "python-httpx/0.28.1"}, {VARIABLE: "100"}, 0.1),
        ({"user-agent": "python-httpx/0.28.1", "prefer": "heartbeat=60"}, {}, 2.5),
        ({"user-agent": "not-python-httpx/1"}, {}, DEFAULT_S),
        ({"user-agent": "node"}, {VARIABLE: "400000"}, 150.0),
    ],
)
def test_the_smallest_of_what_all_can_bear_counts(
    headers: dict[str, str], env: dict[str, str], expected_s: float
) -> None:
    assert interval_s(Headers(headers), env) == pytest.approx(expected_s)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "1e999", "ten", "10s", "0x10", "\0"])
def test_an_interval_that_makes_no_sense_is_the_default_with_one_warning(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    intervals = {interval_s(Headers(), {VARIABLE: value}) for _ in range(3)}

    assert intervals == {DEFAULT_S}
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            f"{VARIABLE} is {value!r}: not a number of milliseconds greater than 0. Using the default, 10000.",
        )
    ]


@given(value=st.text() | st.floats().map(str) | st.integers().map(str))
def test_whatever_is_configured_the_interval_is_a_number_not_below_20_ms(value: str) -> None:
    seconds = interval_s(Headers(), {VARIABLE: value})

    assert math.isfinite(seconds)
    assert seconds >= 0.02


@given(
    name=st.sampled_from(["x-stainless-read-timeout", "x-stainless-timeout", "prefer", "user-agent"]),
    value=st.text() | st.floats().map(lambda number: f"heartbeat={number}") | st.integers().map(str),
)
def test_whatever_a_client_declares_beats_are_never_slower_than_configured_nor_faster_than_20_ms(
    name: str, value: str
) -> None:
    assert 0.02 <= interval_s(raw((name, value)), {VARIABLE: "500"}) <= 0.5


def test_what_a_client_declares_wrongly_is_passed_over_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"x-stainless-timeout": "NaN", "x-stainless-read-timeout": "-3", "prefer": "heartbeat=soon"}

    assert interval_s(Headers(headers), {}) == DEFAULT_S
    assert caplog.records == []


def test_every_known_client_bears_half_its_silence_and_names_a_source() -> None:
    assert known_clients()
    for client in known_clients():
        assert (
            interval_s(Headers({"user-agent": f"{client.product}/9.9"}), {VARIABLE: "3600000"}) == client.silence_s / 2
        )
        assert "http" in client.source


def test_the_documentation_lists_every_known_client() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keepalive.md").read_text()

    listed = re.findall(r"^\| `([\w-]+)`.*?\| (\d+) s \|", page, re.MULTILINE)

    assert listed == [(client.product, str(int(client.silence_s))) for client in known_clients()]


def raw(*lines: tuple[str, str]) -> Headers:
    """Headers as they come in: a name may come several times, a value holds any bytes."""
    return Headers(raw=[(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in lines])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], {}),
        ([""], {}),
        (["respond-async"], {"respond-async": ""}),
        (["respond-async, wait=10"], {"respond-async": "", "wait": "10"}),
        (["respond-async", "wait=10"], {"respond-async": "", "wait": "10"}),
        (['Wait="10"; strict, wait=20'], {"wait": "10"}),
        (["wait=10", "WAIT=20, x"], {"wait": "10", "x": ""}),
        ([" , ;x=1, foo = bar "], {"foo": "bar"}),
        (["foo;a=1;b , bar ; c"], {"foo": "", "bar": ""}),
        (['foo="a, b; c=d", bar'], {"foo": "a, b; c=d", "bar": ""}),
        (['foo; p="x, wait=1", bar'], {"foo": "", "bar": ""}),
        ([r'foo="say \"hi\" \\"'], {"foo": r'say "hi" \ '.rstrip()}),
        (['foo=""', "bar="], {"foo": "", "bar": ""}),
        (["wait=1 2, wait=3"], {"wait": "3"}),
        (["wait=(1), b@d=1, ok"], {"ok": ""}),
        (['foo="never ends, wait=1', "bar"], {"bar": ""}),
        (['foo="never ends\\', "bar"], {"bar": ""}),
        (['foo="a"b, bar'], {"bar": ""}),
    ],
)
def test_preferences_are_read_as_rfc_7240_writes_them(lines: list[str], expected: dict[str, str]) -> None:
    assert preferences(raw(*(("prefer", line) for line in lines))) == expected


TOKENS = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)
SPACE = st.sampled_from(["", " ", "\t ", "   "])


@st.composite
def written(draw: st.DrawFn, name: str, value: str) -> str:
    """A preference, or a parameter, as the grammar allows it to be written."""
    quoted = '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
    plain = [value] if value and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value) else []
    if not value and draw(st.booleans()):
        return name
    return f"{name}{draw(SPACE)}={draw(SPACE)}{draw(st.sampled_from([quoted, *plain]))}"


@given(data=st.data(), wanted=st.dictionaries(TOKENS.map(str.lower), WORDS, max_size=5))
def test_whatever_the_grammar_allows_is_read(data: st.DataObject, wanted: dict[str, str]) -> None:
    lines = [""]
    for name, value in wanted.items():
        preference = data.draw(written(name, value))
        for parameter in data.draw(st.lists(TOKENS, max_size=2)):
            preference += f"{data.draw(SPACE)};{data.draw(SPACE)}{data.draw(written(parameter, data.draw(WORDS)))}"
        if data.draw(st.booleans()):
            lines.append(preference)
        else:
            lines[-1] += f"{data.draw(SPACE)},{data.draw(SPACE)}{preference}"

    assert preferences(raw(*(("prefer", line) for line in lines))) == wanted


@given(line=st.text() | st.text('",;=\\ a'))
def test_whatever_comes_as_a_preference_is_read_to_its_end(line: str) -> None:
    assert all(name == name.lower() for name in preferences(raw(("prefer", line))))


@pytest.mark.parametrize("piece", ['"', '\\"', '"\\', "=", "= ", " ;", 'a="', 'a="\\"'])
def test_a_long_line_of_nonsense_is_read_once_not_over_and_over(piece: str) -> None:
    """Reading it again from every place would take hours: this ends, or the test's own time does."""
    assert len(preferences(raw(("prefer", piece * 500_000)))) <= 1
