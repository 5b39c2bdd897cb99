"""Where an answer or an event is not as it was recorded, as data: the place, and why.

A place is what `replay` says of it, `*` standing for anything. A departure that no row covers fails the test, and so
does a row that covers none.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Departure:
    place: str
    why: str

    def covers(self, seen: str) -> bool:
        return re.fullmatch(re.escape(self.place).replace(r"\*", ".*"), seen) is not None


ABSENT = "there is none of it here yet: contract/surface.json"
CALLER = "400: the fault is the caller's"
DIFFS = "told where files were changed; opencode tells an empty list after every turn"
EARLIER = "recorded where other sessions, or other turns of the session, had been before"
FAMILY = "told where it is known, never as an empty text"
KEYS = "keys are never shown"
LAB = "recorded on another machine, with opencode's list of models, or by another server of models"
MARKS = "marks that a turn is resumed by: the call waits for a permission, its refusal ended the turn"
SNAPSHOT = "a state of the files is taken around steps that can write, off the turn's path"
TASK = "there are no subagents yet: the model is not told to call one"
VARIANT = "no variant was chosen, and none is said; opencode calls that `default`"

SURROUNDINGS = [
    Departure("GET /provider .all[text]: not here", LAB),
    Departure("GET /provider .all[].env[text]: not here", LAB),
    Departure("GET /provider .default.*: not here", LAB),
    Departure("GET /provider/auth .*: not here", LAB),
    Departure("GET /config/providers .default.*: not here", LAB),
    Departure("GET /config/providers .providers[].env[text]: not here", LAB),
    Departure("GET /config .$schema: not here", LAB),
    Departure("GET /global/config .$schema: not here", LAB),
    Departure("GET /global/config .autoupdate: not here", LAB),
    Departure("GET /api/model .data[text]: not here", LAB),
    Departure("GET /api/integration .data[text]: not here", LAB),
    Departure("GET /experimental/tool [text]: not here", LAB),
    Departure("* .info.error.data.responseHeaders.*", LAB),
    Departure("session.error .error.data.responseHeaders.*", LAB),
    Departure("GET /project/current .time.initialized: not here", EARLIER),
    Departure("GET /project/{projectID}/directories []: not here", EARLIER),
    Departure("GET /session []: not here", EARLIER),
    Departure("GET /session [text]: not here", EARLIER),
    Departure("GET /experimental/session []: not here", EARLIER),
    Departure("session.updated .info.permission: not here", EARLIER),
    Departure("GET /session/{sessionID}/message [assistant].parts[patch]: not here", EARLIER),
    Departure("GET /session/{sessionID}/message [assistant].parts[tool *", EARLIER),
    Departure("patch: not told here", EARLIER),
    Departure("tool edit completed: not told here", EARLIER),
    Departure("tool task completed: not told here", EARLIER),
    Departure("tool todowrite completed: not told here", EARLIER),
]
"""Of the recording, not of a server: opencode itself departs from it there."""

PEER = [
    Departure("order: *", "what ends a turn and what begins the next come in either order: see test_order.py"),
    Departure("assistant * completed: not told here", "told after it said idle, when the client was gone"),
    Departure("GET /api/* .data[*", "its catalogues and its index fill a while after a directory is first asked about"),
    Departure("GET /global/config *", LAB),
    Departure("GET /session/{sessionID}/message [user].info.summary.diffs[]: not here", EARLIER),
    Departure("user .info.summary.diffs[]: not here", EARLIER),
    Departure("*.info.model.variant: only here", "it says `default` from the second prompt on"),
    Departure("POST /session/{sessionID}/share: 500, here 200", "sharing is off: it answers without having shared"),
]
"""Opencode, from one run to the next: not all of it is seen each time."""

OURS = [
    # What is not there, or told in other words.
    Departure("POST /pty: 200, here 501", ABSENT),
    Departure("GET /pty/{ptyID}: 200, here 501", ABSENT),
    Departure("DELETE /pty/{ptyID}: 200, here 501", ABSENT),
    Departure("POST /pty/{ptyID}/connect-token: 403, here 501", ABSENT),
    Departure("pty.*: not told here", ABSENT),
    Departure("GET /pty/shells []: not here", ABSENT),
    Departure("GET /skill []: not here", ABSENT),
    Departure("GET /api/skill .data[]: not here", ABSENT),
    Departure("GET /api/integration .data[]: not here", ABSENT),
    Departure("GET /api/session/{sessionID}/message: 200, here 501", ABSENT),
    Departure("order: text given comes after agent, here status busy", TASK),
    Departure("GET /session/{sessionID}: 500, here 400", CALLER),
    Departure("POST /session/{sessionID}/command: 500, here 400", CALLER),
    Departure("POST /session/{sessionID}/message: 500, here 400", CALLER),
    Departure("POST /session/{sessionID}/share: 500, here 200", "a file of this machine; opencode's server was away"),
    Departure("tool invalid *: not told here", "the part keeps the name the model called, and ends in an error"),
    # Configuration and catalogues.
    Departure("GET /config .autoupdate: not here", "it does not update itself"),
    Departure("GET /config .provider.lab.options.apiKey: not here", KEYS),
    Departure("GET /global/config .provider.lab.options.apiKey: not here", KEYS),
    Departure("GET /config/providers .providers[].options.apiKey: not here", KEYS),
    Departure("GET /config/providers .providers[].models.scripted.family: not here", FAMILY),
    Departure("GET /provider .all[].models.scripted.family: not here", FAMILY),
    Departure("GET /config/providers .default.rehearsal: only here", "the built-in model of rehearsals"),
    Departure("GET /provider .default.rehearsal: only here", "the built-in model of rehearsals"),
    Departure("GET /global/config *: only here", "each field stands, with what holds where nothing was said"),
    Departure("GET /api/model .data[].variants[]: only here", "a model that reasons has its efforts as variants"),
    Departure("GET /experimental/tool [].parameters*", "its own tools have their own schemas"),
    Departure("GET /project [].time.initialized: not here", EARLIER),
    # Sessions.
    Departure("*.model.variant: not here", VARIANT),
    Departure("GET /api/session .cursor.*: not here", "there where a further page is"),
    Departure("GET /session/{sessionID} .summary: not here", DIFFS),
    Departure("session.updated .info.summary: not here", DIFFS),
    Departure("session.deleted .info.summary: *", DIFFS),
    Departure("GET /session/{sessionID}/message [user].info.summary: not here", DIFFS),
    Departure("GET /session/{sessionID}/message/{messageID} .info.summary: not here", DIFFS),
    Departure("GET /session/{sessionID}/diff []: only here", "what was changed; opencode's is empty"),
    Departure("session.diff .diff[]: only here", "what was changed; opencode's is empty"),
    Departure("session.diff: not told here", DIFFS),
    Departure("message.updated user again: not told here", DIFFS),
    Departure("GET /session/{sessionID} .agent: only here", "a fork goes on as its session did"),
    Departure("GET /session/{sessionID} .model: only here", "a fork goes on as its session did"),
    Departure("session.created .info.*: only here", "a fork goes on as its session did"),
    Departure("session.deleted .info.*: only here", "a fork goes on as its session did"),
    # Parts.
    Departure("*step-start*snapshot: not here", SNAPSHOT),
    Departure("*step-finish*snapshot: not here", SNAPSHOT),
    Departure("compaction .part.tail_start_id: only here", "which messages were kept behind the summary"),
    Departure("reasoning end .part.metadata: only here", "what a provider wants back with its thought"),
    Departure("tool * .part.metadata: only here", MARKS),
    Departure("tool bash * .part.state.metadata.description: only here", "what a command is for, beside its output"),
    Departure("tool bash completed .part.state.metadata.exit: only here", "also of a human's command"),
    Departure("tool bash completed .part.state.metadata.truncated: only here", "also of a human's command"),
    # The order of events.
    Departure("order: assistant comes after text given, here status busy", "a human's command keeps a session busy"),
    Departure("order: status busy comes after session.idle, here nothing", "one turn is busy once, and idle once"),
    Departure("order: status busy comes after session.compacted, here status idle", "a summary is one turn"),
    Departure(
        "order: delta comes after text given, here status busy", "each prompt has its own turn, one after the other"
    ),
    Departure("order: step-start comes after status busy, here nothing", "abort ends the prompts that wait too"),
    Departure(
        "order: assistant error completed comes after text end, here step-finish", "the same: the slow one first"
    ),
]
"""Of this server."""
