"""A bounded part of what `python -m tests.crash` does by the thousands."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.crash import commits, harness
from tests.crash.fleet import Job, outcomes
from tests.crash.plan import plan
from tests.crash.zygote import Zygote, python_path

from mimocode.store.crash import When

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

_OWNER = """
import sys, time
from support.programs import plain_environment
from pathlib import Path
from tests.crash.zygote import Birth, Zygote
home = sys.argv[1]
born = Zygote().born(Birth(["serve", "--no-auth", "--port", "0"], plain_environment(Path(home)), home, home + "/log"))
print(born.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def zygote() -> Generator[Zygote]:
    made = Zygote()
    yield made
    made.close()


@pytest.mark.parametrize("seed", [1, 2, 5])
async def test_a_server_killed_again_and_again_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, zygote: Zygote, seed: int
) -> None:
    outcome = await harness.run(seed, tmp_path, zygote, kills=12)

    assert outcome.wrong == []
    assert outcome.kills.total() > 0


@pytest.mark.parametrize(
    ("scene", "when", "numbers"),
    [
        ("turn", "before", [1, 19, 37]),
        ("turn", "after", [1, 28]),
        ("commands", "before", [4, 13]),
        ("commands", "after", [1, 9]),
        ("ended", "before", [1, 12]),
        ("ended", "after", [7, 11]),
    ],
)
async def test_a_server_that_dies_at_a_commit_goes_on_from_what_is_stored(
    tmp_path: Path, zygote: Zygote, scene: str, when: When, numbers: list[int]
) -> None:
    outcome = await commits.run(tmp_path, zygote, scene, when, numbers)

    assert outcome.wrong == []
    assert outcome.kills.total() > 0


def test_runs_side_by_side_each_have_their_verdict() -> None:
    jobs = [Job("seed", seed=seed, kills=1) for seed in (11, 12)]

    found = list(outcomes(jobs, 2))

    assert {outcome.seed for outcome in found} == {"11", "12"}
    assert [outcome.wrong for outcome in found] == [[], []]


def test_a_seed_always_plans_the_same() -> None:
    assert plan(7, 6, 4) == plan(7, 6, 4)
    assert plan(7, 6, 4) != plan(8, 6, 4)


def test_a_killed_harness_leaves_no_server_behind(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, tmp_path],
        env={**os.environ, "PYTHONPATH": python_path()},
        stdout=subprocess.PIPE,
    )
    assert owner.stdout is not None
    server = os.pidfd_open(int(owner.stdout.readline()))

    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    assert _ends_within(server, 30)
    os.close(server)


def _ends_within(descriptor: int, seconds: float) -> bool:
    import select

    return bool(select.select([descriptor], [], [], seconds)[0])
