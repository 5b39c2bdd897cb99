"""What a turn is made of, put together from its stored messages and its directory's configuration."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from mimocode import ids
from mimocode.errors import Invalid, NotFound, ToolFailed
from mimocode.human.asks import Asks
from mimocode.human.permission import HumanOfTurn, Permissions
from mimocode.store.queries import Queries
from mimocode.turn import compact, loop, prompt, rules, snapshots
from mimocode.turn.decide import Finish, Limits, decide
from mimocode.turn.history import History
from mimocode.turn.ports import Call, Clock, Human, ModelCall, ModelEvent, Need, Place, Tool, Toolbox
from mimocode.turn.structured import StructuredOutput
from mimocode.turn.world import Turn, World, Writing
from mimocode.wire.agent import Agent
from mimocode.wire.ask import QuestionInfo, Rule
from mimocode.wire.message import JsonSchemaFormat, UserMessage
from mimocode.wire.part import ToolPart
from mimocode.wire.prompt import PromptInput, ShellInput
from mimocode.wire.provider import Model, ModelApi
from mimocode.wire.session import Session

from . import changes, shell
from .instance import Instance, Instances
from .journal import Journal
from .sessions import Sessions
from .title import Titles


class Turns:
    """Builds turns and runs them; owns none."""

    def __init__(
        self, *, journal: Journal, queries: Queries, asks: Asks, permissions: Permissions, sessions: Sessions,
        instances: Instances, clock: Clock, titles: Titles,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._queries = queries
        self._asks = asks
        self._permissions = permissions
        self._sessions = sessions
        self._instances = instances
        self._clock = clock
        self._titles = titles

    async def instance(self, session: Session) -> Instance:
        return await self._instances.get(session.directory)

    def reader(self, instance: Instance) -> Tool:
        """The tool that turns an attached file into text: the human attached it, so nobody is asked."""
        return instance.tools(human=Nobody(), todos=self._sessions)["read"]

    def rules_of(self, wanted: PromptInput) -> Sequence[Rule]:
        """The rules that a prompt's `tools` adds to its session."""
        return rules.tools_as_rules(wanted.tools or {})

    async def history(self, session_id: str, number: int) -> History:
        return History(number, await self._queries.history(session_id, number))

    async def pen(self, session_id: str, turn_id: str, number: int) -> Writing:
        """The turn as it stands on disk. Raises `NotFound`, or `Invalid` if its agent or model is gone."""
        session = await self._sessions.get(session_id)
        instance = await self._instances.get(session.directory)
        history = await self._history_of(session_id, turn_id, number)
        asked = history.entry(turn_id).info
        assert isinstance(asked, UserMessage)
        agent = instance.agent(asked.agent)
        place = Place(instance.place.directory, instance.place.project, history.turn)
        human = HumanOfTurn(place, self._asks, self._permissions, lambda: self._ruleset(session_id, agent))
        toolbox = self._offered(instance, human, agent, session, asked)
        world = World(
            journal=self._journal,
            models=instance.models,
            toolbox=toolbox,
            human=human,
            account=self._sessions,
            clock=self._clock,
            snapshots=instance.snapshots,
        )
        return Writing(self._turn(instance, place, agent, asked), world, history)

    async def bare_pen(self, session_id: str, turn_id: str, number: int) -> Writing:
        """Enough of a turn to write why it cannot be run: its agent, its model, its configuration may be gone."""
        session = await self._sessions.get(session_id)
        history = await self._history_of(session_id, turn_id, number)
        asked = history.entry(turn_id).info
        assert isinstance(asked, UserMessage)
        directory = Path(session.directory)
        turn = Turn(
            place=Place(session.directory, session.projectID, history.turn),
            session_id=session_id,
            id=turn_id,
            directory=directory,
            worktree=directory,
            agent=asked.agent,
            model=Model(
                id=asked.model.modelID,
                providerID=asked.model.providerID,
                api=ModelApi(id=asked.model.modelID, url="", npm=""),
                name=asked.model.modelID,
            ),
            variant=asked.model.variant,
            system="",
            limits=Limits(steps=None, window=compact.Window(usable=0)),
        )
        world = World(
            journal=self._journal,
            models=_NoModels(),
            toolbox={},
            human=Nobody(),
            account=self._sessions,
            clock=self._clock,
        )
        return Writing(turn, world, history)

    async def _history_of(self, session_id: str, turn_id: str, number: int) -> History:
        """A prompt that was fed to a running turn belongs to that turn, not to the number it was admitted under."""
        stored = await self._queries.history(session_id, number)
        own = next((turn for turn, message in stored if message.info.id == turn_id), None)
        if own is None:
            raise NotFound("message", turn_id, f"The prompt {turn_id} of this turn was deleted.")
        return History(own, [(turn, message) for turn, message in stored if turn <= own])

    def _turn(self, instance: Instance, place: Place, agent: Agent, asked: UserMessage) -> Turn:
        model = instance.models.resolve(asked.model.providerID, asked.model.modelID)
        environment = prompt.Environment(
            directory=instance.directory,
            worktree=instance.worktree,
            git=instance.project.vcs == "git",
            today=datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).date(),
        )
        system = prompt.system(
            agent,
            environment,
            instructions=instance.instructions,
            structured=isinstance(asked.format, JsonSchemaFormat),
            own=asked.system,
        )
        return Turn(
            place=place,
            session_id=asked.sessionID,
            id=asked.id,
            directory=instance.directory,
            worktree=instance.worktree,
            agent=agent.name,
            model=model,
            variant=asked.model.variant or agent.variant,
            system=system,
            limits=Limits(steps=agent.steps, window=instance.window_of(model)),
            temperature=agent.temperature,
            top_p=agent.topP,
            options=agent.options,
        )

    def _offered(self, instance: Instance, human: Human, agent: Agent, session: Session, asked: UserMessage) -> Toolbox:
        """The tools that the rules do not refuse outright."""
        tools = instance.tools(human=human, todos=self._sessions)
        refused = rules.disabled(tools, agent.permission, session.permission or [])
        offered: dict[str, Tool] = {name: tool for name, tool in tools.items() if name not in refused}
        if isinstance(asked.format, JsonSchemaFormat):
            structured = StructuredOutput(asked.format.json_schema)
            offered[structured.spec.name] = structured
        return offered

    async def _ruleset(self, session_id: str, agent: Agent) -> Sequence[Rule]:
        session = await self._sessions.get(session_id)
        return [*agent.permission, *(session.permission or [])]

    async def run(self, kind: str, pen: Writing, closing: Callable[[], None]) -> None:
        """Runs the turn to its end. `closing` is called when nothing more can be fed to it."""
        if kind == "shell":
            closing()
            row = await self._queries.turn(pen.turn.session_id, pen.turn.id)
            assert row is not None
            await shell.run(pen, ShellInput.model_validate_json(row.request).command)
            return
        self._titles.want(pen)
        while True:
            await loop.run(pen)
            if isinstance(decide(pen.history.mine, pen.turn.limits), Finish):
                closing()
                break
        await self.settle(pen)
        await self._prune(pen)

    async def settle(self, pen: Writing) -> None:
        """Says what the turn did to the files, however it ended."""
        await snapshots.settle(pen)
        await changes.tell(pen, self._sessions)

    def owes(self, pen: Writing) -> bool:
        """Whether something is to be written after the turn's last step."""
        return snapshots.owes(pen) or changes.some(pen) or bool(self._outdated(pen))

    async def _prune(self, pen: Writing) -> None:
        marked = self._outdated(pen)
        if marked:
            await pen.keep(*(pen.part(part) for part in marked))

    def _outdated(self, pen: Writing) -> Sequence[ToolPart]:
        return compact.outdated(list(pen.history), self._clock.now_ms()) if pen.turn.limits.window.prune else ()


class Nobody:
    """Fulfils `Human` where nobody is asked."""

    async def question(self, call: Call, questions: Sequence[QuestionInfo]) -> list[list[str]]:
        raise ToolFailed("Nobody can be asked while a message is being attached.")

    async def permit(self, call: Call, needs: Sequence[Need]) -> None:
        return None


class _NoModels:
    """Fulfils `Models` for a turn that cannot be run."""

    def resolve(self, provider_id: str, model_id: str) -> Model:
        raise Invalid(f"No model can be used here: {provider_id}/{model_id}.")

    @property
    def default(self) -> Model:
        return self.resolve("", "")

    @property
    def small(self) -> Model:
        return self.resolve("", "")

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelEvent, None]:
        raise Invalid(f"No model can be used here: {call.model.providerID}/{call.model.id}.")


class SystemClock:
    """Fulfils `turn.ports.Clock`."""

    def now_ms(self) -> int:
        return ids.now_ms()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        return asyncio.get_running_loop().call_later(seconds, call).cancel
