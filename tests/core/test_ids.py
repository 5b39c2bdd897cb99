"""Ids in the wire's form, ascending however fast they are made."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode import ids

FORM = re.compile(r"(ses|msg|prt|que|per|evt|prj|tool)_[0-9a-f]{12}[0-9A-Za-z]{14}")


def test_ids_ascend_within_a_millisecond() -> None:
    made = [ids.ascending("msg") for _ in range(20_000)]

    assert made == sorted(set(made))


def test_ids_of_different_prefixes_ascend_together() -> None:
    made = [ids.ascending(prefix).partition("_")[2] for prefix in ("msg", "prt", "msg", "evt", "prt")]

    assert made == sorted(set(made))


def test_ids_of_sessions_descend() -> None:
    made = [ids.descending("ses") for _ in range(5_000)]

    assert made == sorted(set(made), reverse=True)


def test_ids_made_by_many_threads_are_different_and_ascend_in_each() -> None:
    def make(count: int) -> list[str]:
        return [ids.ascending("prt") for _ in range(count)]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, [2_000] * 8))

    assert all(some == sorted(some) for some in made)
    assert len({one for some in made for one in some}) == 16_000


def test_a_clock_that_goes_back_does_not_take_the_ids_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ids.ascending("msg")
    an_hour_ago = ids.now_ms() - 3_600_000
    monkeypatch.setattr(ids, "now_ms", lambda: an_hour_ago)

    after = ids.ascending("msg")

    assert before < after


def test_a_forked_process_does_not_draw_what_its_parent_draws() -> None:
    script = """
import os
from mimocode import ids
ids.ascending("msg")
child = os.fork()
made = [ids.ascending("msg")[-14:] for _ in range(1000)]
os.write(1, "".join(one + "\\n" for one in made).encode())
child and os.waitpid(child, 0)
"""

    drawn = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()

    assert (len(drawn), len(set(drawn))) == (2000, 2000)


def test_an_id_of_a_moment_comes_before_those_of_later_moments() -> None:
    moment = ids.moment()
    later = ids.ascending("evt")

    assert ids.ascending("evt", moment) < later


def test_ids_have_the_wires_form() -> None:
    made = [ids.ascending("msg"), ids.descending("ses"), ids.derived("que", ids.ascending("prt"))]

    assert [one for one in made if not FORM.fullmatch(one)] == []


def test_an_id_holds_its_time_in_the_wires_way() -> None:
    before = ids.now_ms()
    stamp = int(ids.ascending("msg")[4:16], 16)

    assert 0 <= (stamp >> 12) - (before & (2**36 - 1)) < 60_000


@given(st.text(max_size=60), st.text(max_size=20))
def test_a_derived_id_is_the_same_for_ever_and_no_other_origins(origin: str, discriminator: str) -> None:
    made = ids.derived("que", origin, discriminator)

    assert made == ids.derived("que", origin, discriminator)
    others = [ids.derived("per", origin, discriminator), ids.derived("que", origin, discriminator + "x")]
    assert made not in others


def test_derived_ids_do_not_change_between_versions() -> None:
    assert ids.derived("que", "prt_209190c75001pyZFaF8FfmXLmd") == "que_209190c75001qsZ8VJVN5bSYrI"


def test_a_derived_id_sorts_with_its_origin() -> None:
    origins = [ids.ascending("prt") for _ in range(100)]

    made = [ids.derived("per", origin) for origin in origins]

    assert made == sorted(made)
