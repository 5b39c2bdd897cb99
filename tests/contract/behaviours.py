"""What clients may rely on, as data: each behaviour of opencode, where it was seen, and where we differ and why.

`proves` ties a test to the behaviours it shows; `test_coverage.py` refuses a behaviour without a test and a test
without a behaviour. Where `ours` is set the test asserts both sides, each against its own server.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from support.programs import ROOT

CONTRACT = ROOT / "contract"

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
    Behaviour(
        "turn.answer.flat",
        "opencode's Python client reads the message's fields at the top of the answer, where there are none",
        ours="for that client they stand there too, beside info and parts",
    ),
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
    Behaviour("turn.summarize", "POST summarize answers true; the session then has a summary, and tells of it"),
    Behaviour("message.remove", "a message, or a part of it, is removed, and its event told"),
    Behaviour("part.update", "PATCH puts a part in its place, or adds it, and tells it; 400 where the ids differ"),
    Behaviour(
        "part.update.nowhere",
        "a part of a message that is not there is answered 200, and seen nowhere",
        ours="404: it would be lost",
    ),
    Behaviour("message.ids", "message and part ids rise with time"),
]

ONE_BUSY = "busy once for each model call: opencode repeats it between steps and before idle, which tells nothing"
PATCH_BESIDE = "the patch part comes beside the next step: no model call waits for it"
ERROR_FIRST = "the message is complete before session.error and idle: what is told is stored, and idle comes last"

ORDER = [
    Behaviour("order.plain", "events of a plain turn", "run-plain", ours=ONE_BUSY),
    Behaviour("order.think", "reasoning starts, streams and ends before text", "run-think", ours=ONE_BUSY),
    Behaviour("order.tools", "events of a turn of six steps, five with a tool", "run-tools", ours=PATCH_BESIDE),
    Behaviour("order.edit", "events of a turn that edits a file", "run-edit", ours=PATCH_BESIDE),
    Behaviour("order.ask-reject", "a rejected permission ends the turn without a further model call", "run-bash-ask"),
    Behaviour("order.ask-once", "an allowed permission lets the call go on", "run-bash-ask-auto", ours=PATCH_BESIDE),
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

REPLAY = [
    Behaviour(
        "replay",
        "the requests of each recording are answered, and its events told, in the recorded shape and order",
        "all of them",
        ours="except where departures.py says so, with the reason",
    ),
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
        "error.variant",
        "a variant that the model has not is passed over",
        ours="400 that names those there are: what was asked for would not be what is done",
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
    Behaviour(
        "project.update",
        "PATCH /project/{id} changes name, icon and commands, keeps what it does not name, and tells project.updated; "
        "404 ProjectNotFoundError",
        ours="GET /project/current tells it at once; opencode's goes on with what it had read",
    ),
    Behaviour(
        "tools.list",
        "the tools' names, and each with its description and schema; 400 without provider and model",
        ours="its own tools: `invalid`, `task`, `websearch` and `skill` are not among them",
    ),
    Behaviour("health", "GET /global/health says healthy and the version"),
    Behaviour("boot.rest", "what a terminal asks at boot beside these is answered in its documented shape"),
]

CONTENT = "all of it: a client that writes back what it read must not lose the last line"
OUTSIDE = "400 that names the path: the fault is the caller's"

FILES = [
    Behaviour("file.list", "GET /file lists a directory, directories first and ending in `/`, with what git ignores"),
    Behaviour("file.content", "text as it is, trimmed; base64 and a mime type of what is no text", ours=CONTENT),
    Behaviour("file.outside", "500 for a path that leads out of the project", ours=OUTSIDE),
    Behaviour("file.missing", "an empty text for a file that is not there, 500 for a directory", ours=OUTSIDE),
    Behaviour(
        "file.status",
        "GET /file/status is always empty",
        ours="what differs from the last commit: the document promises it",
    ),
    Behaviour("find.text", "GET /find gives ripgrep's matches with their place in the line"),
    Behaviour("find.pattern", "500 for a pattern that is no regular expression", ours="400 with ripgrep's words"),
    Behaviour("find.files", "GET /find/file finds paths by their letters, directories ending in `/`, `type` narrows"),
    Behaviour("find.symbols", "no symbols without a language server"),
]

VCS = [
    Behaviour("vcs.info", "the branch and the default branch"),
    Behaviour("vcs.status", "changed and new files with their counts of lines"),
    Behaviour("vcs.diff", "mode=git gives a patch for each changed and new file, with `context` lines"),
    Behaviour("vcs.diff.branch", "mode=branch is empty on the default branch, and has what a branch did elsewhere"),
    Behaviour("vcs.diff.raw", "all of it as one text/x-diff"),
    Behaviour("vcs.apply", "applies a patch; 400 VcsApplyError `not-clean` for one that does not fit"),
    Behaviour(
        "vcs.none",
        "outside a repository the branches are null and nothing differs",
        ours="the branches are left out, as the document has them: null is not in it",
    ),
]

TERMINALS = [
    Behaviour("tui.prompt", "append-prompt tells tui.prompt.append; submit and clear tell tui.command.execute"),
    Behaviour(
        "tui.open",
        "open-* tell the commands help.show, session.list and model.list; open-themes opens the sessions",
        ours="open-themes tells theme.switch",
    ),
    Behaviour(
        "tui.command",
        "older names of commands are told as the newer ones; a command it does not know is told without its name",
        ours="told by the name that was given: terminals have commands that the server has not heard of",
    ),
    Behaviour("tui.toast", "tui.toast.show is told with a duration of 5000 ms unless another is given"),
    Behaviour("tui.select", "tui.session.select is told; 404 for a session that is not there"),
    Behaviour("tui.publish", "one of the four events is told as it stands; 400 for another"),
    Behaviour("tui.control.response", "control/response answers true"),
    Behaviour(
        "tui.control.next",
        "control/next waits, and nothing that a client can do ever wakes it",
        ours="it gives the next request made of terminals: it is what the path is for",
    ),
]

SHARES = [
    Behaviour(
        "session.share",
        "POST share uploads the session, and answers 200 without a url where sharing is off",
        ours="a file of this machine, `share.url` its file:// address, gone with DELETE: nothing is sent anywhere",
    ),
    Behaviour(
        "session.revert", "revert hides a prompt and all after it and takes its files back; unrevert undoes that"
    ),
    Behaviour("session.diff", "GET diff is empty while nothing was changed"),
    Behaviour("session.init", "POST init runs the command init under that messageID, and answers true"),
    Behaviour("command.executed", "command.executed names the command, its arguments and the last message"),
    Behaviour("instance.dispose", "answers true; server.instance.disposed is told"),
    Behaviour("global.dispose", "answers true"),
    Behaviour("session.everywhere", "GET /experimental/session lists sessions of all projects with their project"),
    Behaviour("project.directories", "a project's worktree; nothing for one that is unknown"),
    Behaviour("log", "POST /log answers true; 400 without a level"),
    Behaviour(
        "config.global", "GET /global/config is the configuration of all directories", ours="of the server's own"
    ),
]

SECOND = [
    Behaviour("api.location", "GET /api/location: location[directory] names the directory, else the server's own"),
    Behaviour("api.catalogue", "agents, models, providers, commands under their location", ours="never with a key"),
    Behaviour("api.provider", "404 ProviderNotFoundError for one that is not there"),
    Behaviour("api.none", "integrations, references, skills, terminals: lists under their location", ours="empty"),
    Behaviour("api.fs", "list, find and read a project's files"),
    Behaviour("api.fs.outside", "500 for a path that leads out of the project", ours="400 InvalidRequestError"),
    Behaviour("api.session", "a session of /session is one of /api/session too, in other words"),
    Behaviour("api.session.unknown", "404 SessionNotFoundError"),
    Behaviour(
        "api.permission.saved",
        "lists what its own engine saved, which is not what `always` allowed; DELETE answers 204, also for none",
        ours="what was allowed for good, in a project or in all; removed, it is asked for again",
    ),
    Behaviour(
        "api.event",
        "events of all directories with `data` and `location`, stored ones with `durable`; beats are comments",
        ours="pieces of text too; frames of stored events have an `id:` line, to resume by, as those of /event",
    ),
    Behaviour("api.asks", "a question is listed and answered by session, with 204"),
    Behaviour("api.query", "400 InvalidRequestError names a missing query"),
    Behaviour("api.health", "GET /api/health says healthy"),
    Behaviour(
        "api.session.switch",
        "POST agent and model change who answers next: it is the other engine that reads them",
        ours="the session itself is changed",
    ),
    Behaviour("api.session.interrupt", "204, also when it is idle"),
]

SURFACE = [
    Behaviour(
        "surface.lists",
        "opencode answers every operation of its document, some with a page or 500",
        ours="each operation is in one list of contract/surface.json, and answers as its list says",
    ),
]

BEHAVIOURS = [
    *SESSIONS,
    *TURNS,
    *ORDER,
    *REPLAY,
    *ASKS,
    *STREAMS,
    *ERRORS,
    *CATALOG,
    *FILES,
    *VCS,
    *TERMINALS,
    *SHARES,
    *SECOND,
    *SURFACE,
]

SURFACE_LISTS: dict[str, Any] = json.loads((CONTRACT / "surface.json").read_text())
"""Every operation of the document in one of three lists: `works` (by the behaviour that a test proves), `none` (there
is none of it, and the answer says so: `[]`, `{}` … or 501 with the reason), `planned` (501 until it is there)."""

PLANNED: frozenset[str] = frozenset(SURFACE_LISTS["planned"])
"""Operations that clients call, tolerate the absence of, and that we do not have yet.

A test that comes upon one of them is an expected failure; one that is there after all must leave this list.
"""
