"""Permissions: rules first, then what a human allowed for good, then the human."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, astuple
from typing import Protocol

from mimocode import ids
from mimocode.errors import Rejected, ToolFailed
from mimocode.store.queries import Queries
from mimocode.store.rows import Approval, Op, Put, Remove
from mimocode.turn import rules
from mimocode.turn.ports import Call, Need, Place
from mimocode.wire import event
from mimocode.wire.ask import PermissionReply, PermissionRequest, QuestionInfo, QuestionRequest, Rule, ToolCallRef
from mimocode.wire.v2 import PermissionSaved

from .asks import Asks

REFUSED = "The user rejected permission to use this specific tool call."
DISMISSED = "The user dismissed this question"


class Ledger(Protocol):
    """What permissions need of the journal."""

    async def put(
        self, place: Place, *changes: event.Body, durable: bool = False, also: Sequence[Op] = ()
    ) -> object: ...


class Permissions:
    """Decides, asks, and remembers what was allowed always (to an agent in a project, on disk)."""

    def __init__(self, asks: Asks, ledger: Ledger, queries: Queries) -> None:
        self._asks = asks
        self._ledger = ledger
        self._queries = queries

    async def permit(self, place: Place, call: Call, needs: Sequence[Need], ruleset: Sequence[Rule]) -> None:
        """Returns when all is allowed. Raises `ToolFailed` when a rule denies, `Rejected` when the human does."""
        for index, need in enumerate(needs):
            if await self._must_ask(place, call.agent, need, ruleset):
                await self._ask(place, call, need, index)

    async def _must_ask(self, place: Place, agent: str, need: Need, ruleset: Sequence[Rule]) -> bool:
        decisions = [rules.evaluate(need.permission, pattern, ruleset) for pattern in need.patterns]
        if any(decision.action == "deny" for decision in decisions):
            shown = [rule.plain() for rule in rules.relevant(need.permission, ruleset)]
            raise ToolFailed(
                "The user has specified a rule which prevents you from using this specific tool call. "
                f"Here are some of the relevant rules: {shown}"
            )
        open_patterns = [
            pattern for pattern, decision in zip(need.patterns, decisions, strict=True) if decision.action == "ask"
        ]
        if not open_patterns:
            return False
        approved = await self._queries.approvals(place.project, agent)
        return not _covered(need.permission, open_patterns, approved)

    async def _ask(self, place: Place, call: Call, need: Need, index: int) -> None:
        request = PermissionRequest(
            id=ids.derived("per", call.part_id, f"{index} {need.permission}"),
            sessionID=call.session_id,
            permission=need.permission,
            patterns=list(need.patterns),
            metadata=need.metadata,
            always=list(need.always),
            tool=ToolCallRef(messageID=call.message_id, callID=call.call_id),
        )
        reply = await self._asks.permission(place, request)
        if reply.reply == "reject":
            if reply.message:
                raise Rejected(f"{REFUSED[:-1]} with the following feedback: {reply.message}", feedback=True)
            raise Rejected(REFUSED)
        await self._must_be_what_was_asked(request)

    async def _must_be_what_was_asked(self, request: PermissionRequest) -> None:
        """An ask that a server before this one made is joined; links may lead elsewhere since. Raises `ToolFailed`."""
        row = await self._queries.ask(request.id)
        asked = PermissionRequest.model_validate_json(row.asked).patterns if row else []
        if asked != request.patterns:
            raise ToolFailed(
                f"What this call names leads elsewhere now: it was allowed for {', '.join(asked)}, and would touch "
                f"{', '.join(request.patterns)}. Call it again to have that asked for."
            )

    async def reply(self, ask_id: str, reply: PermissionReply) -> None:
        """A human's answer. ``always`` is stored and releases what it now covers; ``reject`` refuses the session's
        other pending permissions too. Raises `NotFound` when the ask is unknown or settled.
        """

        async def meanwhile(request: PermissionRequest) -> None:
            if reply.reply == "always":
                await self._remember(request)

        await self._asks.reply_permission(ask_id, reply, meanwhile)
        row = await self._queries.ask(ask_id)
        if row is None:
            return
        if reply.reply == "always":
            await self._release(row.session_id)
        elif reply.reply == "reject":
            await self._asks.reject_permissions(row.session_id)

    async def _remember(self, request: PermissionRequest) -> None:
        session = await self._queries.session(request.sessionID)
        agent = await self._agent_of(request)
        if session is None or agent is None:
            return
        approvals = [
            Put(
                "approval",
                {
                    "project_id": session.projectID,
                    "agent": agent,
                    "permission": request.permission,
                    "pattern": pattern,
                    "created": ids.now_ms(),
                },
            )
            for pattern in request.always
        ]
        await self._ledger.put(Place(session.directory, session.projectID), also=approvals, durable=True)

    async def saved(self, project_id: str | None = None) -> list[PermissionSaved]:
        """What was allowed for good in a project, or in all, the oldest first."""
        return [
            PermissionSaved(id=_id_of(one), projectID=one.project_id, action=one.permission, resource=one.pattern)
            for one in await self._queries.all_approvals(project_id)
        ]

    async def forget(self, saved_id: str) -> None:
        """From now on it is asked for again. Nothing happens for an id that is not there."""
        for one in await self._queries.all_approvals():
            if _id_of(one) == saved_id:
                taken_back = Remove("approval", asdict(one))
                await self._ledger.put(Place("", one.project_id), also=[taken_back], durable=True)

    async def _agent_of(self, request: PermissionRequest) -> str | None:
        """Who asks: what is allowed to one agent for good is not allowed to another."""
        message = request.tool and await self._queries.message(request.sessionID, request.tool.messageID)
        return message.info.agent if message else None

    async def _release(self, session_id: str) -> None:
        """Answers the session's other permissions that are allowed by now."""
        session = await self._queries.session(session_id)
        if session is None:
            return
        allowed: list[PermissionRequest] = []
        for request in await self._asks.permissions(session_id=session_id):
            approved = await self._queries.approvals(session.projectID, await self._agent_of(request) or "")
            if _covered(request.permission, request.patterns, approved):
                allowed.append(request)
        await self._asks.release(session_id, allowed)


def _id_of(one: Approval) -> str:
    """The same for the same approval, for ever: it has no other."""
    return "psv_" + hashlib.sha256("\0".join(astuple(one)).encode()).hexdigest()[:26]


def _covered(permission: str, patterns: Sequence[str], approved: Sequence[Rule]) -> bool:
    return all(rules.evaluate(permission, pattern, approved).action == "allow" for pattern in patterns)


class HumanOfTurn:
    """Fulfils `turn.ports.Human` for one turn: whom to ask, where, and by which rules.

    `ruleset` is read for every call, since a session's rules may change while a turn runs.
    """

    def __init__(
        self, place: Place, asks: Asks, permissions: Permissions, ruleset: Callable[[], Awaitable[Sequence[Rule]]]
    ) -> None:
        self._place = place
        self._asks = asks
        self._permissions = permissions
        self._ruleset = ruleset

    async def question(self, call: Call, questions: Sequence[QuestionInfo]) -> list[list[str]]:
        request = QuestionRequest(
            id=ids.derived("que", call.part_id),
            sessionID=call.session_id,
            questions=list(questions),
            tool=ToolCallRef(messageID=call.message_id, callID=call.call_id),
        )
        reply = await self._asks.question(self._place, request)
        if reply is None:
            raise Rejected(DISMISSED)
        return reply.answers

    async def permit(self, call: Call, needs: Sequence[Need]) -> None:
        if needs:
            await self._permissions.permit(self._place, call, needs, await self._ruleset())
