"""How often an answer beats: what the operator configured, what the client declares, what its kind bears."""

import logging
import math
import re
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.server.heartbeat import KNOWN_CLIENTS, VARIABLE, configured_s, interval_s, preferences

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
    ],
)
def test_the_smallest_of_what_all_can_bear_counts(
    headers: dict[str, str], env: dict[str, str], expected_s: float
) -> None:
    assert interval_s(headers, env) == pytest.approx(expected_s)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "-inf", "1e999", "ten", "10s", "0x10", "\0"])
def test_an_interval_that_makes_no_sense_is_the_default_with_one_warning(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    intervals = {interval_s({}, {VARIABLE: value}) for _ in range(3)}

    assert intervals == {DEFAULT_S}
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (
            logging.WARNING,
            f"{VARIABLE} is {value!r}: not a number of milliseconds greater than 0. Using the default, 10000.",
        )
    ]


@given(value=st.text() | st.floats().map(str) | st.integers().map(str))
def test_whatever_is_configured_the_interval_is_a_number_not_below_20_ms(value: str) -> None:
    seconds = interval_s({}, {VARIABLE: value})

    assert math.isfinite(seconds)
    assert seconds >= 0.02


@given(
    name=st.sampled_from(["x-stainless-read-timeout", "x-stainless-timeout", "prefer", "user-agent"]),
    value=st.text() | st.floats().map(lambda number: f"heartbeat={number}") | st.integers().map(str),
)
def test_whatever_a_client_declares_beats_are_never_slower_than_configured_nor_faster_than_20_ms(
    name: str, value: str
) -> None:
    assert 0.02 <= interval_s({name: value}, {VARIABLE: "500"}) <= 0.5


def test_what_a_client_declares_wrongly_is_passed_over_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"x-stainless-timeout": "NaN", "x-stainless-read-timeout": "-3", "prefer": "heartbeat=soon"}

    assert interval_s(headers, {}) == DEFAULT_S
    assert caplog.records == []


def test_every_known_client_bears_half_its_silence_and_names_a_source() -> None:
    for client in KNOWN_CLIENTS:
        assert interval_s({"user-agent": f"{client.product}/9.9"}, {VARIABLE: "3600000"}) == client.silence_s / 2
        assert "http" in client.source


def test_the_documentation_lists_every_known_client() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keepalive.md").read_text()

    listed = re.findall(r"^\| `([\w-]+)`.*?\| (\d+) s \|", page, re.MULTILINE)

    assert listed == [(client.product, str(int(client.silence_s))) for client in KNOWN_CLIENTS]


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        ("", {}),
        ("respond-async", {"respond-async": ""}),
        ("respond-async, wait=10", {"respond-async": "", "wait": "10"}),
        ('Wait="10"; strict, wait=20', {"wait": "10"}),
        (" , ;x=1, foo = bar ", {"foo": "bar"}),
    ],
)
def test_preferences_are_read_as_rfc_7240_writes_them(prefer: str, expected: dict[str, str]) -> None:
    assert preferences({"prefer": prefer}) == expected
