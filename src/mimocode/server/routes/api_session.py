"""The second generation of sessions and asks, `/api/session`: the same sessions, whose turns `/session` runs."""

import base64
import binascii
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import JSONResponse, Response

from mimocode.errors import Invalid, NotFound
from mimocode.server.deps import LATEST_MS, MOST_ROWS, Directory, JsonResponse, Services, SessionId, absolute, reply
from mimocode.session.sessions import SessionFilter, SessionInput
from mimocode.wire.ask import PermissionReply, PermissionRequest, QuestionReply, QuestionRequest
from mimocode.wire.session import Session
from mimocode.wire.v2 import (
    AgentChoice,
    CallSource,
    Cursor,
    Data,
    Located,
    ModelChoice,
    Permission2,
    PermissionSaved,
    Question2,
    Session2,
    Session2Input,
    SessionPlace,
    Sessions2,
    SessionTime2,
)

from .second import Spelled, There, location_of

router = APIRouter(strict_content_type=False, prefix="/api", tags=["api"], route_class=Spelled)

QuestionId = Annotated[str, Path(alias="requestID", pattern="^que")]
PermissionId = Annotated[str, Path(alias="requestID", pattern="^per")]


@router.get("/session", operation_id="v2.session.list", response_model=Sessions2)
async def sessions(
    app: Services,
    directory: str | None = None,
    project: str | None = None,
    subpath: str | None = None,
    search: str | None = None,
    order: Literal["asc", "desc"] = "desc",
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
    cursor: str | None = None,
) -> JsonResponse:
    """Sessions of a directory, of a project, or all; by their last change. `cursor` leads to the next page."""
    begin = _decoded(cursor) if cursor else 0
    wanted = SessionFilter(
        directory=absolute(directory) if directory else None,
        project=project,
        path=subpath,
        search=search,
        oldest_first=order == "asc",
        skip=begin,
        limit=limit + 1,
    )
    found = await app.sessions.list(wanted)
    following = _encoded(begin + limit) if len(found) > limit else None
    return reply(Sessions2(data=[_session(one) for one in found[:limit]], cursor=Cursor(next=following)))


@router.post("/session", operation_id="v2.session.create", response_model=Data[Session2])
async def create(app: Services, here: Directory, body: Session2Input | None = None) -> JsonResponse:
    """A new session, in `location` or the request's directory."""
    wanted = body or Session2Input()
    if wanted.id is not None:
        raise Invalid('Ids of sessions are made by the server. Leave it out.\n  at ["id"]')
    directory = absolute(wanted.location.directory) if wanted.location else here
    made = await app.sessions.create(directory, SessionInput(agent=wanted.agent, model=wanted.model))
    return reply(Data(data=_session(made)))


@router.get("/session/active", operation_id="v2.session.active", response_model=Data[dict[str, Any]])
async def active(app: Services) -> JSONResponse:
    """The sessions that are not idle, by id."""
    return JSONResponse({"data": {session_id: {"type": "running"} for session_id in app.sessions.statuses}})


@router.get("/session/{sessionID}", operation_id="v2.session.get", response_model=Data[Session2])
async def get(app: Services, session_id: SessionId) -> JsonResponse:
    """One session."""
    return reply(Data(data=_session(await app.sessions.get(session_id))))


@router.post("/session/{sessionID}/agent", operation_id="v2.session.switchAgent", status_code=204)
async def switch_agent(app: Services, session_id: SessionId, body: AgentChoice) -> Response:
    """Who answers from the next prompt on."""
    instance = await app.directories.get((await app.sessions.get(session_id)).directory)
    agent = instance.agent(body.agent)
    await app.sessions.change(session_id, lambda session: session.but(agent=agent.name), durable=True)
    return Response(status_code=204)


@router.post("/session/{sessionID}/model", operation_id="v2.session.switchModel", status_code=204)
async def switch_model(app: Services, session_id: SessionId, body: ModelChoice) -> Response:
    """With which model, from the next prompt on."""
    instance = await app.directories.get((await app.sessions.get(session_id)).directory)
    instance.models.resolve(body.model.providerID, body.model.id)
    await app.sessions.change(session_id, lambda session: session.but(model=body.model), durable=True)
    return Response(status_code=204)


@router.post("/session/{sessionID}/interrupt", operation_id="v2.session.interrupt", status_code=204)
async def interrupt(app: Services, session_id: SessionId) -> Response:
    """Ends its turns, and answers when that is written."""
    await app.sessions.get(session_id)
    await app.runner.abort(session_id)
    return Response(status_code=204)


# ── what waits for a human ───────────────────────────────────────────────────────────────────────────────


@router.get("/permission/request", operation_id="v2.permission.request.list", response_model=Located[list[Permission2]])
async def permissions(app: Services, there: There) -> JsonResponse:
    """The directory's permissions that wait, oldest first."""
    found = await app.asks.permissions(str(there.directory))
    return reply(Located(location=location_of(there), data=[_permission(one) for one in found]))


@router.get("/question/request", operation_id="v2.question.request.list", response_model=Located[list[Question2]])
async def questions(app: Services, there: There) -> JsonResponse:
    """The directory's questions that wait, oldest first."""
    found = await app.asks.questions(str(there.directory))
    return reply(Located(location=location_of(there), data=[_question(one) for one in found]))


