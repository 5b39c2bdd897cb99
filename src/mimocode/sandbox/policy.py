"""What commands may reach, as it was configured. Pure."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mode = Literal["auto", "on", "off"]
"""`auto` takes bubblewrap where it works, else nothing; `on` takes Landlock too, and runs nothing without either."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one command and all that it starts; None is none.

    `processes` counts threads too. `memory` is bytes: of all together where the machine gives us a control group, else
    of each process. `seconds` caps the time that a command may ask for.
    """

    processes: int | None = 2048
    memory: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`writable` is opened beyond the project, `hidden` is closed beyond what always is; all absolute."""

    mode: Mode = "auto"
    network: bool = False
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)


USUAL = Policy()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a sandbox must know of the machine's user. `private` are our own places, `shown` what of them models read,
    `scratch` the folder under which each project gets its temporary one, `cache` where programs keep their caches.
    """

    home: Path
    scratch: Path
    cache: Path
    private: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
