"""Errors as they stand in ``info.error``."""

from typing import cast

from mimocode.errors import ContentFiltered, ContextOverflow, ProviderAuth, ProviderError
from mimocode.redaction import Redaction
from mimocode.wire import error as wire
from mimocode.wire.error import AssistantError


def told(error: ProviderError) -> AssistantError:
    """What clients are told of a provider's failure."""
    match error:
        case ProviderAuth():
            return wire.ProviderAuthError(data=wire.ProviderAuthData(providerID=error.provider_id, message=str(error)))
        case ContextOverflow():
            return wire.ContextOverflowError(data=wire.ContextOverflowData(message=str(error), responseBody=error.body))
        case ContentFiltered():
            return wire.ContentFilterError(data=wire.MessageData(message=str(error)))
        case _:
            return wire.APIError(
                data=wire.APIErrorData(
                    message=str(error),
                    statusCode=error.status,
                    isRetryable=error.retryable,
                    responseHeaders=error.headers or None,
                    responseBody=error.body,
                    metadata={"url": error.url} if error.url else None,
                )
            )


def unknown(error: BaseException, redaction: Redaction) -> AssistantError:
    """A bug of ours: its kind and text, not its insides. Of a group, what the first of several tools stumbled over."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return wire.UnknownError(data=wire.MessageData(message=redaction.text(f"{type(error).__name__}: {error}")))
