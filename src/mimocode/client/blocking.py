"""The same client for programs that are not asynchronous: every method runs the asynchronous one in a thread's loop."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from mimocode.errors import Invalid
from mimocode.wire.event import GlobalEvent

from .backoff import ENDLESS, Backoff, Budget
from .mimo import AsyncMimo
from .stream import EventStream

P = ParamSpec("P")
R = TypeVar("R")


class _Blocking(Generic[P, R]):
    """A method of `AsyncMimo` that is waited for."""

    def __init__(self, method: Callable[Concatenate[AsyncMimo, P], Awaitable[R]]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: "Mimo", owner: type[Any]) -> Callable[P, R]: ...
    def __get__(self, instance: "Mimo | None", owner: type[Any]) -> "Self | Callable[P, R]":
        if instance is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return instance.portal.call(lambda: self._method(instance.client, *args, **kwargs))

        call.__doc__ = self.__doc__
        return call


class Events:
    """The events of a stream, one after the other."""

    def __init__(self, portal: BlockingPortal, stream: EventStream) -> None:
        self._portal = portal
        self._stream = stream

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> GlobalEvent:
        return self._portal.call(self._stream.__anext__)


class Mimo:
    """One server, spoken to: ``with Mimo() as mimo:``. The arguments are those of `AsyncMimo`.

    It may be used from several threads at once. Callbacks are called in the thread of its loop: they must be quick,
    and must not use this client.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        password: str | None = None,
        directory: str | None = None,
        beat_s: float = 10,
        backoff: Backoff | None = None,
        budget: Budget = ENDLESS,
        env: Mapping[str, str] | None = None,
        tls_ca: str | None = None,
    ) -> None:
        self.client = AsyncMimo(
            url, password=password, directory=directory, beat_s=beat_s, backoff=backoff, budget=budget, env=env,
            tls_ca=tls_ca,
        )  # fmt: skip
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self.client))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        self._portal = None

    @property
    def portal(self) -> BlockingPortal:
        if self._portal is None:
            raise Invalid("This client is not open: use it as `with Mimo(…) as mimo:`.")
        return self._portal

    @property
    def url(self) -> str:
        return self.client.url

    def events(self, *, everywhere: bool = False, directory: str | None = None) -> AbstractContextManager[Events]:
        """Events of `directory` (default: this client's), or of all with `everywhere`; use it with ``with``."""
        return self._events(everywhere, directory)

    @contextmanager
    def _events(self, everywhere: bool, directory: str | None) -> Generator[Events]:
        stream = self.client.events(everywhere=everywhere, directory=directory)
        with self.portal.wrap_async_context_manager(stream):
            yield Events(self.portal, stream)

    health = _Blocking(AsyncMimo.health)
    config = _Blocking(AsyncMimo.config)
    providers = _Blocking(AsyncMimo.providers)
    default_models = _Blocking(AsyncMimo.default_models)
    agents = _Blocking(AsyncMimo.agents)
    create_session = _Blocking(AsyncMimo.create_session)
    sessions = _Blocking(AsyncMimo.sessions)
    session = _Blocking(AsyncMimo.session)
    update_session = _Blocking(AsyncMimo.update_session)
    delete_session = _Blocking(AsyncMimo.delete_session)
    fork_session = _Blocking(AsyncMimo.fork_session)
    children = _Blocking(AsyncMimo.children)
    statuses = _Blocking(AsyncMimo.statuses)
    abort = _Blocking(AsyncMimo.abort)
    todos = _Blocking(AsyncMimo.todos)
    why = _Blocking(AsyncMimo.why)
    recovery = _Blocking(AsyncMimo.recovery)
    resume = _Blocking(AsyncMimo.resume)
    messages = _Blocking(AsyncMimo.messages)
    message = _Blocking(AsyncMimo.message)
    prompt = _Blocking(AsyncMimo.prompt)
    note = _Blocking(AsyncMimo.note)
    prompt_async = _Blocking(AsyncMimo.prompt_async)
    command = _Blocking(AsyncMimo.command)
    shell = _Blocking(AsyncMimo.shell)
    summarize = _Blocking(AsyncMimo.summarize)
    questions = _Blocking(AsyncMimo.questions)
    reply_question = _Blocking(AsyncMimo.reply_question)
    reject_question = _Blocking(AsyncMimo.reject_question)
    permissions = _Blocking(AsyncMimo.permissions)
    reply_permission = _Blocking(AsyncMimo.reply_permission)
