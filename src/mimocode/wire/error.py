"""Errors as they stand in ``info.error`` of an assistant message and in `session.error`."""

from typing import Annotated, Literal

from pydantic import Field

from .base import Wire


class MessageData(Wire):
    message: str


class RetriesData(Wire):
    message: str
    retries: int


class ProviderAuthData(Wire):
    providerID: str
    message: str


class ContextOverflowData(Wire):
    message: str
    responseBody: str | None = None


class SuspendedData(Wire):
    message: str
    isRetryable: Literal[True] = True
    messageID: str


class APIErrorData(Wire):
    message: str
    statusCode: int | None = None
    isRetryable: bool
    responseHeaders: dict[str, str] | None = None
    responseBody: str | None = None
    metadata: dict[str, str] | None = None


class EmptyData(Wire):
    pass


class APIError(Wire):
    """The model's provider refused or failed; `isRetryable` says whether the same call may yet succeed."""

    name: Literal["APIError"] = "APIError"
    data: APIErrorData


class ProviderAuthError(Wire):
    name: Literal["ProviderAuthError"] = "ProviderAuthError"
    data: ProviderAuthData


class UnknownError(Wire):
    name: Literal["UnknownError"] = "UnknownError"
    data: MessageData


class MessageOutputLengthError(Wire):
    name: Literal["MessageOutputLengthError"] = "MessageOutputLengthError"
    data: EmptyData = EmptyData()


class MessageAbortedError(Wire):
    name: Literal["MessageAbortedError"] = "MessageAbortedError"
    data: MessageData = MessageData(message="Aborted")


class StructuredOutputError(Wire):
    name: Literal["StructuredOutputError"] = "StructuredOutputError"
    data: RetriesData


class ContextOverflowError(Wire):
    name: Literal["ContextOverflowError"] = "ContextOverflowError"
    data: ContextOverflowData


class ContentFilterError(Wire):
    name: Literal["ContentFilterError"] = "ContentFilterError"
    data: MessageData


class TurnSuspendedError(Wire):
    """The server is shutting down: the turn is kept and goes on at the next start. Ours, not the peer's."""

    name: Literal["TurnSuspendedError"] = "TurnSuspendedError"
    data: SuspendedData


AssistantError = Annotated[
    APIError
    | ProviderAuthError
    | UnknownError
    | MessageOutputLengthError
    | MessageAbortedError
    | StructuredOutputError
    | ContextOverflowError
    | ContentFilterError
    | TurnSuspendedError,
    Field(discriminator="name"),
]
