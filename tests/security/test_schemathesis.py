"""schemathesis over `/doc`: whatever is sent, what comes back is what the document says."""

import os
import subprocess
from pathlib import Path

import pytest

from support.doors import PASSWORD, door
from support.programs import BIN, ROOT

ENDLESS = ("/event", "/global/event", "/api/event", "/tui/control/next", "/probe/cut", "/probe/events")
"""Streams, waits, and what is cut on purpose: none has an answer to compare."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
CONFIG = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", "501", "503"]
"""
"""501 is for operations that the reference server has and this one has not."""
WITHIN_S = 240
"""In one thread: in two, `ast.parse` of some releases of Python 3.11 may fail in schemathesis."""


@pytest.mark.timeout(WITHIN_S + 60)
@pytest.mark.slow
def test_every_operation_answers_as_documented_whatever_is_sent(tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    with door(tmp_path, "--port", "0") as server:
        told = {"MIMOCODE_FUZZED_URL": server.url, "MIMOCODE_FUZZED_PASSWORD": PASSWORD}
        hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(ROOT / "tests" / "security")}
        words = [
            *(BIN / "schemathesis", "run", f"{server.url}/doc", "--url", server.url),
            *("--header", f"authorization: Bearer {PASSWORD}"),
            *(word for path in ENDLESS for word in ("--exclude-path", path)),
            *("--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", "2", "--seed", "1"),
            *("--continue-on-failure", "--no-shrink", "--warnings", "off", "--request-timeout", "30"),
            *("--generation-database", "none", "--no-color"),
        ]
        ended = subprocess.run(
            words,
            cwd=tmp_path,
            env={**os.environ, **told, **hooks},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
