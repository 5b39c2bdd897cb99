"""The one place that takes secrets out of text: it knows those that are live, and what they look like when encoded.

    text, data    what the server itself says: errors, logs, configurations. Every secret is hidden
    sure=True     what others wrote, such as a tool's output: only secrets that nobody writes by accident
    masked        bodies of answers on their way out: likewise, and no byte becomes more or less

Whoever learns of a secret says so with `learn`; whoever lets text go says so here. There is one for the process.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote, quote_plus

HIDDEN: Final = "[redacted]"
KEPT_FROM_MODELS: Final = "[redacted: a key of this server]"
"""In what others wrote. It is told apart from `HIDDEN`, so that it is known when it comes back."""

SHORTEST: Final = 6
"""Characters. A shorter secret is in too many words to be taken out of them."""
SURE: Final = 16
"""Characters. A secret so long is in no text by accident; ``postgres`` as a password is in many."""
MOST_PASSING: Final = 32
"""Secrets that callers show are forgotten, the oldest first, when there are more."""

_TOKEN: Final = re.compile(r"\bmimo_[A-Za-z0-9_-]{43}")
_TOKEN_BYTES: Final = re.compile(_TOKEN.pattern.encode())


class Redaction:
    """Not for secrets only: for the ways they are written too (JSON, URLs, base64 at every place, Python's quotes)."""

    def __init__(self, *secrets: str) -> None:
        self._known: dict[str, None] = {}
        self._passing: dict[str, None] = {}
        self._build()
        self.learn(*secrets)

    def learn(self, *secrets: str) -> None:
        """From now on these are taken out. Those that are too short to be told from words are left alone."""
        fresh = [one for one in secrets if len(one) >= SHORTEST and one not in self._known]
        if fresh:
            self._known |= dict.fromkeys(fresh)
            self._build()

    def passing(self, secret: str) -> None:
        """The same for what a caller has shown: the last `MOST_PASSING` of these are known."""
        if secret in self._passing or secret in self._known or len(secret) < SHORTEST:
            return
        self._passing[secret] = None
        while len(self._passing) > MOST_PASSING:
            del self._passing[next(iter(self._passing))]
        self._build()

    def _build(self) -> None:
        secrets = [*self._known, *self._passing]
        sure = [one for one in secrets if len(one) >= SURE]
        # The longest first: one may be a part of another.
        self._forms = _by_length(form for one in secrets for form in _forms(one))
        self._sure = _by_length(form for one in sure for form in _forms(one))
        self._masks, self._sure_masks = _encoded(self._forms), _encoded(self._sure)

    def text(self, text: str, *, sure: bool = False) -> str:
        """`text` without secrets."""
        hidden = KEPT_FROM_MODELS if sure else HIDDEN
        for form, _ in self._sure if sure else self._forms:
            if form in text:
                text = text.replace(form, hidden)
        return _TOKEN.sub(hidden, text) if "mimo_" in text else text

    def data(self, value: Any, *, sure: bool = False) -> Any:
        """The same for a value that JSON can hold, the names in it included."""
        if isinstance(value, str):
            return self.text(value, sure=sure)
        if isinstance(value, Mapping):
            items = cast("Mapping[Any, Any]", value).items()
            return {self.data(name, sure=sure): self.data(item, sure=sure) for name, item in items}
        if isinstance(value, list | tuple):
            return [self.data(item, sure=sure) for item in cast("list[Any]", value)]
        return value

    def growing(self, value: Any) -> Any:
        """As `data` of what others wrote, for texts that are not whole yet: they may end in the middle of a secret."""
        if isinstance(value, Mapping):
            return {name: self.growing(item) for name, item in cast("Mapping[str, Any]", value).items()}
        if not isinstance(value, str):
            return value
        text = self.text(value, sure=True)
        return next((text[:-length] for length in self._begun(text)), text)

    def _begun(self, text: str) -> Iterator[int]:
        """How many characters at its end may be the beginning of a secret."""
        for form, _ in self._sure:
            for length in range(min(len(form) - 1, len(text)), SHORTEST - 1, -1):
                if text.endswith(form[:length]):
                    yield length

    def without(self, value: Any) -> Any:
        """A value that JSON can hold, without the entries of objects that are a secret and nothing else."""
        if isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            return {name: self.without(item) for name, item in items if not self._is_one(item)}
        return value

    def _is_one(self, value: object) -> bool:
        return isinstance(value, str) and value in self._known

    def masked(self, body: bytes, *, sure: bool = True) -> bytes:
        """`body` with something of the same length in place of each secret, so that what was announced of it holds."""
        for form, mask in self._sure_masks if sure else self._masks:
            if form in body:
                body = body.replace(form, mask * len(form))
        return _TOKEN_BYTES.sub(_stars, body) if b"mimo_" in body else body


def _stars(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


def _by_length(forms: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return sorted(dict(forms).items(), key=lambda form: -len(form[0]))


def _encoded(forms: list[tuple[str, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(form.encode("utf-8", "surrogateescape"), mask) for form, mask in forms]


def _forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """The ways a secret is written, each with the byte that may stand for its bytes."""
    plain = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }
    yield from ((form, b"*") for form in plain)
    data = secret.encode("utf-8", "surrogateescape")
    # What is base64 stays so, whatever else is in it.
    yield from ((form, b"A") for encode in (b64encode, urlsafe_b64encode) for form in _base64(data, encode))


def _base64(data: bytes, encode: Any) -> Iterator[str]:
    """What the base64 of any text with `data` in it has of it, after 0, 1 or 2 bytes of a group: Basic's too."""
    for before in range(3):
        encoded: bytes = encode(b"\0" * before + data)
        own = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield own.decode()
