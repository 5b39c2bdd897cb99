"""The model that is no model: the built-in demo with the real tools, and scripts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from mimocode.errors import ContentFiltered, ContextOverflow, Invalid, ProviderAuth, ProviderError, Rejected, StreamCut
from mimocode.llm.registry import Registry
from mimocode.llm.settings import ProviderSettings
from mimocode.tools.registry import toolbox
from mimocode.turn.ports import (
    BlockEnd,
    Call,
    ModelEvent,
    Need,
    Progress,
    StreamEnd,
    TextDelta,
    Toolbox,
    ToolCalled,
    Usage,
)
from mimocode.wire.ask import QuestionInfo
from mimocode.wire.message import WithParts
from mimocode.wire.part import ToolState
from mimocode.wire.session import Todo
from support.model_calls import assistant, call, calls, completed, end, errored, events, said, text, tool, user


class Human:
    """Answers every question alike, or says no."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.asked: list[QuestionInfo] = []

    async def question(self, call: Call, questions: Sequence[QuestionInfo]) -> list[list[str]]:
        self.asked += questions
        if self.answer is None:
            raise Rejected("The user dismissed this question")
        return [[self.answer] for _ in questions]

    async def permit(self, call: Call, needs: Sequence[Need]) -> None:
        """Allows everything."""


class NoTodos:
    async def todos(self, session_id: str) -> list[Todo]:
        return []

    async def set_todos(self, session_id: str, todos: Sequence[Todo]) -> None:
        """Forgets them."""


class Project:
    """A directory in which turns of the demo are played to their end, without server or storage."""

    def __init__(self, directory: Path, answer: str | None = "Summary", without: Sequence[str] = ()) -> None:
        self.directory = directory
        self.human = Human(answer)
        every = toolbox(human=self.human, todos=NoTodos(), spill=directory / ".spill")
        self.tools: Toolbox = {name: tool for name, tool in every.items() if name not in without}
        self.history: list[WithParts] = []
        self.used: list[str] = []
        self.told = ""

    async def prompt(self, words: str) -> str:
        """One turn; returns what the model said last."""
        # A registry for each call: nothing but the history may be remembered.
        self.history.append(user(len(self.history), words))
        for _ in range(10):
            models = Registry({}, env={}, directory=self.directory)
            specs = [tool.spec for tool in self.tools.values()]
            told = await events(models, call(models.default, self.history, tools=specs))
            self.told += text(told)
            results = [await self._run(made) for made in calls(told)]
            self.history.append(assistant(len(self.history), text(told), *results, finish=end(told).reason))
            if end(told).reason == "stop":
                return text(told)
        raise AssertionError("the demo does not come to an end")

    async def _run(self, made: ToolCalled):
        self.used.append(made.name)
        return tool(made.name, await self._state(made), made.call_id)

    async def _state(self, made: ToolCalled) -> ToolState:
        async def ignored(progress: Progress) -> None:
            """Nobody watches."""

        assert made.input is not None
        place = Call("ses_1", "msg_1", "prt_1", made.call_id, "build", self.directory, self.directory, ignored)
        try:
            done = await self.tools[made.name].ready(made.input).run(place)
        except Rejected as error:
            return errored(str(error), made.input)
        return completed(done.output, made.input)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "README.md").write_text("# A sample\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "calc.py").write_text("x = 1\n")
    return Project(tmp_path)


# ── the demo ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_demo_looks_asks_and_writes(project: Project) -> None:
    last = await project.prompt("Describe this project")

    assert project.used == ["glob", "read", "question", "write"]
    assert project.human.asked[0].question == "What shall I write into REHEARSAL.md?"
    assert "no model is asked" in project.told
    assert "wrote REHEARSAL.md" in last
    written = (project.directory / "REHEARSAL.md").read_text()
    assert "Describe this project" in written
    assert "- README.md\n- src/calc.py\n" in written


async def test_the_demo_writes_what_was_answered(project: Project) -> None:
    project.human.answer = "A poem about ducks"

    await project.prompt("Go")

    assert "You answered: A poem about ducks" in (project.directory / "REHEARSAL.md").read_text()


@pytest.mark.parametrize("answer", ["Nothing", None])
async def test_the_demo_writes_nothing_against_your_will(project: Project, answer: str | None) -> None:
    project.human.answer = answer

    last = await project.prompt("Go")

    assert "wrote nothing" in last
    assert not (project.directory / "REHEARSAL.md").exists()


async def test_the_demo_does_without_tools_it_may_not_use(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A sample\n")
    project = Project(tmp_path, without=["write", "question", "read"])

    last = await project.prompt("Go")

    assert project.used == ["glob"]
    assert "may not write here" in last


async def test_the_demo_works_in_an_empty_project(tmp_path: Path) -> None:
    project = Project(tmp_path)

    await project.prompt("Go")

    assert project.used == ["glob", "question", "write"]


async def test_the_demo_goes_on_from_what_it_did_before(project: Project) -> None:
    await project.prompt("Go")
    project.used.clear()

    last = await project.prompt("And now?")

    assert project.used == ["read"]
    assert "“And now?”" in last
    assert "REHEARSAL.md is still there" in last


async def test_nothing_configured_means_the_demo() -> None:
    models = Registry({}, env={})

    assert (str(models.default.providerID), models.default.id) == ("rehearsal", "demo")
    assert models.small == models.default


async def test_titles_and_summaries_come_from_the_conversation(project: Project) -> None:
    await project.prompt("please  repair the\nbroken build of everything now")
    models = Registry({}, env={})

    title = await events(models, call(models.small, project.history[:1], purpose="title"))
    summary = await events(models, call(models.small, project.history, purpose="summary"))

    assert text(title) == "Please repair the broken build of everything"
    assert "- please repair the broken build of everything now" in text(summary)
    assert "Tools used: glob × 1, question × 1, read × 1, write × 1." in text(summary)


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────


def scripted(directory: Path, source: str) -> Registry:
    (directory / "play.rehearsal").write_text(source)
    return Registry({}, env={"MIMOCODE_REHEARSAL_SCRIPT": "play.rehearsal"}, directory=directory)


async def play(models: Registry, *history: WithParts) -> list[ModelEvent]:
    return await events(models, call(models.default, history))


async def test_a_script_is_played_as_written(tmp_path: Path) -> None:
    models = scripted(tmp_path, 'think: hm\ntext: You said {{last_user}}\ncall: bash {"command": "ls"}\nusage: input=3')

    told = await play(models, user(1, "hello"))

    assert text(told) == "You said hello"
    assert [(made.name, made.input) for made in calls(told)] == [("bash", {"command": "ls"})]
    assert end(told) == StreamEnd("tool-calls", Usage(input=3), 0.0)


async def test_steps_are_counted_by_finished_messages_only(tmp_path: Path) -> None:
    models = scripted(tmp_path, "text: one\n---\ntext: two\n---\ntext: three")
    history = [user(1, "a"), assistant(2, "one"), assistant(3, "half", finish=None), assistant(4, "sum", summary=True)]

    told = await play(models, *history)

    assert text(told) == "two"


async def test_text_the_server_put_in_is_no_prompt(tmp_path: Path) -> None:
    models = scripted(tmp_path, "each-prompt: yes\ntext: one\n---\ntext: {{last_user}}")
    history = [user(1, "real"), assistant(2, "one"), user(3, said("reminder", synthetic=True))]

    told = await play(models, *history)

    assert text(told) == "real"


async def test_an_answer_is_remembered_over_other_tools(tmp_path: Path) -> None:
    models = scripted(tmp_path, "each-prompt: yes\ntext: {{answer}} / {{last_result}}")
    asked = tool("question", completed('User has answered your questions: "Which?"="Blue".'), "call_1")
    wrote = tool("write", completed("Wrote file"), "call_2")

    told = await play(models, user(1, "a"), assistant(2, asked), assistant(3, wrote), user(4, "b"))

    assert text(told) == "Blue / Wrote file"


async def test_an_error_with_times_is_over_after_so_many_attempts(tmp_path: Path) -> None:
    models = scripted(tmp_path, "error: 429 times=1 retry-after=3 wait\ntext: fine")

    with pytest.raises(ProviderError) as caught:
        await play(models, user(1, "a"))
    told = await play(models, user(1, "a"))

    assert (caught.value.status, caught.value.retryable, caught.value.retry_after_s) == (429, True, 3.0)
    assert text(told) == "fine"


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("drop", StreamCut),
        ("reset", ProviderError),
        ("garbage: x", ProviderError),
        ("error: 401 no", ProviderAuth),
        ("error: 400 code=context_length_exceeded long", ContextOverflow),
        ("finish: content-filter", ContentFiltered),
    ],
)
async def test_every_failure_is_the_error_a_provider_would_give(
    tmp_path: Path, step: str, kind: type[Exception]
) -> None:
    models = scripted(tmp_path, f"text: hm\n{step}")

    with pytest.raises(kind) as caught:
        await play(models, user(1, "a"))

    assert type(caught.value) is kind


