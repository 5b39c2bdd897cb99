"""Messages and their parts: `/session/{id}/message`. The routes that wait for a turn are in `blocking`."""

import base64
import binascii
import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from mimocode.errors import Invalid
from mimocode.server.audited import noted
from mimocode.server.body import Bodied
from mimocode.server.deps import MOST_ROWS, JsonResponse, MessageId, PartId, Services, SessionId, held_in, reply
from mimocode.server.limits import caller_of
from mimocode.server.waiting import TurnAnswer, place_of, repeat_of, waits
from mimocode.session.sessions import Page
from mimocode.wire.message import WithParts
from mimocode.wire.part import Part
from mimocode.wire.prompt import PromptInput

PREFER = "`wait`: the answer, beating until it is there; `wait=N`: the answer, or 202 after N seconds (RFC 7240)"

router = APIRouter(strict_content_type=False, tags=["session"], route_class=Bodied)


@router.get("/session/{sessionID}/message", operation_id="session.messages", response_model=list[WithParts])
async def messages(
    request: Request,
    app: Services,
    session_id: SessionId,
    limit: Annotated[int | None, Query(ge=0, le=MOST_ROWS)] = None,
    before: str | None = None,
) -> JsonResponse:
    """Oldest first. `limit` gives the newest so many, and a cursor for those before them in `x-next-cursor`."""
    if not limit:
        if before is not None:
            raise Invalid("`before` needs a `limit`: how many messages before the cursor are wanted.", kind="Query")
        return JsonResponse((await app.sessions.messages_json(session_id)).json)
    created, message_id = _decoded(before) if before else (None, None)
    found = await app.sessions.messages_json(session_id, Page(limit=limit, created=created, id=message_id))
    response = JsonResponse(found.json)
    if found.older is not None:
        cursor = _encoded(*found.older)
        following = request.url.include_query_params(limit=limit, before=cursor)
        response.headers["x-next-cursor"] = cursor
        response.headers["link"] = f'<{following}>; rel="next"'
        response.headers["access-control-expose-headers"] = "Link, X-Next-Cursor"
    return response


def _encoded(created: int, message_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"id": message_id, "time": created}).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[int, str]:
    try:
        told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return int(told["time"]), str(told["id"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise Invalid("`before` is not a cursor: use the one of the `x-next-cursor` header.", kind="Query") from error


@router.get(
    "/session/{sessionID}/message/{messageID}",
    operation_id="session.message",
    response_model=WithParts,
    responses={202: {"description": "the turn goes on; `location` says where to ask again"}},
)
async def message(
    request: Request,
    app: Services,
    session_id: SessionId,
    message_id: MessageId,
    prefer: Annotated[str | None, Header(description=PREFER)] = None,
) -> Response:
    """The message; with `Prefer: wait` or `wait=N` on a prompt, the answer of its turn, once it is there."""
    if prefer is not None and waits(request.headers):
        running = await app.runner.turn_of(session_id, message_id)
        if running is not None:
            return TurnAnswer(app, running, request.headers, started=False)
    return reply(await app.sessions.message(session_id, message_id))


@router.delete("/session/{sessionID}/message/{messageID}", operation_id="session.deleteMessage", response_model=bool)
async def delete_message(app: Services, session_id: SessionId, message_id: MessageId) -> bool:
    """Not while a turn runs: 409."""
    await app.runner.remove_message(session_id, message_id)
    return True


@router.delete(
    "/session/{sessionID}/message/{messageID}/part/{partID}", operation_id="part.delete", response_model=bool
)
async def delete_part(app: Services, session_id: SessionId, message_id: MessageId, part_id: PartId) -> bool:
    """Not while a turn runs: 409."""
    await app.runner.remove_part(session_id, message_id, part_id)
    return True


@router.patch("/session/{sessionID}/message/{messageID}/part/{partID}", operation_id="part.update", response_model=Part)
async def update_part(
    app: Services, session_id: SessionId, message_id: MessageId, part_id: PartId, body: Part
) -> JsonResponse:
    """Puts the part in the place of the one with its id, or adds it. Not while a turn runs: 409."""
    named = {"sessionID": session_id, "messageID": message_id, "id": part_id}
    for name, expected in named.items():
        if (given := getattr(body, name)) != expected:
            raise Invalid(f'The path says {expected}, the part {given}. Send the same.\n  at ["{name}"]')
    return reply(await app.runner.change_part(body))


@router.post("/session/{sessionID}/prompt_async", operation_id="session.prompt_async", status_code=204)
async def prompt_async(request: Request, app: Services, session_id: SessionId, body: PromptInput) -> Response:
    """Admits a prompt and answers at once: it is on disk, and its turn has begun or waits its turn."""
    with held_in(request.scope).starting(caller_of(request.scope)) as start:
        running = await app.runner.prompt(session_id, body, repeat_of(request.headers, start.begin))
        start.admitted(running)
    noted(request.scope, message=running.turn_id)
    return Response(status_code=204, headers={"content-location": place_of(running)})
