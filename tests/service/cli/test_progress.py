"""The live line: what is being done or waited for, for how long, and what it cost."""

import time
from datetime import datetime, timedelta

import pytest
from tests.service.client.fake import answer

from mimocode.cli.progress import Progress
from mimocode.client import Lost
from mimocode.wire.message import AssistantMessage
from mimocode.wire.session import Busy, Idle, Retry


def doing(progress: Progress) -> str:
    return progress.line().split(" · ")[0]


def step(number: int, *, tokens: int, cost: float) -> AssistantMessage:
    used = {"input": tokens, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
    return AssistantMessage.model_validate({**answer()["info"], "id": f"msg_{number}", "cost": cost, "tokens": used})


def test_a_turn_that_begins_works_for_no_time() -> None:
    assert Progress().line() == "working · 0:00"


@pytest.mark.parametrize(("seconds", "shown"), [(59, "0:59"), (61, "1:01"), (3600, "1:00:00"), (200_000, "55:33:20")])
def test_the_time_it_took_is_shown(seconds: int, shown: str) -> None:
    assert Progress(started_at=time.monotonic() - seconds - 0.5).line() == f"working · {shown}"


def test_tokens_and_cost_are_sums_over_the_steps() -> None:
    progress = Progress()
    for number in (1, 2):
        progress.steps[f"msg_{number}"] = step(number, tokens=8000, cost=0.01)

    assert progress.line() == "working · 0:00 · 16.0k tokens · $0.0200"


def test_a_retry_of_the_model_is_counted_down() -> None:
    progress = Progress()

    progress.status(Retry(attempt=1, message="too busy", next=round(time.time() * 1000) + 8000))

    assert doing(progress) == "retrying the model in 8 s (too busy)"
    progress.status(Busy())
    assert doing(progress) == "working"


def test_a_wall_clock_that_is_set_does_not_change_the_countdown(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress()
    progress.status(Retry(attempt=1, message="too busy", next=round(time.time() * 1000) + 8000))

    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert doing(progress) == "retrying the model in 8 s (too busy)"


def test_a_model_that_has_fallen_silent_is_said_until_it_speaks() -> None:
    progress = Progress(tool="$ make")

    progress.status(Busy(message="The model lab/m has said nothing for 60 s."))

    assert doing(progress) == "The model lab/m has said nothing for 60 s."
    progress.status(Idle())
    assert doing(progress) == "$ make"


def test_a_person_is_waited_for_since_they_were_asked() -> None:
    progress, now = Progress(), datetime.now().astimezone()
    progress.wait(True)
    today = doing(progress)
    long_ago = now - timedelta(days=3)

    progress.waits_since(round(long_ago.timestamp() * 1000))

    assert today == f"waiting for you since {progress_time(now)}"
    assert doing(progress) == f"waiting for you since {long_ago:%Y-%m-%d %H:%M}"
    progress.wait(False)
    assert doing(progress) == "working"


def progress_time(now: datetime) -> str:
    """The minute may have just changed."""
    later = datetime.now().astimezone()
    assert later - now < timedelta(minutes=1)
    return f"{later:%H:%M}"


def test_a_lost_connection_goes_before_all_else_and_is_over_at_the_next_beat() -> None:
    progress = Progress()
    progress.status(Retry(attempt=1, message="too busy", next=0))

    progress.lost(Lost("no answer in time", 12.2))

    assert doing(progress) == "connection lost (no answer in time), joining again in 12 s"
    progress.beat()
    assert doing(progress) == "retrying the model in 0 s (too busy)"
