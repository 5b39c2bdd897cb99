"""What measurements mean: the timers, buffers and masks of proxies are told apart, and a way out is named."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from dirty_equals import IsPartialDict

from mimocode.doctor.probing import BEAT_MS, EVENTS, RESUMED_AFTER, Heard, Measured
from mimocode.doctor.verdict import Verdict, judged

SENT = [0, *range(BEAT_MS, 4000, BEAT_MS)]


def answer(sent: Sequence[int] = SENT, configured_ms: int = 10_000) -> bytes:
    return json.dumps({"sentMs": list(sent), "configuredMs": configured_ms}).encode()


def flowing(configured_ms: int = 10_000) -> Heard:
    """Each beat when it was sent, the JSON at the end."""
    times = [ms / 1000 + 0.01 for ms in SENT]
    arrivals = (*((when, 1) for when in times), (4.02, 200))
    return Heard(200, {}, 0.01, arrivals, b" " * len(SENT) + answer(configured_ms=configured_ms), 4.02)


def at_the_end(seconds: float = 4.0, body: bytes | None = None) -> Heard:
    """Everything held back until then."""
    return Heard(200, {}, seconds, ((seconds, 210),), answer() if body is None else body, seconds + 0.01)


def stream(numbers: Sequence[int], *, held: bool = False) -> Heard:
    body = "".join(f'id: {one}\ndata: {{"number": {one}}}\n\n' for one in numbers).encode()
    times = [2.0] if held else [0.01 + at * BEAT_MS / 1000 for at in range(len(numbers))]
    return Heard(200, {}, times[0], tuple((when, 30) for when in times), body, times[-1] + 0.01)


def long(cut_s: float | None = None, *, status: int = 200, last_s: float = 0.01, fault: str | None = "closed") -> Heard:
    if cut_s is None:
        return Heard(200, {}, 0.01, ((0.01, 1), (75.0, 99)), answer([0]), 75.0)
    return Heard(status, {}, 0.01, ((last_s, 1),), b" ", cut_s, fault)


CUT = Heard(200, {}, 0.01, ((0.01, 1),), b"  ", 0.6, "closed")
LIVE = stream(range(1, EVENTS + 1))
RESUMED = stream(range(RESUMED_AFTER + 1, EVENTS + 1))
CLEAN = Measured(flowing(), flowing(), CUT, LIVE, RESUMED, long(), long(), up_to_s=75)


def states(verdict: Verdict) -> dict[str, str]:
    return {finding.name: finding.state for finding in verdict.findings}


def said(verdict: Verdict, name: str) -> str:
    return next(f"{finding.said} {finding.mend}" for finding in verdict.findings if finding.name == name)


def test_a_path_that_changes_nothing_is_good() -> None:
    verdict = judged(CLEAN)

    assert (verdict.outcome, verdict.interval_ms, verdict.path_at_fault) == ("good", None, False)
    assert set(states(verdict).values()) == {"ok"}


@pytest.mark.parametrize(
    ("cut_s", "configured_ms", "interval_ms"),
    [(60.0, 10_000, None), (21.0, 10_000, None), (15.0, 10_000, 5_000), (3.0, 10_000, 1_000), (3.0, 1_000, None)],
)
def test_beats_are_asked_for_so_often_that_two_fit_into_the_silence_that_is_borne(
    cut_s: float, configured_ms: int, interval_ms: int | None
) -> None:
    measured = replace(CLEAN, short=flowing(configured_ms), idle=long(cut_s))

    verdict = judged(measured)

    assert (verdict.outcome, verdict.interval_ms) == ("good", interval_ms)
    assert states(verdict)["idle timer"] == ("ok" if interval_ms is None else "warn")


def test_silence_counts_from_the_last_byte() -> None:
    assert "after 3.0 s" in said(judged(replace(CLEAN, idle=long(5.0, last_s=2.0))), "idle timer")


def test_a_total_timer_is_told_from_an_idle_one() -> None:
    verdict = judged(replace(CLEAN, idle=long(30.0), total=long(30.0, last_s=29.5)))

    assert verdict.outcome == "joining"
    assert "30.0 s though they beat" in said(verdict, "total timer")


def test_a_body_that_is_held_back_is_got_by_joining_and_no_interval_helps() -> None:
    held = at_the_end()
    late = Heard(504, {}, 60.0, ((60.0, 100),), b"<html>late</html>", 60.0)
    verdict = judged(
        replace(
            CLEAN, short=held, compressed=held, events=stream(range(1, EVENTS + 1), held=True), idle=late, total=late
        )
    )

    assert (verdict.outcome, verdict.interval_ms) == ("joining", None)
    assert states(verdict) == IsPartialDict(
        {"beats": "warn", "event stream": "warn", "idle timer": "warn", "total timer": "warn"}
    )
    assert "status 504" in said(verdict, "idle timer")


def test_beats_that_compression_swallows_are_seen_beside_those_that_pass() -> None:
    squeezed = replace(at_the_end(), headers={"content-encoding": "gzip"})

    verdict = judged(replace(CLEAN, compressed=squeezed))

    assert states(verdict) == IsPartialDict({"beats": "ok", "compression": "warn"})


def test_beats_that_come_in_bunches_need_more_of_them() -> None:
    bunched = Heard(200, {}, 0.01, ((0.01, 1), (2.0, 5), (4.02, 200)), answer(), 4.02)

    verdict = judged(replace(CLEAN, short=bunched, idle=long(20.0)))

    assert states(verdict)["beats"] == "warn"
    assert verdict.interval_ms == 1_000


def test_a_death_that_looks_like_a_clean_end_is_noted() -> None:
    verdict = judged(replace(CLEAN, cut=replace(CUT, fault=None)))

    assert (verdict.outcome, states(verdict)["killed server"]) == ("good", "note")


def test_a_stream_that_does_not_resume_is_warned_of() -> None:
    verdict = judged(replace(CLEAN, resumed=LIVE))

    assert states(verdict)["resuming"] == "warn"


@pytest.mark.parametrize(
    "short",
    [
        Heard(fault="connection refused"),
        Heard(502, {}, 0.1, ((0.1, 9),), b"<html>no</html>", 0.1),
        Heard(200, {}, 0.1, ((0.1, 9),), b"<html>a login page</html>", 0.1),
        Heard(200, {}, 0.1, ((0.1, 1),), b" ", 0.1),
        Heard(200, {}, 0.1, ((0.1, 1),), b" ", 0.1, "closed"),
    ],
)
def test_a_path_on_which_no_answer_arrives_is_broken(short: Heard) -> None:
    verdict = judged(replace(CLEAN, short=short))

    assert (verdict.outcome, states(verdict)) == ("broken", {"answer": "fail"})
