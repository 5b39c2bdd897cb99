"""What the server takes from the environment, read once: where it keeps its files and how it behaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, get_args

from mimocode.errors import ConfigError
from mimocode.sandbox.policy import Mode

APP = "mimocode"
PEER = "opencode"
"""Whose global configuration is read too, below our own."""

WhenBusy = Literal["queue", "reject", "steer"]
OnDisconnect = Literal["continue", "abort"]
SnapshotWatch = Literal["on", "off"]

STALL_NOTICE_S = 30.0
PARK_AFTER_S = 0.25

SANDBOX = "MIMOCODE_SANDBOX"

_T = TypeVar("_T", bound=str)
_Time = TypeVar("_Time", float, None)
_KINDS = {"config": ".config", "data": ".local/share", "cache": ".cache", "state": ".local/state"}


@dataclass(frozen=True, slots=True)
class Settings:
    """`when_busy` is what becomes of a prompt while a turn runs, `on_disconnect` of a turn whose client left.

    `stall_notice_s` is how long a model may be silent before its session's status says so, `stall_timeout_s` how long
    before it is given up and tried again, where its provider's own settings do not say; None: the built-in times.
    `park_after_s` is how long a turn that waits for people keeps its tasks and messages in memory.
    `snapshot_watch` is whether worktrees are watched between two states of their files.
    `sandbox` is the operator's word on it, over every configuration's.
    """

    home: Path
    config: Path
    data: Path
    cache: Path
    state: Path
    database: Path
    peer_config: Path | None
    """opencode's global configuration directory; None under ``MIMOCODE_HOME``, which stands alone."""
    password: str | None = field(repr=False)
    when_busy: WhenBusy
    on_disconnect: OnDisconnect
    stall_notice_s: float = STALL_NOTICE_S
    stall_timeout_s: float | None = None
    park_after_s: float = PARK_AFTER_S
    sandbox: Mode | None = None
    snapshot_watch: SnapshotWatch = "on"

    @property
    def private(self) -> list[Path]:
        """What is the server's own, for nobody to look into: directories, and the database's files where else it is."""
        own = [self.state, self.data, self.config, self.cache, *filter(None, [self.peer_config])]
        beside = [self.database.with_name(self.database.name + end) for end in ("", "-wal", "-shm", "-journal")]
        return [*own, *beside]

    @property
    def spill(self) -> Path:
        """Where tool outputs too long for the model are kept whole."""
        return self.data / "tool-output"

    @property
    def scratch(self) -> Path:
        """Where each project's commands have their temporary files, if they run in a sandbox."""
        return self.cache / "sandbox"

    @property
    def password_file(self) -> Path:
        """The password the server made for itself (mode 0600)."""
        return self.state / "password"

    @property
    def audit_file(self) -> Path:
        """Who asked what of the servers of this state directory (mode 0600)."""
        return self.state / "audit.jsonl"

    @property
    def server_file(self) -> Path:
        """Where the running server of this state directory says how to reach it (JSON, mode 0600)."""
        return self.state / "server.json"


def read(env: Mapping[str, str], *, home: Path | None = None) -> Settings:
    """The settings of this environment; an empty variable counts as absent. `home` stands in for ``HOME``.

    Raises `ConfigError` that names the variable, its value and the choices.
    """
    home = home or _home(env)
    root = env.get("MIMOCODE_HOME")
    if root:
        base = _absolute("MIMOCODE_HOME", root, home)
        places = {kind: base / kind for kind in _KINDS}
    else:
        places = {kind: _xdg(env, kind, home) / APP for kind in _KINDS}
    return Settings(
        home=home,
        **places,
        database=_database(env, places["data"], home),
        peer_config=None if root else _xdg(env, "config", home) / PEER,
        password=env.get("MIMOCODE_SERVER_PASSWORD") or env.get("OPENCODE_SERVER_PASSWORD") or None,
        when_busy=_choice(env, "MIMOCODE_BUSY", get_args(WhenBusy)),
        on_disconnect=_choice(env, "MIMOCODE_ON_DISCONNECT", get_args(OnDisconnect)),
        stall_notice_s=_seconds(env, "MIMOCODE_STALL_NOTICE_MS", STALL_NOTICE_S),
        stall_timeout_s=_seconds(env, "MIMOCODE_STALL_TIMEOUT_MS", None),
        park_after_s=_seconds(env, "MIMOCODE_PARK_AFTER_MS", PARK_AFTER_S),
        sandbox=_choice(env, SANDBOX, get_args(Mode)) if env.get(SANDBOX) else None,
        snapshot_watch=_choice(env, "MIMOCODE_SNAPSHOT_WATCH", get_args(SnapshotWatch)),
    )


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or "~").expanduser().absolute()


def _xdg(env: Mapping[str, str], kind: str, home: Path) -> Path:
    """A relative value is ignored, as the XDG specification demands."""
    name = f"XDG_{kind.upper()}_HOME"
    value = env.get(name, "")
    return Path(value) if value.startswith("/") else home / _KINDS[kind]


def _absolute(name: str, value: str, home: Path) -> Path:
    path = home / value.removeprefix("~/") if value.startswith("~/") else Path(value)
    if not path.is_absolute():
        raise ConfigError(f"{name}: expected an absolute path, found {value!r}.")
    return path


def _database(env: Mapping[str, str], data: Path, home: Path) -> Path:
    value = env.get("MIMOCODE_DB") or f"{APP}.db"
    if "://" in value or value.startswith(":"):
        raise ConfigError(
            f"MIMOCODE_DB: expected the path of a SQLite file, found {value!r}. A relative one is in {data}."
        )
    return data / (home / value[2:] if value.startswith("~/") else value)


def _seconds(env: Mapping[str, str], name: str, default_s: _Time) -> float | _Time:
    """A variable in milliseconds, as seconds."""
    value = env.get(name)
    if not value:
        return default_s
    if not value.isascii() or not value.isdigit() or not 1 <= len(value) <= 12 or int(value) == 0:
        raise ConfigError(f"{name}: expected a whole number of milliseconds greater than 0, found {value!r}.")
    return int(value) / 1000


def _choice(env: Mapping[str, str], name: str, choices: tuple[_T, ...]) -> _T:
    value = env.get(name) or choices[0]
    for choice in choices:
        if value == choice:
            return choice
    raise ConfigError(f"{name}: expected one of {', '.join(choices)}, found {value!r}.")
