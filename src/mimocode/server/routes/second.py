"""What the routes of `/api` share: where a request is about, and errors in that generation's words."""

import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

from mimocode.errors import Conflict, MimoError, NotFound, Unavailable
from mimocode.server import errors
from mimocode.server.body import Bodied
from mimocode.server.deps import Services, directory_of, shown_root
from mimocode.session.instance import Instance
from mimocode.wire.v2 import Location, LocationProject
from mimocode.workspace.root import Root


class Spelled(Bodied):
    """A route whose errors carry a `_tag`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def spelled(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                return _tagged(error, await errors.on_validation_error(request, error))
            except MimoError as error:
                return _tagged(error, errors.response_of(error))

        return spelled


def _tagged(error: Exception, response: JSONResponse) -> JSONResponse:
    told = json.loads(bytes(response.body))
    if "_tag" in told:
        return response
    data = told["data"]
    match error:
        case NotFound(kind="session"):
            again = {"_tag": "SessionNotFoundError", "sessionID": error.id, "message": str(error)}
        case NotFound(kind="provider"):
            again = {"_tag": "ProviderNotFoundError", "providerID": error.id, "message": str(error)}
        case NotFound():
            again = {"_tag": "NotFoundError", "message": str(error)}
        case Conflict():
            again = {"_tag": "ConflictError", "message": str(error)}
        case Unavailable():
            again = {"_tag": "ServiceUnavailableError", "message": str(error)}
        case _ if response.status_code == 400:
            again = {"_tag": "InvalidRequestError", "message": data["message"], "kind": data["kind"]}
        case _:
            return response
    headers = {name: value for name, value in response.headers.items() if name == "retry-after"}
    return JSONResponse(again, response.status_code, headers=headers)


async def instance_of(
    request: Request,
    app: Services,
    there: Annotated[str | None, Query(alias="location[directory]")] = None,
    directory: Annotated[str | None, Query()] = None,
) -> Instance:
    """`location[directory]`, else as everywhere."""
    return await app.directories.get(directory_of(request, there or directory))


There = Annotated[Instance, Depends(instance_of)]


def location_of(instance: Instance) -> Location:
    project = LocationProject(id=instance.project.id, directory=instance.project.worktree)
    return Location(directory=str(instance.directory), project=project)


async def root_of(app: Services, there: There) -> Root:
    return shown_root(app, there)


Within = Annotated[Root, Depends(root_of)]
