"""Programs of Debian's packages, as tests need them: installed when they are missing, never started as services.

found = debian.programs("nginx", "haproxy")     # {"nginx": Path("/usr/sbin/nginx"), …}, or a skipped test
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from .clients import CACHE, Missing

__all__ = ["Missing", "installed", "programs"]

PACKAGES = {
    "apache2": "apache2",
    "bwrap": "bubblewrap",
    "caddy": "caddy",
    "chromium": "chromium",
    "curl": "curl",
    "go": "golang-go",
    "haproxy": "haproxy",
    "javac": "default-jdk-headless",
    "lighttpd": "lighttpd",
    "nghttpx": "nghttp2-proxy",
    "nginx": "nginx",
    "setpriv": "util-linux",
    "squid": "squid",
    "tmux": "tmux",
    "valgrind": "valgrind",
    "varnishd": "varnish",
}
"""Each program that may be asked for, and the package it is in."""

_WHERE = os.pathsep.join(["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
_WITHIN_S = 600
_POLICY = Path("/usr/sbin/policy-rc.d")
"""What a package's installation asks whether it may start its service; 101 says no."""


def programs(*names: str) -> dict[str, Path]:
    """Where the programs are, or a skipped test that says why they cannot be had. On CI they must be there."""
    try:
        return installed(*names)
    except Missing as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(f"Debian's programs are needed on CI: {reason}")
        pytest.skip(f"Debian's programs cannot be had: {reason}")


def installed(*names: str) -> dict[str, Path]:
    """Where the programs are; those that are missing are installed first. Raises `Missing`."""
    if _absent(names):
        with _alone():
            absent = _absent(names)  # another process may have installed them meanwhile
            if absent:
                _install(absent)
    return {name: path for name in names if (path := _found(name))}


def _found(name: str) -> Path | None:
    path = shutil.which(name, path=_WHERE)
    return Path(path) if path else None


def _absent(names: Sequence[str]) -> list[str]:
    return [name for name in names if _found(name) is None]


def _install(names: Sequence[str]) -> None:
    packages = sorted({PACKAGES[name] for name in names})
    not_here = f"{', '.join(names)}: not installed"
    if shutil.which("apt-get") is None:
        raise Missing(f"{not_here}, and there is no apt-get")
    if os.geteuid() != 0:
        raise Missing(f"{not_here}, and only root may: `apt-get install {' '.join(packages)}`")
    with _no_services():
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *packages)
    left = _absent(names)
    if left:
        raise Missing(f"{', '.join(packages)} were installed, yet {', '.join(left)} cannot be found in {_WHERE}")


def _apt(*words: str) -> None:
    """Runs apt-get. Raises `Missing` with what it said."""
    # The lock may be held by somebody else's apt; a mirror's hiccup is tried again.
    options = ["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", "--quiet=2"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(
            ["apt-get", *options, *words],
            env=environment,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_WITHIN_S,
        )
    except subprocess.TimeoutExpired as error:
        raise Missing(f"`apt-get {' '.join(words)}` took more than {_WITHIN_S} s") from error
    except subprocess.CalledProcessError as error:
        raise Missing(f"`apt-get {' '.join(words)}` failed: {error.stderr.strip()[-600:]}") from error


@contextmanager
def _no_services() -> Generator[None]:
    """What is installed in the block starts no service. A policy of the machine's own is left as it is."""
    ours = not _POLICY.exists()
    if ours:
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            _POLICY.unlink(missing_ok=True)


@contextmanager
def _alone() -> Generator[None]:
    """Lets one process at a time install."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
