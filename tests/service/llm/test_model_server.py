"""The scripted model server itself."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.model_server import ModelServer, Received

TESTS = Path(__file__).parents[2]


def body(*texts: str, **fields: object) -> dict[str, object]:
    """A chat completions request; texts are the user's and the model's in turn."""
    roles = ["user", "assistant"]
    messages = [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]
    return {"model": "m", "stream": True, "messages": messages, "tools": [{"function": {"name": "bash"}}], **fields}


def said(answer: httpx.Response) -> str:
    return "".join(re.findall(r'"delta":\{"content":"(.*?)"\}', answer.text))


@pytest.fixture
def client():
    with httpx.Client(timeout=10) as client:
        yield client


def ask(client: httpx.Client, server: ModelServer, *texts: str, **fields: object) -> httpx.Response:
    return client.post(f"{server.base_url}/chat/completions", json=body(*texts, **fields))


def test_the_step_is_found_in_the_request(client: httpx.Client) -> None:
    with ModelServer("text: one\n---\ntext: two") as server:
        second = ask(client, server, "a", "one", "b")
        first = ask(client, server, "a")

    assert (said(first), said(second)) == ("one", "two")


def test_steps_can_be_played_in_order(client: httpx.Client) -> None:
    with ModelServer("text: one\n---\ntext: two", in_order=True) as server:
        answers = [said(ask(client, server, "a")) for _ in range(2)]

    assert answers == ["one", "two"]


def test_a_function_of_the_request_can_answer(client: httpx.Client) -> None:
    def play(request: Received) -> str:
        return f"text: {request.history.prompt.upper()}"

    with ModelServer(play) as server:
        answer = ask(client, server, "loud")

    assert said(answer) == "LOUD"


def test_titles_and_summaries_take_no_step(client: httpx.Client) -> None:
    with ModelServer("title: A name\nsummary: In short\ntext: one") as server:
        naming = {"role": "system", "content": "You are a title generator."}
        asking = {"role": "user", "content": "Provide a detailed prompt for continuing our conversation above."}
        title = ask(client, server, messages=[naming, {"role": "user", "content": "a"}], tools=[])
        summary = ask(client, server, messages=[asking], tools=[])
        turn = ask(client, server, "a")
        purposes = [request.purpose for request in server.requests]

    assert [said(answer) for answer in (title, summary, turn)] == ["A name", "In short", "one"]
    assert purposes == ["title", "summary", "turn"]


def test_a_failure_with_times_wears_off_for_the_same_request(client: httpx.Client) -> None:
    with ModelServer("error: 503 times=2 retry-after=1 busy\ntext: fine") as server:
        statuses = [ask(client, server, "a").status_code for _ in range(3)]
        other = ask(client, server, "another prompt")

    assert statuses == [503, 503, 200]
    assert (other.status_code, other.headers["retry-after"]) == (503, "1")


async def test_a_hanging_answer_goes_on_when_released() -> None:
    async with ModelServer("text: so\nhang\ntext: on") as server, httpx.AsyncClient(timeout=10) as client:
        answer = asyncio.create_task(client.post(f"{server.base_url}/chat/completions", json=body("a")))
        request = await server.received(1)
        early = request.answered.is_set()
        server.release()
        text = said(await answer)

    assert (early, text) == (False, "soon")
    assert request.answered.is_set()
    assert not request.gone.is_set()


async def test_it_sees_a_client_leave() -> None:
    async with ModelServer("hang") as server, httpx.AsyncClient(timeout=10) as client:
        async with client.stream("POST", f"{server.base_url}/chat/completions", json=body("a")):
            request = await server.received(1)
        gone = await asyncio.to_thread(request.gone.wait, 5)

    assert gone
    assert not request.answered.is_set()


def test_a_reset_is_a_reset(client: httpx.Client) -> None:
    with ModelServer("text: so\nreset") as server, pytest.raises(httpx.ReadError):
        ask(client, server, "a")


def test_it_says_what_it_cannot_do(client: httpx.Client) -> None:
    with ModelServer("text: one") as server:
        whole = client.post(f"{server.base_url}/chat/completions", json=body("a", stream=False))
        nowhere = client.post(f"{server.base_url}/elsewhere", json={})
        models = client.get(f"{server.base_url}/models")

    assert (whole.status_code, nowhere.status_code, models.status_code) == (400, 404, 200)


def test_stopping_ends_what_is_open(client: httpx.Client) -> None:
    server = ModelServer("text: so\nhang").start()
    with client.stream("POST", f"{server.base_url}/chat/completions", json=body("a")) as answer:
        server.wait_received(1)
        server.stop()
        with pytest.raises(httpx.TransportError):
            answer.read()


def test_it_runs_as_a_process_of_its_own(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "play.rehearsal").write_text("text: from afar")
    command = [sys.executable, "-m", "support.model_server", str(tmp_path / "play.rehearsal")]

    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answer = client.post(f"{url}/chat/completions", json=body("a"))
        process.send_signal(signal.SIGINT)
        code = process.wait(20)

    assert (said(answer), code) == ("from afar", 0)
