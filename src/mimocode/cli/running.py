"""What `mimo run` does with its options."""

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from mimocode import ids
from mimocode.client import AsyncMimo
from mimocode.errors import Invalid, MimoError, NotFound
from mimocode.wire.message import ModelRef, UserMessage
from mimocode.wire.prompt import PromptInput, TextPartInput
from mimocode.wire.session import Session

from . import attachments, named, stdin
from .answers import Prepared
from .asking import Asking, Request
from .connect import BEAT_S, Reached, Where, reached
from .dialog import Dialogs
from .ends import complain, leaf
from .following import Following
from .howto import how_to_answer
from .loading import keep_what_is_made
from .progress import Progress
from .screen import Screen
from .turn import Limits, Turn
from .views import JsonView, Result, TextView, View, result_line

if TYPE_CHECKING:
    from .embedded import Embedded


_SHORT_S = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, as it was typed."""

    words: tuple[str, ...] = ()
    model: str | None = None
    agent: str | None = None
    session: str | None = None
    go_on: bool = False
    fork: bool = False
    files: tuple[str, ...] = ()
    directory: str | None = None
    attach: str | None = None
    password: str | None = field(default=None, repr=False)
    json: bool = False
    title: str | None = None
    thinking: bool = False
    variant: str | None = None
    yes: bool = False
    answers: tuple[str, ...] = ()
    idle_timeout_s: float | None = None
    turn_budget_s: float | None = None
    tls_ca: str | None = None


async def main(options: Options) -> int:
    """The whole command; returns its exit code. Raises `MimoError` for what went wrong before there was a turn."""
    screen = Screen(sys.stdout, sys.stderr, env=dict(os.environ))
    try:
        run = _Run(options, _prompt(options), screen)
        where = Where(options.attach, options.password, options.directory, options.tls_ca)
        # Who wants to hear of 5 s of silence needs more than a beat every 10 s.
        beat_s = min(BEAT_S, options.idle_timeout_s / 3) if options.idle_timeout_s else BEAT_S
        while True:
            async with reached(where, beat_s=beat_s, logs=screen.log) as there:
                keep_what_is_made()
                code = await run.at(there)
            if code is not None:
                return code
            screen.aside("… the server is gone; another takes the turn over")
    except (MimoError, BaseExceptionGroup) as raised:
        # A server that runs here has task groups, which wrap what goes through them.
        error = leaf(raised) if isinstance(raised, BaseExceptionGroup) else raised
        if not options.json or not isinstance(error, MimoError):
            raise
        code = complain(error)
        screen.answer(result_line(Result.before_a_turn(error, code)))
        return code


class _Run:
    """One command: its session, its prompt and what was shown, whichever server the turn is at."""

    def __init__(self, options: Options, prompt: PromptInput | None, screen: Screen) -> None:
        self._options = options
        self._prompt = prompt
        self._screen = screen
        self._prepared = Prepared(options.answers)
        self._progress = Progress()
        self._session: Session | None = None
        self._prompt_id = prompt.messageID if prompt else None
        self._view: View | None = None

    async def at(self, there: Reached) -> int | None:
        """Plays the turn there. The exit code, or None if that server is gone for good."""
        session = self._session = self._session or await _session(self._options, there)
        mimo = there.mimo.within(session.directory)
        if there.embedded is not None:
            await there.embedded.resume(session.id)
        prompt_id = self._prompt_id = self._prompt_id or await _last_prompt(mimo, session.id)
        view = self._view = self._view or self._new_view(session)
        following = Following(
            session.id,
            prompt_id,
            directory=session.directory,
            view=view,
            screen=self._screen,
            progress=self._progress,
        )
        turn = Turn(
            mimo,
            session.id,
            prompt_id,
            self._prompt,
            following=following,
            progress=self._progress,
            screen=self._screen,
            limits=Limits(self._options.idle_timeout_s, self._options.turn_budget_s),
            gone=there.gone,
        )
        async with mimo.events() as stream:
            ended = await turn.play(stream, self._asking(mimo, session, view, turn))
        if ended.moved:
            return None
        result = await turn.result(ended)
        view.result(result)
        if ended.needs is not None:
            self._screen.aside(how_to_answer(ended.needs, there.options))
        if there.embedded is not None:
            await self._leave(there.embedded, session.id)
        return int(ended.code)

    def _new_view(self, session: Session) -> View:
        if self._options.json:
            return JsonView(self._screen, session_id=session.id, thinking=self._options.thinking)
        return TextView(
            self._screen,
            directory=session.directory,
            thinking=self._options.thinking,
            streams=sys.stdout.isatty(),
        )

    def _asking(self, mimo: AsyncMimo, session: Session, view: View, turn: Turn) -> Asking:
        return Asking(
            mimo,
            session.id,
            view=view,
            screen=self._screen,
            prepared=self._prepared,
            yes=self._options.yes,
            dialogs=_dialogs(self._progress),
            waiting=lambda request: self._wait(request, turn),
            interrupt=turn.interrupt,
        )

    def _wait(self, request: Request | None, turn: Turn) -> None:
        """A dialog needs the terminal for itself."""
        if request is not None:
            self._screen.hide()
            self._screen.end_line()
        self._progress.wait(request is not None)
        if request is not None:
            turn.waits_for(request)

    async def _leave(self, server: "Embedded", session_id: str) -> None:
        """Other commands may have turns here that must not be cut off in the middle of their work."""
        with anyio.move_on_after(_SHORT_S):
            await server.others_done(session_id)
            return
        self._screen.aside("Other runs are using this server; waiting for their turns to end (Ctrl-C leaves now).")
        await server.others_done(session_id)


def _prompt(options: Options) -> PromptInput | None:
    """None if there is nothing to say: then a session's turn is only waited for. Raises `Invalid`."""
    text = _message(options)
    model = _model(options.model) if options.model else None
    if not text.strip() and not options.files:
        if options.session or options.go_on:
            return None
        raise Invalid("Nothing to do: give a message, as in `mimo run 'explain this project'`, or pipe one in.")
    return PromptInput(
        messageID=ids.ascending("msg"),
        model=model,
        agent=options.agent,
        variant=options.variant,
        parts=[*attachments.parts(options.files), *([TextPartInput(type="text", text=text)] if text.strip() else [])],
    )


