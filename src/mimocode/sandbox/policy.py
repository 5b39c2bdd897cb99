"""What commands may reach, as it was configured. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mode = Literal["auto", "on", "off"]
"""`auto` uses what the machine has and says so; `on` runs nothing where it has nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one command and all that it starts, unless said; None is none.

    `memory` is bytes: of all together where the machine gives us a cgroup, else of each process. `cpu_s` is of each
    process, `file` the bytes of each file.
    """

    processes: int | None = 1024
    memory: int | None = None
    cpu_s: int | None = None
    file: int | None = 16 * 1024**3


@dataclass(frozen=True, slots=True)
class Policy:
    """`write` and `read` are opened beyond the project, `hide` is closed; all absolute. `git` protects what of a
    repository runs as you later: its hooks and its configuration.
    """

    mode: Mode = "auto"
    network: bool = False
    project: Literal["write", "read"] = "write"
    git: bool = True
    write: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    hide: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a sandbox must know of the machine's user. `private` are our own folders, `shown` what of them is read by
    models, `scratch` the folder under which projects get their temporary one.
    """

    home: Path
    scratch: Path
    private: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
