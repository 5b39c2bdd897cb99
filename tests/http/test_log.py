"""Logs: one JSON object a line or a line for people, on stderr, and never a secret in them."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Generator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from mimocode.errors import ConfigError
from mimocode.redaction import Redaction
from mimocode.server import log

JSON = {"MIMOCODE_LOG_FORMAT": "json"}
_log = logging.getLogger("mimocode.session.runner")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Leaves the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log._NOISY}
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, each in levels.items():
        logging.getLogger(name).setLevel(each)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_log_is_one_json_object_a_line_with_its_fields() -> None:
    stream = io.StringIO()
    log.configure({}, stream=stream)

    _log.info("turn %s", "started", extra={"session": "ses_1", "tokens": {"input": 4}})

    (entry,) = lines(stream)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "turn started",
        "level": "info",
        "logger": "mimocode.session.runner",
        "session": "ses_1",
        "tokens": {"input": 4},
    }


def test_on_a_terminal_it_is_a_line_for_people_unless_json_is_asked_for() -> None:
    terminal, piped = Terminal(), Terminal()

    log.configure({}, stream=terminal)
    _log.info("turn started")
    log.configure(JSON, stream=piped)
    _log.info("turn started")

    assert "turn started" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines(piped)[0]["event"] == "turn started"


def test_a_line_for_people_has_the_fields_and_the_traceback_and_no_control_character_in_a_field() -> None:
    terminal = Terminal()
    log.configure({"NO_COLOR": "1"}, stream=terminal)

    try:
        raise ValueError("late")
    except ValueError:
        _log.exception("turn failed", extra={"session": "ses_1", "title": "a \x1b[2Jtitle"})

    first, *trace = terminal.getvalue().splitlines()
    expected = r"[error    ] turn failed [mimocode.session.runner] session=ses_1 title='a \x1b[2Jtitle'"
    assert first.partition(" ")[2] == expected
    assert (trace[0], trace[-1]) == ("Traceback (most recent call last):", "ValueError: late")


def test_the_command_line_goes_before_the_environment_and_info_is_the_default() -> None:
    def logged(env: dict[str, str], level: str | None = None) -> list[str]:
        stream = io.StringIO()
        log.configure({**env, **JSON}, level=level, stream=stream)
        for each in ("debug", "info", "warning", "error"):
            _log.log(logging.getLevelNamesMapping()[each.upper()], each)
        return [entry["event"] for entry in lines(stream)]

    assert logged({}) == ["info", "warning", "error"]
    assert logged({"MIMOCODE_LOG_LEVEL": "ERROR"}) == ["error"]
    assert logged({"MIMOCODE_LOG_LEVEL": "error"}, "debug") == ["debug", "info", "warning", "error"]


@pytest.mark.parametrize(
    ("env", "level", "message"),
    [
        ({"MIMOCODE_LOG_LEVEL": "loud"}, None, r"MIMOCODE_LOG_LEVEL: expected one of debug, info, .*, found 'loud'"),
        ({}, "loud", r"--log-level: expected one of debug, info, .*, found 'loud'"),
        ({"MIMOCODE_LOG_FORMAT": "xml"}, None, r"MIMOCODE_LOG_FORMAT: expected one of text, json, found 'xml'"),
    ],
)
def test_a_choice_that_does_not_exist_is_named_with_those_that_do(
    env: dict[str, str], level: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        log.configure(env, level=level, stream=io.StringIO())


def test_libraries_tell_their_infos_only_at_level_debug() -> None:
    for level, expected in (("info", ["lost"]), ("debug", ["request", "lost"])):
        stream = io.StringIO()
        log.configure(JSON, level=level, stream=stream)

        logging.getLogger("httpx").info("request")
        logging.getLogger("uvicorn.error").warning("lost")

        assert [entry["event"] for entry in lines(stream)] == expected


def test_warnings_and_tracebacks_are_logged_like_the_rest() -> None:
    stream = io.StringIO()
    log.configure(JSON, stream=stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        log.configure(JSON, stream=stream)
        warnings.warn("mind this", stacklevel=1)
        logging.captureWarnings(False)
    try:
        raise ValueError("token=abcdef")
    except ValueError:
        _log.exception("failed")

    warning, failure = lines(stream)
    assert "mind this" in warning["event"]
    assert failure["exception"].startswith("Traceback")
    assert failure["exception"].endswith("token=[redacted]")


SECRET = 'h"unter 2/ü'


@pytest.mark.parametrize("format", ["json", "text"])
@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (f"password is {SECRET}", {}),
        ("url http://x/?q=h%22unter%202%2F%C3%BC", {}),
        ("nested", {"a": {"b": [(SECRET,), {SECRET: 1}]}}),
        ("object", {"path": PurePosixPath("/x") / SECRET}),
        ("error", {"error": ValueError(SECRET)}),
        ("named", {"password": "hunter2"}),
        ("named", {"headers": {"Authorization": "hunter2", "Set-Cookie": ["hunter2"], "X-API-Key": b"hunter2"}}),
        ("named", {"serverPassword": "hunter2", "access_token": "hunter2", "authToken": "hunter2"}),
        ("named", {"credentials": {"user": "hunter2"}}),
        ("Authorization: Basic aHVudGVyMg==", {}),
        ("header Bearer hunter2", {}),
        ("GET /event?auth_token=hunter2&x=1", {}),
        ("POST https://host/v1?key=hunter2", {}),
        ("clone https://user:hunter2@host/x.git", {}),
        ('body {"apiKey": "hunter2"}', {}),
        ("env OPENAI_API_KEY=hunter2", {}),
        ("key sk-ant-hunter2hunter2hunter2", {}),
    ],
)
def test_a_secret_is_never_written(message: str, fields: dict[str, Any], format: str) -> None:
    stream = io.StringIO()
    redaction = Redaction()
    log.configure({"MIMOCODE_LOG_FORMAT": format}, stream=stream, redaction=redaction)
    redaction.learn(SECRET)

    _log.info(message, extra=fields)

    written = stream.getvalue()
    assert "[redacted]" in written
    for secret in ("hunter2", "unter 2", "h%22unter", "aHVudGVyMg=="):
        assert secret not in written


def test_what_is_no_secret_stays_readable() -> None:
    stream = io.StringIO()
    log.configure(JSON, stream=stream)
    fields = {"tokens": {"input": 4, "output": 2}, "max_tokens": 8, "has_password": True, "key": "model", "none": None}

    _log.info("Unknown key: baseUrl. 12 tokens used; see http://host:4096/x?limit=5", extra=fields)

    (entry,) = lines(stream)
    assert entry["event"] == "Unknown key: baseUrl. 12 tokens used; see http://host:4096/x?limit=5"
    assert {name: entry[name] for name in fields} == fields


def test_what_ends_the_process_is_logged_without_secrets_too() -> None:
    program = (
        "import os\nfrom mimocode.server import log\nfrom mimocode.redaction import Redaction\n"
        f"log.configure(os.environ, redaction=Redaction({SECRET!r}))\nraise ValueError({SECRET!r})\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    (entry,) = map(json.loads, done.stderr.splitlines())
    assert (done.returncode, entry["level"]) == (1, "critical")
    assert entry["exception"].endswith("ValueError: [redacted]")
    assert "unter 2" not in done.stderr


def test_a_process_logs_on_stderr_only(tmp_path: Path) -> None:
    program = (
        "import logging, os\nfrom mimocode.server import log\nlog.configure(os.environ)\n"
        "logging.getLogger('mimocode').warning('careful')\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == ""
    assert json.loads(done.stderr)["event"] == "careful"