def _message(options: Options) -> str:
    if options.words == ("-",):
        return stdin.whole().rstrip("\n")
    words = " ".join(options.words)
    if words or options.session or options.go_on or options.files:
        piped = stdin.if_any()
    else:
        piped = "" if stdin.is_terminal() else stdin.whole()
    return "\n\n".join(piece for piece in (words, piped.rstrip("\n")) if piece)


def _model(name: str) -> ModelRef:
    provider, slash, model = name.partition("/")
    if not (provider and slash and model):
        raise Invalid(f"--model: expected provider/model, as `mimo models` lists them, found {name!r}.")
    return ModelRef(providerID=provider, modelID=model)


async def _session(options: Options, there: Reached) -> Session:
    """The session to work in, made if need be. Raises `Invalid`, `NotFound`."""
    mimo = there.mimo
    if options.session and options.go_on:
        raise Invalid("Give either --session or --continue, not both.")
    if options.session:
        session = await mimo.session(named.session_id(options.session))
    elif options.go_on:
        session = next((one for one in await mimo.sessions(roots=True, limit=20) if not one.parentID), None)
        if session is None:
            raise Invalid("--continue: there is no session here yet. Leave it out to start one.")
    elif options.fork:
        raise Invalid("--fork copies a session: say which with --session ID or --continue.")
    else:
        return await mimo.create_session(title=options.title)
    if options.fork:
        try:
            session = await mimo.fork_session(session.id)
        except NotFound as error:
            raise Invalid(
                "--fork: this server cannot copy sessions. Leave it out to go on in the session itself."
            ) from error
    return await mimo.update_session(session.id, title=options.title) if options.title else session


async def _last_prompt(mimo: AsyncMimo, session_id: str) -> str:
    """The id of the session's last user message."""
    before: str | None = None
    while True:
        page, before = await mimo.messages(session_id, limit=50, before=before)
        asked = [one.info.id for one in page if isinstance(one.info, UserMessage)]
        if asked:
            return asked[-1]
        if before is None:
            raise Invalid(f"Session {session_id} has no messages yet: give one.")


def _dialogs(progress: Progress) -> Dialogs | None:
    """None where nobody can be asked: a dialog needs keys to read and a terminal to draw on."""
    if not stdin.is_terminal() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    terminal = next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)
    return None if terminal is None else Dialogs(terminal, progress.line)
