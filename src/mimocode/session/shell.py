"""A command that the human runs in the session: a user message, and an assistant message with the bash call."""

from mimocode import ids
from mimocode.turn.act import run_tools
from mimocode.turn.decide import RunTools
from mimocode.turn.world import Writing, new_step
from mimocode.wire.message import AssistantMessage, Created, ModelRef, UserMessage
from mimocode.wire.part import Part, TextPart, ToolPart, ToolPending
from mimocode.wire.prompt import ShellInput
from mimocode.wire.session import Session

from .instance import Instance

_TOLD = "The following tool was executed by the user"


def user_message(
    instance: Instance, session: Session, wanted: ShellInput, message_id: str
) -> tuple[UserMessage, list[Part]]:
    """The message that stands for the human's command. Raises `Invalid` for an unknown agent or model."""
    agent = instance.agent(wanted.agent)
    model = wanted.model or agent.model
    if model is None and session.model is not None:
        model = ModelRef(providerID=session.model.providerID, modelID=session.model.id)
    if model is None:
        model = ModelRef(providerID=instance.models.default.providerID, modelID=instance.models.default.id)
    instance.models.resolve(model.providerID, model.modelID)
    message = UserMessage(
        id=message_id, sessionID=session.id, time=Created(created=ids.now_ms()), agent=agent.name, model=model
    )
    told = TextPart(id=ids.ascending("prt"), sessionID=session.id, messageID=message_id, text=_TOLD, synthetic=True)
    return message, [told]


async def run(pen: Writing, command: str) -> None:
    """Runs the command, unless a process before this one began to: then it is marked interrupted."""
    clock = pen.world.clock
    if pen.history.answer is None:
        info = new_step(pen.turn, clock.now_ms, parent_id=pen.turn.id, summary=False)
        part = ToolPart(
            id=ids.ascending("prt"),
            sessionID=info.sessionID,
            messageID=info.id,
            callID=ids.ascending("tool"),
            tool="bash",
            state=ToolPending(input={"command": command}),
        )
        await pen.put(pen.message(info), pen.part(part))
    answer = pen.history.answer
    assert answer is not None
    unended = [part for part in answer.tools if part.state.status in ("pending", "running")]
    if unended:
        await run_tools(pen, RunTools(answer.info.id, unended, by_human=True))
    assert isinstance(answer.info, AssistantMessage)
    ended = answer.info.but(time=answer.info.time.but(completed=clock.now_ms()))
    await pen.put(pen.message(ended))
