"""`mimo run` on a terminal, while things go wrong: the person sees what is waited for, and then the answer, once."""

from collections.abc import Generator
from pathlib import Path

import anyio.to_thread
import pytest
from tests.faults.between import SAID
from tests.service.cli.mimo import CTRL_C, User, served, terminal

from support.fault_proxy import Fault, fault_proxy, in_turn
from support.system import QUESTION


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[User]:
    with served(tmp_path_factory.mktemp("home")) as someone:
        yield someone


@pytest.fixture
def someone(home: User, tmp_path: Path) -> User:
    return home.at(tmp_path / "project")


def test_a_retry_of_the_model_is_counted_down(someone: User) -> None:
    model = someone.script("error: 503 retry-after=90 too busy")

    with terminal(someone, "run", "-m", model, "go") as screen:
        screen.until("retrying the model in ")
        screen.until("too busy) · 0:0")
        screen.send(CTRL_C)

        assert screen.end() == 130


def test_a_person_is_told_since_when_they_are_waited_for(someone: User) -> None:
    with terminal(someone, "run", "-m", someone.script(QUESTION), "go") as screen:
        screen.until("waiting for you since ")
        screen.send("2")

        screen.until("You said Blue.")
        assert screen.end() == 0


def test_tokens_are_shown_while_it_works(someone: User) -> None:
    model = someone.script('usage: input=20000 output=5\ncall: bash {"command": "true"}\n---\ndelay: 60s\ntext: Late.')

    with terminal(someone, "run", "-m", model, "go") as screen:
        screen.until("20.0k tokens")
        screen.send(CTRL_C)

        assert screen.end() == 130


async def test_a_lost_connection_is_shown_and_the_answer_comes_once(someone: User) -> None:
    model = someone.script(f"delay: 1s\ntext: {SAID}")
    async with someone.client() as mimo:
        url = mimo.url

    async with fault_proxy(url, in_turn(Fault("reset", body=6), of="/message")) as proxy:

        def play() -> str:
            words = ["--attach", proxy.url, "--dir", str(someone.project), "-m", model, "go"]
            with terminal(someone, "run", *words) as screen:
                screen.until("connection lost (")
                screen.until("), joining again in ")
                screen.until(SAID)
                assert screen.end() == 0
                return screen.seen

        seen = await anyio.to_thread.run_sync(play)

    assert seen.count(SAID) == 1