async def test_a_hanging_script_ends_with_its_task(tmp_path: Path) -> None:
    models = scripted(tmp_path, "text: hm\nhang")
    stream = models.stream(call(models.default, [user(1, "a")]))
    said = [await anext(stream), await anext(stream)]

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(stream), 0.05)

    assert said == [TextDelta(0, "hm"), BlockEnd(0)]


async def test_a_script_is_named_by_its_path_too(tmp_path: Path) -> None:
    (tmp_path / "greet.rehearsal").write_text("text: Good day")
    models = Registry({}, env={}, directory=tmp_path)

    told = await events(models, call(models.resolve("rehearsal", "greet"), [user(1, "a")]))

    assert text(told) == "Good day"


def test_a_script_is_configured_like_a_provider(tmp_path: Path) -> None:
    settings = ProviderSettings.model_validate(
        {"options": {"script": "play.rehearsal"}, "models": {"script": {"limit": {"context": 500, "output": 50}}}}
    )
    models = Registry({"rehearsal": settings}, env={}, directory=tmp_path)

    assert models.default.api.id == "play.rehearsal"
    assert models.default.limit.context == 500


async def test_a_missing_or_bad_script_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.rehearsal").write_text("text: a\nsing: la")
    models = Registry({}, env={"MIMOCODE_REHEARSAL_SCRIPT": "gone"}, directory=tmp_path)

    with pytest.raises(Invalid, match="There is no rehearsal script 'gone'"):
        await play(models, user(1, "a"))
    with pytest.raises(Invalid, match=r"bad\.rehearsal, line 2: `sing` is not a verb"):
        models.resolve("rehearsal", "bad")
    with pytest.raises(Invalid, match="has no model 'nowhere'"):
        models.resolve("rehearsal", "nowhere")
