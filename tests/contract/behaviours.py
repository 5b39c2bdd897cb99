"""What clients may rely on, as data: each behaviour of opencode, where it was seen, and where we differ and why.

`proves` ties a test to the behaviours it shows; `test_coverage.py` refuses a behaviour without a test and a test
without a behaviour. Where `ours` is set the test asserts both sides, each against its own server.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])
PROVES = "__proves__"


@dataclass(frozen=True)
class Behaviour:
    """`seen` is a recording, or the reference server measured; `ours` says how we differ, and why."""

    id: str
    says: str
    seen: str = "measured"
    ours: str | None = None


def proves(*ids: str) -> Callable[[F], F]:
    """Marks a test with the behaviours it shows."""

    def mark(test: F) -> F:
        setattr(test, PROVES, ids)
        return test

    return mark


SESSIONS = [
    Behaviour("session.create", "POST /session without a body makes a session titled `New session - TIME`"),
    Behaviour("session.create.fields", "title, permission and parentID of the body are kept"),
    Behaviour("session.create.events", "session.created, session.updated and session.deleted are told on /event"),
    Behaviour("session.list", "newest change first, children included unless roots=true; search and limit narrow it"),
    Behaviour("session.patch", "title and time.archived can be changed; the rest stays"),
    Behaviour("session.delete", "DELETE answers true; the session and its children are gone"),
    Behaviour("session.children", "the sessions with this parentID"),
    Behaviour("session.unknown", "404 NotFoundError `Session not found: ID` on every route of an unknown session"),
    Behaviour("session.ids", "session ids fall with time"),
    Behaviour("session.directory", "routes under /session/{id} use the session's directory whatever the query says"),
    Behaviour("session.directory.header", "x-opencode-directory, percent-encoded, names the directory; the query wins"),
    Behaviour("session.status", "GET /session/status lists the busy ones; idle ones are absent"),
    Behaviour("session.totals", "after a turn the session carries its tokens, agent, model and a title by the model"),
    Behaviour("session.fork", "POST fork copies the messages under new ids; the title gets `(fork #1)`"),
]

TURNS = [
    Behaviour("turn.answer", "the POST answers the last assistant message and its parts only"),
    Behaviour("turn.parts", "a tool's part ends completed with input, output, title, metadata and times", "run-tools"),
    Behaviour("turn.no-reply", "noReply answers the user message, and no model is called"),
    Behaviour("turn.message-id", "messageID of the body becomes the user message's id"),
    Behaviour("turn.async", "prompt_async answers 204 without a body; from then on the status says busy"),
    Behaviour(
        "turn.queue",
        "a prompt while busy is stored and answered after the running step",
        ours="every POST answers its own prompt; opencode's waiting POSTs all answer the last message",
    ),
    Behaviour(
        "turn.silence",
        "not a byte, not even headers, until the turn ends",
        ours="headers and a space at once, then beats: a silent connection is cut by clients and proxies",
    ),
    Behaviour("turn.gone", "a client that hangs up does not end the turn"),
    Behaviour("turn.abort", "abort answers true; the POST ends 200 with MessageAbortedError, partial text is kept"),
    Behaviour("turn.abort.idle", "abort of an idle session answers true"),
    Behaviour("turn.provider-error", "a refused model call is 200 with info.error APIError and no parts", "run-error"),
    Behaviour("turn.shell", "POST shell runs a command and answers a message with one completed bash part"),
    Behaviour("message.list", "oldest first; limit gives the newest, x-next-cursor and Link lead to the ones before"),
    Behaviour("message.get", "one message with its parts; 404 for an unknown one"),
    Behaviour("message.ids", "message and part ids rise with time"),
]

ONE_BUSY = "busy once for each model call: opencode repeats it between steps and before idle, which tells nothing"
NO_PATCH = "no patch part: there are no snapshots yet"
ERROR_FIRST = "the message is complete before session.error and idle: what is told is stored, and idle comes last"

ORDER = [
    Behaviour("order.plain", "events of a plain turn", "run-plain", ours=ONE_BUSY),
    Behaviour("order.think", "reasoning starts, streams and ends before text", "run-think", ours=ONE_BUSY),
    Behaviour("order.tools", "events of a turn of six steps, five with a tool", "run-tools", ours=NO_PATCH),
    Behaviour("order.edit", "events of a turn that edits a file", "run-edit", ours=NO_PATCH),
    Behaviour("order.ask-reject", "a rejected permission ends the turn without a further model call", "run-bash-ask"),
    Behaviour("order.ask-once", "an allowed permission lets the call go on", "run-bash-ask-auto", ours=NO_PATCH),
    Behaviour(
        "order.denied-tool",
        "a call of a tool that is not offered becomes a completed call of `invalid`",
        "run-question",
        ours="the part keeps the name the model called and ends in an error: people see what was tried",
    ),
    Behaviour("order.question", "a question is asked, replied to, and the turn goes on", "tui-question", ours=ONE_BUSY),
    Behaviour("order.question-reject", "a dismissed question ends the turn", "tui-question"),
    Behaviour("order.error", "a refused model call: session.error, then idle", "run-error", ours=ERROR_FIRST),
    Behaviour("order.abort", "an aborted turn: session.error, idle, the text's end", "tui-abort", ours=ERROR_FIRST),
]

ASKS = [
    Behaviour("question.ask", "a question is listed by GET /question as question.asked tells it"),
    Behaviour("question.reply", "reply answers true, tells question.replied, and the model reads the answers"),
    Behaviour("question.reply.forms", "several labels are joined, free text is taken, an empty answer is `Unanswered`"),
    Behaviour("question.reject", "the part errors with `The user dismissed this question`; no further model call"),
    Behaviour("question.unknown", "404 QuestionNotFoundError for an unknown or settled id"),
    Behaviour("question.malformed", "400 BadRequest: kind Payload for a bad body, kind Params for a bad id"),
    Behaviour(
        "question.directory",
        "questions are of a directory: another one neither lists nor answers them",
        ours="not listed, but answered: an ask has one id, wherever it is answered from",
    ),
    Behaviour(
        "question.abort",
        "after an abort the question stays listed, and a reply to it answers true",
        ours="abort settles it: question.rejected is told, the list is empty, a reply answers 404",
    ),
    Behaviour(
        "question.rejoin",
        "a stream that connects later is not told of a pending question",
        ours="each new stream is told of pending asks again, so that a terminal attached later shows the dialog",
    ),
    Behaviour("permission.ask", "listed by GET /permission as permission.asked tells it", "run-bash-ask"),
    Behaviour("permission.once", "once lets this call run", "run-bash-ask-auto"),
    Behaviour("permission.reject", "reject ends the turn with the part's error", "run-bash-ask"),
    Behaviour("permission.feedback", "reject with a message tells the model, and the turn goes on"),
    Behaviour("permission.always", "always lets later calls of the same patterns run unasked"),
    Behaviour("permission.older-route", "POST /session/{id}/permissions/{id} with `response` answers true"),
    Behaviour("permission.unknown", "404 PermissionNotFoundError for an unknown id"),
]

STREAMS = [
    Behaviour("stream.headers", "text/event-stream, no-cache, no-transform, x-accel-buffering: no, nosniff"),
    Behaviour("stream.connected", "server.connected comes first, at once"),
    Behaviour(
        "stream.frames",
        "frames are `data:` lines ended by LF LF, without event lines and ids",
        ours="frames of stored events, and of server.connected, have an `id:` line after the data, to resume by",
    ),
    Behaviour("stream.heartbeat", "server.heartbeat every 10 s"),
    Behaviour("stream.directory", "/event tells of one directory only"),
    Behaviour(
        "stream.global",
        "/global/event wraps each event with directory and project, and tells stored ones twice (a `sync` twin)",
        ours="told once: no client reads the twins",
    ),
]

ERRORS = [
    Behaviour(
        "error.json",
        "malformed JSON: 400 on POST /session, 500 on POST message",
        ours="400 on both: the fault is the caller's",
    ),
    Behaviour("error.payload", "400 BadRequest kind Payload names the missing or wrong field"),
    Behaviour("error.query", "400 BadRequest kind Query for a limit that is no number"),
    Behaviour("error.media-type", "415 for a text/plain body"),
    Behaviour(
        "error.model",
        "500 UnknownError for a model or an agent that is not there",
        ours="400 that names it: the fault is the caller's",
    ),
    Behaviour(
        "error.path",
        "200 text/html, its web page, for an unknown path",
        ours="404 JSON: clients read the page as an answer",
    ),
    Behaviour(
        "error.surface",
        "an operation that is not there answers its web page, and some that are answer 500 to an empty request",
        ours="whatever is asked of the documented surface is answered with JSON, and never with 500",
    ),
    Behaviour("error.method", "200 text/html for a wrong method", ours="405 JSON"),
    Behaviour("auth.basic", "with a password every route wants Basic opencode:PASSWORD; else 401 with a challenge"),
]

CATALOG = [
    Behaviour("config.get", "GET /config is the merged configuration", ours="keys are left out"),
    Behaviour("config.providers", "the configured providers with their models, and the default model of each"),
    Behaviour("provider.list", "all, default and connected"),
    Behaviour("agent.list", "build and plan are primary; title, summary and compaction are hidden"),
    Behaviour("command.list", "init is built in"),
    Behaviour("path.get", "home, state, config, worktree and directory"),
    Behaviour("project.current", "a repository's project is named by its first commit; worktree is its root"),
    Behaviour("health", "GET /global/health says healthy and the version"),
    Behaviour("boot.rest", "what a terminal asks at boot beside these is answered in its documented shape"),
]

BEHAVIOURS = [*SESSIONS, *TURNS, *ORDER, *ASKS, *STREAMS, *ERRORS, *CATALOG]

PLANNED = {
    "GET /experimental/capabilities",
    "GET /experimental/console",
    "GET /experimental/resource",
    "GET /experimental/workspace",
    "GET /formatter",
    "GET /lsp",
    "GET /mcp",
    "GET /provider/auth",
    "GET /vcs",
    "GET /api/location",
    "GET /api/agent",
    "GET /api/model",
    "GET /api/provider",
    "GET /api/integration",
    "GET /api/reference",
    "GET /api/command",
    "GET /api/skill",
}
"""Operations that clients call, tolerate the absence of, and that we do not have yet: they answer 404 JSON.

A test that comes upon one of them is an expected failure; one that is there after all must leave this list.
"""
