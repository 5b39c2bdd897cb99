"""Structured logs on stderr, without secrets. Others use `logging` and ``extra=``.

On a terminal a line for people, elsewhere one JSON object a line. Three things keep secrets out, whatever is logged,
tracebacks included: fields whose names say that they hold one, texts in which one is recognizable (an Authorization
header, a ``token=`` in a URL), and the process's `Redaction`, which knows those that are live.
"""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO, cast

from mimocode.errors import ConfigError
from mimocode.redaction import HIDDEN, Redaction

LEVEL: Final = "MIMOCODE_LOG_LEVEL"
FORMAT: Final = "MIMOCODE_LOG_FORMAT"
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
FORMATS: Final = ("text", "json")

_NOISY: Final = ("uvicorn", "httpx", "httpx2", "httpcore", "openai", "anthropic", "google_genai", "asyncio", "alembic")
"""Loggers of libraries that tell at level info what is of interest only when looking for a fault."""

_DEEPEST: Final = 6

_SECRET_NAME: Final = re.compile(
    r"authorization|cookie|passw(or)?d|passphrase|secret|credential|api[-_]?key|private[-_]?key|token$", re.IGNORECASE
)
_VALUE: Final = r"(?!\[redacted\])[^\s\"'&#,;}\])]+"
_IN_TEXT: Final = (
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(rf"([?&](?:key|sig)=){_VALUE}", re.IGNORECASE), rf"\1{HIDDEN}"),
    (
        re.compile(
            rf"((?:authorization|passw(?:or)?d|secret|api[-_]?key|token|signature)[\"']?\s*[=:]\s*[\"']?){_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\bmimo_[\w-]{20,}|\b(?:sk|pk|ghp|gho|xox[abp])[-_][\w-]{12,}|\bAIza[\w-]{20,}"), HIDDEN),
)


class Scrubbing:
    """What is logged, without secrets."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def text(self, text: str) -> str:
        """The text without what is a live secret or looks like one."""
        text = self._redaction.text(text)
        for pattern, instead in _IN_TEXT:
            text = pattern.sub(instead, text)
        return text

    def value(self, value: object, *, depth: int = 0) -> Any:
        """The same for a value of any shape. What is not plain data becomes its text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping) and depth < _DEEPEST:
            fields = cast(Mapping[object, object], value)
            return {self.text(str(name)): self._field(str(name), field, depth) for name, field in fields.items()}
        if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
            items = cast(tuple[object, ...], value)
            return [self.value(item, depth=depth + 1) for item in items]
        return self.text(str(cast(object, value)))

    def _field(self, name: str, value: object, depth: int) -> Any:
        if _SECRET_NAME.search(name) and value is not None and not isinstance(value, bool | int | float):
            return HIDDEN
        return self.value(value, depth=depth + 1)


class _Lines(logging.Formatter):
    """A record as JSON or as a line for people, its extra fields and its traceback with it; no secret in either.

    Libraries for this take a tenth of the time of a start to load.
    """

    def __init__(self, scrubbing: Scrubbing, *, as_json: bool, colours: bool = False) -> None:
        super().__init__()
        self._scrubbing = scrubbing
        self._as_json = as_json
        self._colours = colours

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {"event": record.getMessage()}
        told |= {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            told["stack"] = record.stack_info
        told = self._scrubbing.value(told)
        told |= {"level": record.levelname.lower(), "logger": record.name}
        if not self._as_json:
            return self._line(told, record)
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        return json.dumps(told | {"timestamp": when.replace("+00:00", "Z")}, ensure_ascii=False)

    def _line(self, told: dict[str, object], record: logging.LogRecord) -> str:
        traces = [str(told.pop(name)) for name in ("exception", "stack") if name in told]
        level, event, logger = (str(told.pop(name)) for name in ("level", "event", "logger"))
        shown = f"{level:9}"
        if self._colours and level in _COLOURS:
            shown = f"\x1b[{_COLOURS[level]}m{shown}\x1b[0m"
        when = self.formatTime(record, "%H:%M:%S")
        fields = "".join(f" {name}={_plain_or_quoted(value)}" for name, value in told.items())
        return "\n".join([f"{when} [{shown}] {event} [{logger}]{fields}", *traces])


_OF_EVERY_RECORD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_COLOURS: Final = {"debug": 32, "info": 32, "warning": 33, "error": 31, "critical": 31}


def _plain_or_quoted(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and not re.search(r"[\s\"=]", text) else repr(value)


def level_of(value: str | None, env: Mapping[str, str]) -> int:
    """The level by `value` (the command line's), else by the environment, else info. Raises `ConfigError`."""
    name, text = ("--log-level", value) if value else (LEVEL, env.get(LEVEL) or "info")
    if text.lower() not in LEVELS:
        raise ConfigError(f"{name}: expected one of {', '.join(LEVELS)}, found {text!r}.")
    return int(logging.getLevelNamesMapping()[text.upper()])


def _as_json(stream: TextIO, env: Mapping[str, str]) -> bool:
    text = env.get(FORMAT) or ("text" if stream.isatty() else "json")
    if text not in FORMATS:
        raise ConfigError(f"{FORMAT}: expected one of {', '.join(FORMATS)}, found {text!r}.")
    return text == "json"


def configure(
    env: Mapping[str, str],
    *,
    level: str | None = None,
    stream: TextIO | None = None,
    redaction: Redaction | None = None,
) -> None:
    """Sends every log of the process to `stream` (stderr), warnings and what ends it included. Raises `ConfigError`.

    `level` is the command line's and goes before the environment's.
    """
    out = stream or sys.stderr
    lowest, as_json = level_of(level, env), _as_json(out, env)
    handler = logging.StreamHandler(out)
    scrubbing = Scrubbing(redaction or Redaction())
    colours = out.isatty() and not env.get("NO_COLOR")
    handler.setFormatter(_Lines(scrubbing, as_json=as_json, colours=colours))
    logging.captureWarnings(True)
    sys.excepthook = _ended
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(lowest)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(lowest, logging.WARNING) if lowest > logging.DEBUG else lowest)


def _ended(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """In place of Python's own, which writes a traceback as it is."""
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger(__name__).critical("a fault ended the process", exc_info=(kind, error, traceback))
