"""Routes that are made when they are first asked for.

What FastAPI makes of a function, the validators of its parameters and body, takes about a millisecond. All of them
would be a seventh of the server's start, and a client asks for a dozen of more than a hundred.
"""

import warnings
from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope


class Later(APIRoute):
    """A route that knows only its path until a request has it, or somebody looks at another of its attributes.

    So what is wrong with a function's signature shows there; the document looks at all of them.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **told: Any) -> None:
        self.path = path
        self._begin, self._end = path.partition("{")[0], path.rpartition("}")[2]
        self._slashes = None if ":path}" in path else path.count("/")
        self._endpoint = endpoint
        self._told = told

    @property
    def made(self) -> bool:
        return "app" in self.__dict__  # the last of all

    def __getattr__(self, name: str) -> Any:
        """Is called for what is not there yet."""
        if self.made:
            raise AttributeError(name, name=name, obj=self)
        self.make()
        return getattr(self, name)

    def make(self) -> None:
        """Blocking, some milliseconds. Two threads may make it at once: both make the same."""
        told = dict(self._told)
        if _answers_itself(self._endpoint):
            told["response_model"] = None  # the document alone has one
        super().__init__(self.path, self._endpoint, **told)
        _build_body(self)

    def described(self) -> APIRoute:
        """The same for the document, with the type of what is answered."""
        route = APIRoute(self.path, self._endpoint, **self._told)
        _build_body(route)
        return route

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path: str = scope["path"]
        if not scope.get("root_path") and (
            not path.startswith(self._begin)
            or not path.endswith(self._end)
            or (self._slashes is not None and path.count("/") != self._slashes)
        ):
            return Match.NONE, {}
        return super().matches(scope)


def _build_body(route: APIRoute) -> None:
    """Builds the validator of the route's body, which pydantic puts off for a type that is put off itself.

    FastAPI passes over a warning where it has validators built, but not later.
    """
    if route.body_field is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
            route.body_field.validate(None)


def _answers_itself(endpoint: Callable[..., Any]) -> bool:
    answer = endpoint.__annotations__.get("return")
    return isinstance(answer, type) and issubclass(answer, Response)
