"""What a measurement means. Pure: numbers in, sentences out."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from .finding import Finding
from .probing import BEAT_MS, EVENTS, RESUMED_AFTER, SHORT_S, Heard, Measured

Outcome = Literal["good", "joining", "broken"]

INTERVALS_MS = (10_000, 5_000, 2_500, 1_000, 500, 250, 100, 50)
"""What is recommended: the longest that is at most half of what the path bears."""

_LATE_S = 1.0
"""How much later than it was sent a byte may come and still count as handed on: the machine may be busy."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`said` is for a person. `interval_ms` is what to set on the server; None: nothing needs setting.

    `path_at_fault` says that a proxy's settings can make it better.
    """

    outcome: Outcome
    said: str
    findings: tuple[Finding, ...]
    interval_ms: int | None
    path_at_fault: bool


def judged(measured: Measured) -> Verdict:
    short = measured.short
    answer = short.answer
    if answer is None:
        finding = Finding("answer", "fail", _broken(short), "Look at what stands between, and at the server's log.")
        return Verdict("broken", "Broken: even a short answer does not arrive.", (finding,), None, path_at_fault=True)
    flow = _flow(short, answer.sentMs)
    interval_ms = _interval_ms(measured, flow, answer.configuredMs)
    findings = (
        _arrived(short),
        *_beats(flow, short),
        *_compression(measured.compressed, answer.sentMs),
        *_idle(measured, flow, interval_ms, answer.configuredMs),
        *_total(measured, flow),
        _killed(measured.cut),
        *_stream(measured),
    )
    at_fault = any(finding.state in ("warn", "fail") for finding in findings)
    by_joining = flow.held or _cut_with_beats(measured) is not None
    if any(finding.state == "fail" for finding in findings):
        outcome: Outcome = "broken"
        said = "Broken: answers arrive, and something else that clients need does not. See what failed."
    elif by_joining:
        outcome = "joining"
        said = (
            "Works by joining again: a long answer is cut or held back on the way, and clients that ask again for the "
            "same message (mimo run, mimocode.client, SDKs that retry) get it. Others do not."
        )
    elif interval_ms is not None:
        outcome = "good"
        said = f"Good, once the server beats every {interval_ms / 1000:g} s: a waiting answer then stays alive here."
    else:
        outcome = "good"
        said = "Good: a waiting answer stays alive on this path."
    return Verdict(outcome, said, findings, interval_ms, at_fault)


@dataclass(frozen=True, slots=True)
class _Flow:
    """How beats came. `held`: none before the end. `slowed`: the longest silence over that of the server."""

    sent: int
    came: int
    gap_s: float
    held: bool
    slowed: float


def _flow(heard: Heard, sent_ms: list[int]) -> _Flow:
    first_s = heard.first_byte_s or 0.0
    times_s = [0.0, *(ms / 1000 for ms in sent_ms)]
    sent_gap_s = max([BEAT_MS / 1000, *(b - a for a, b in pairwise(times_s))])
    late = heard.longest_gap_s > sent_gap_s + _LATE_S
    return _Flow(
        sent=len(sent_ms),
        came=len([piece for piece in heard.arrivals if piece[0] < heard.ended_s]),
        gap_s=heard.longest_gap_s,
        held=first_s > SHORT_S - BEAT_MS / 1000,
        slowed=heard.longest_gap_s / sent_gap_s if late else 1.0,
    )


def _broken(heard: Heard) -> str:
    if heard.status is None:
        return f"No answer: {heard.fault}."
    if heard.fault is not None:
        return f"Status {heard.status}, then it broke after {heard.ended_s:.1f} s: {heard.fault}."
    start = heard.body.strip()[:80].decode(errors="replace")
    return f"Status {heard.status} and {len(heard.body)} bytes that are not the server's answer: {start!r}."


def _arrived(heard: Heard) -> Finding:
    said = f"Whole and right. Headers after {_ms(heard.headers_s)}, first byte after {_ms(heard.first_byte_s)}."
    return Finding("answer", "ok", said)


def _beats(flow: _Flow, heard: Heard) -> Iterator[Finding]:
    if flow.held:
        yield Finding(
            "beats",
            "warn",
            f"Held back: the body came only at its end, after {heard.ended_s:.1f} s, with all {flow.sent} beats.",
            "Switch buffering of responses off.",
        )
    elif flow.slowed > 1:
        yield Finding(
            "beats",
            "warn",
            f"Bunched: {flow.sent} were sent {BEAT_MS} ms apart; the longest silence here was {flow.gap_s:.1f} s.",
            "Switch buffering and compression of responses off.",
        )
    else:
        yield Finding("beats", "ok", f"Handed on one by one: the longest silence was {flow.gap_s:.1f} s.")


def _compression(heard: Heard, sent_ms: list[int]) -> Iterator[Finding]:
    encoding = heard.headers.get("content-encoding")
    if heard.answer is None:
        yield Finding("compression", "fail", f"A client that accepts gzip gets no answer. {_broken(heard)}")
        return
    flow = _flow(heard, sent_ms)
    if encoding is None:
        yield Finding("compression", "ok", "Answers are not compressed on the way.")
    elif flow.held or flow.slowed > 1:
        said = f"Answers are compressed ({encoding}), and beats are swallowed: a silence of {flow.gap_s:.1f} s."
        mend = "Do not compress application/json on the way; the server already says `no-transform`."
        yield Finding("compression", "warn", said, mend)
    else:
        yield Finding("compression", "ok", f"Answers are compressed ({encoding}); beats come through all the same.")


def _cut_after_s(heard: Heard | None) -> float | None:
    """When a long probe was cut, from its last byte on; None if it was not."""
    if heard is None or heard.answer is not None:
        return None
    last_s = heard.arrivals[-1][0] if heard.status == 200 and heard.arrivals else 0.0
    # A proxy's own words for "too late" are the end, not a sign of life.
    return heard.ended_s - last_s if last_s < heard.ended_s else heard.ended_s


def _cut_with_beats(measured: Measured) -> float | None:
    """When the beating probe was cut; None if it was not."""
    total = measured.total
    return None if total is None or total.answer is not None else total.ended_s


def _interval_ms(measured: Measured, flow: _Flow, configured_ms: int) -> int | None:
    silence_s = _cut_after_s(measured.idle)
    if silence_s is None or flow.held:
        return None
    bearable_ms = silence_s * 1000 / 2 / flow.slowed
    if configured_ms <= bearable_ms:
        return None
    return next((ms for ms in INTERVALS_MS if ms <= bearable_ms), INTERVALS_MS[-1])


def _idle(measured: Measured, flow: _Flow, interval_ms: int | None, configured_ms: int) -> Iterator[Finding]:
    if measured.idle is None:
        return
    silence_s = _cut_after_s(measured.idle)
    if silence_s is None:
        yield Finding("idle timer", "ok", f"None within {measured.up_to_s:g} s of silence.")
        return
    said = f"Silence is cut after {silence_s:.1f} s{_how(measured.idle)}."
    if flow.held:
        mend = "Beats cannot help while the body is held back: switch buffering off, or make the timer longer."
        yield Finding("idle timer", "warn", said, mend)
    elif interval_ms is not None:
        mend = f"Start the server with MIMOCODE_PROMPT_HEARTBEAT_INTERVAL_MS={interval_ms}, or make the timer longer."
        yield Finding("idle timer", "warn", said, mend)
    else:
        yield Finding("idle timer", "ok", f"{said} The server beats every {configured_ms / 1000:g} s: often enough.")


def _total(measured: Measured, flow: _Flow) -> Iterator[Finding]:
    if measured.total is None:
        return
    after_s = _cut_with_beats(measured)
    if after_s is None:
        said = f"None within {measured.up_to_s:g} s."
        yield Finding("total timer", "ok", said)
    elif flow.held:
        said = f"An answer that beats is cut too, after {after_s:.1f} s{_how(measured.total)}: its beats are held back."
        yield Finding("total timer", "warn", said, "Switch buffering of responses off.")
    else:
        said = f"Answers are cut after {after_s:.1f} s though they beat{_how(measured.total)}."
        yield Finding("total timer", "warn", said, "Make the timer for whole answers longer, or switch it off.")


def _how(heard: Heard) -> str:
    if heard.status is None:
        return f" ({heard.fault})"
    if heard.fault is not None:
        return " (the connection breaks)"
    if heard.status != 200:
        return f" (status {heard.status})"
    return " (and looks like a clean, blank 200)" if heard.blank else ""


def _killed(heard: Heard) -> Finding:
    if heard.status == 200 and heard.fault is None:
        said = "The death of the server in the middle of an answer looks like a clean 200 with a blank body."
        mend = "Clients must read a blank 200 as lost and join again; mimo run and mimocode.client do."
        return Finding("killed server", "note", said, mend)
    return Finding("killed server", "ok", "Is seen as what it is: the answer breaks off.")


def _stream(measured: Measured) -> Iterator[Finding]:
    live, resumed = measured.events, measured.resumed
    everything = list(range(1, EVENTS + 1))
    if live.status != 200 or live.numbers != everything:
        yield Finding("event stream", "fail", f"Did not arrive whole. {_broken(live)}", "Let text/event-stream pass.")
        return
    if (live.first_byte_s or 0.0) > (EVENTS - 2) * BEAT_MS / 1000 and live.longest_gap_s > _LATE_S:
        said = f"Held back until its end ({live.ended_s:.1f} s): clients that show a turn live show nothing."
        yield Finding("event stream", "warn", said, "Switch buffering off for text/event-stream.")
    else:
        yield Finding("event stream", "ok", f"Flows: the longest silence was {live.longest_gap_s:.1f} s.")
    if resumed.numbers == everything[RESUMED_AFTER:]:
        yield Finding("resuming", "ok", "Last-Event-ID arrives: a stream that broke goes on where it was.")
    else:
        said = f"Last-Event-ID was not heeded: {resumed.numbers} came after {RESUMED_AFTER}."
        yield Finding("resuming", "warn", said, "Let the header Last-Event-ID pass; clients can send ?after= as well.")


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms"
