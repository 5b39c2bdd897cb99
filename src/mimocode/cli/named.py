"""Ids as people type them."""

from mimocode.errors import Invalid


def session_id(given: str) -> str:
    """Raises `Invalid` for what cannot be a session's id."""
    return _checked(given, "ses_", "a session", "mimo session list")


def question_id(given: str) -> str:
    return _checked(given, "que_", "a question", "mimo question list")


def permission_id(given: str) -> str:
    return _checked(given, "per_", "a permission", "mimo permission list")


def _checked(given: str, prefix: str, kind: str, listing: str) -> str:
    if not given.startswith(prefix):
        raise Invalid(f"Expected the id of {kind}, such as {prefix}…, found {given!r}. `{listing}` shows them.")
    return given
