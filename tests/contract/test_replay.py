"""Every recording is played again: this server departs from it where `departures` says so, and nowhere else."""

import shutil

import pytest
from tests.contract.behaviours import CONTRACT, proves
from tests.contract.departures import OURS, PEER, SURROUNDINGS
from tests.contract.replay import Replay
from tests.contract.talk import Talk

RECORDINGS = sorted(path.stem for path in (CONTRACT / "recordings").glob("*.jsonl"))


@pytest.fixture(scope="module")
def departed() -> dict[str, list[str]]:
    """Where each recording was departed from, as far as they were played in this run."""
    return {}


@proves("replay")
@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_is_played_again(talk: Talk, departed: dict[str, list[str]], name: str) -> None:
    shutil.copytree(talk.directory, talk.directory.parent / "proj2")

    departed[name] = await Replay(talk, name).play()

    known = [*SURROUNDINGS, *(PEER if talk.with_peer else OURS)]
    assert [place for place in departed[name] if not any(row.covers(place) for row in known)] == []


@proves("replay")
async def test_every_departure_is_one(talk: Talk, departed: dict[str, list[str]]) -> None:
    if talk.with_peer:
        pytest.skip("opencode departs from itself now here, now there")
    if len(departed) < len(RECORDINGS):
        pytest.skip(f"only {len(departed)} of {len(RECORDINGS)} recordings were played in this run")

    seen = {place for places in departed.values() for place in places}

    assert [row.place for row in [*SURROUNDINGS, *OURS] if not any(row.covers(place) for place in seen)] == []