@router.get(
    "/session/{sessionID}/permission", operation_id="v2.session.permission.list", response_model=Data[list[Permission2]]
)
async def permissions_of(app: Services, session_id: SessionId) -> JsonResponse:
    """A session's permissions that wait."""
    await app.sessions.get(session_id)
    return reply(Data(data=[_permission(one) for one in await app.asks.permissions(session_id=session_id)]))


@router.get(
    "/session/{sessionID}/permission/{requestID}",
    operation_id="v2.session.permission.get",
    response_model=Data[Permission2],
)
async def permission(app: Services, session_id: SessionId, ask_id: PermissionId) -> JsonResponse:
    """One of them."""
    return reply(Data(data=_permission(await _asked_permission(app, session_id, ask_id))))


@router.post(
    "/session/{sessionID}/permission/{requestID}/reply", operation_id="v2.session.permission.reply", status_code=204
)
async def reply_permission(
    app: Services, session_id: SessionId, ask_id: PermissionId, body: PermissionReply
) -> Response:
    """As `POST /permission/{requestID}/reply`."""
    await _asked_permission(app, session_id, ask_id)
    await app.permissions.reply(ask_id, body)
    return Response(status_code=204)


@router.get(
    "/session/{sessionID}/question", operation_id="v2.session.question.list", response_model=Data[list[Question2]]
)
async def questions_of(app: Services, session_id: SessionId) -> JsonResponse:
    """A session's questions that wait."""
    return reply(Data(data=[_question(one) for one in await _asked_questions(app, session_id)]))


@router.post(
    "/session/{sessionID}/question/{requestID}/reply", operation_id="v2.session.question.reply", status_code=204
)
async def reply_question(app: Services, session_id: SessionId, ask_id: QuestionId, body: QuestionReply) -> Response:
    """As `POST /question/{requestID}/reply`."""
    await _must_ask(app, session_id, ask_id)
    await app.asks.reply_question(ask_id, body)
    return Response(status_code=204)


@router.post(
    "/session/{sessionID}/question/{requestID}/reject", operation_id="v2.session.question.reject", status_code=204
)
async def reject_question(app: Services, session_id: SessionId, ask_id: QuestionId) -> Response:
    """As `POST /question/{requestID}/reject`."""
    await _must_ask(app, session_id, ask_id)
    await app.asks.reject_question(ask_id)
    return Response(status_code=204)


async def _asked_permission(app: Services, session_id: str, ask_id: str) -> PermissionRequest:
    """Raises `NotFound` for a session that is not there, or does not ask this."""
    await app.sessions.get(session_id)
    for one in await app.asks.permissions(session_id=session_id):
        if one.id == ask_id:
            return one
    raise NotFound("permission", ask_id, f"Permission request not found: {ask_id}")


async def _asked_questions(app: Services, session_id: str) -> list[QuestionRequest]:
    session = await app.sessions.get(session_id)
    return [one for one in await app.asks.questions(session.directory) if one.sessionID == session_id]


async def _must_ask(app: Services, session_id: str, ask_id: str) -> None:
    if all(one.id != ask_id for one in await _asked_questions(app, session_id)):
        raise NotFound("question", ask_id, f"Question request not found: {ask_id}")


@router.get("/permission/saved", operation_id="v2.permission.saved.list", response_model=Data[list[PermissionSaved]])
async def saved(app: Services, project: Annotated[str | None, Query(alias="projectID")] = None) -> JsonResponse:
    """What was allowed for good, in a project or in all, the oldest first."""
    return reply(Data(data=await app.permissions.saved(project)))


@router.delete("/permission/saved/{id}", operation_id="v2.permission.saved.remove", status_code=204)
async def forget(app: Services, saved_id: Annotated[str, Path(alias="id")]) -> Response:
    """From now on it is asked for again."""
    await app.permissions.forget(saved_id)
    return Response(status_code=204)


# ── the same things in this generation's words ───────────────────────────────────────────────────────────


def _session(one: Session) -> Session2:
    return Session2(
        id=one.id,
        parentID=one.parentID,
        projectID=one.projectID,
        agent=one.agent,
        model=one.model,
        cost=one.cost,
        tokens=one.tokens,
        time=SessionTime2(created=one.time.created, updated=one.time.updated, archived=one.time.archived),
        title=one.title,
        location=SessionPlace(directory=one.directory),
        subpath=one.path or None,
    )


def _permission(one: PermissionRequest) -> Permission2:
    source = one.tool and CallSource(messageID=one.tool.messageID, callID=one.tool.callID)
    return Permission2(
        id=one.id,
        sessionID=one.sessionID,
        action=one.permission,
        resources=one.patterns,
        save=one.always,
        metadata=one.metadata,
        source=source,
    )


def _question(one: QuestionRequest) -> Question2:
    return Question2(id=one.id, sessionID=one.sessionID, questions=one.questions, tool=one.tool)


def _encoded(begin: int) -> str:
    return base64.urlsafe_b64encode(str(begin).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> int:
    try:
        return min(max(int(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))), 0), LATEST_MS)
    except (binascii.Error, ValueError) as error:
        raise Invalid(
            'The cursor is none of this server\'s. Use `cursor.next`.\n  at ["cursor"]', kind="Query"
        ) from error
