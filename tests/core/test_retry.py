"""How often, and after how long, a failed call of the model is tried again."""

import pytest

from mimocode.errors import ProviderError, StreamCut
from mimocode.turn.retry import MOST_RETRIES, MOST_TOTAL_S, delay_s


def overloaded(after_s: float | None = None) -> ProviderError:
    return ProviderError("overloaded", status=429, retryable=True, retry_after_s=after_s)


def delays(error: ProviderError) -> list[float]:
    """All waits until it is given up."""
    found: list[float] = []
    while (delay := delay_s(error, len(found), sum(found))) is not None:
        found.append(delay)
    return found


def test_waits_double_up_to_a_limit_and_their_number_is_bounded() -> None:
    assert delays(overloaded()) == [2, 4, 8, 16, 30, 30]
    assert len(delays(overloaded())) == MOST_RETRIES


def test_what_the_provider_asks_for_is_waited_for() -> None:
    assert delays(overloaded(7)) == [7] * MOST_RETRIES


@pytest.mark.parametrize(("asked", "delay"), [(0, 0), (-5, 0), (0.25, 0.25), (120, 120)])
def test_what_the_provider_asks_for_is_never_before_now(asked: float, delay: float) -> None:
    assert delay_s(overloaded(asked), 0, 0) == delay


def test_a_provider_that_asks_for_too_long_is_not_waited_for() -> None:
    assert delay_s(overloaded(120.1), 0, 0) is None


def test_the_waits_of_one_call_are_bounded_together() -> None:
    assert sum(delays(overloaded(120))) <= MOST_TOTAL_S
    assert delay_s(overloaded(100), 1, MOST_TOTAL_S - 100) == 100
    assert delay_s(overloaded(100), 1, MOST_TOTAL_S - 99) is None


def test_what_cannot_get_better_is_not_tried_again() -> None:
    assert delays(ProviderError("no such model", status=404)) == []
    assert delays(ProviderError("no such model", status=404, retry_after_s=1)) == []


def test_a_stream_without_an_end_is_tried_once_more_only() -> None:
    assert delays(StreamCut("cut")) == [2]
