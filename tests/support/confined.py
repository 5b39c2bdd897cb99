"""A project, a home with secrets and a server's own files; commands of the bash tool run in a real sandbox there."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.service.tools.conftest import Lists, Person

from mimocode.sandbox import bubblewrap, landlock
from mimocode.sandbox.cell import Kind
from mimocode.sandbox.policy import Limits, Policy, Surroundings
from mimocode.sandbox.sandbox import Sandbox
from mimocode.tools.registry import toolbox
from mimocode.turn.ports import Call, Done, Need, Progress, Tool
from mimocode.wire.base import JsonObject

from . import debian

CANARY = "c4n4ry-0f-th3-h0m3"
SECRETS = (".ssh/id_ed25519", ".aws/credentials", ".netrc", ".local/share/mimocode/mimocode.db", ".config/gh/hosts.yml")
Shown = Callable[[Progress], Awaitable[None]]
KINDS: tuple[Kind, ...] = ("bubblewrap", "landlock")


def had(kind: Kind) -> None:
    """Returns if this machine has it; else the test is skipped with the reason."""
    if kind == "bubblewrap":
        debian.programs("bwrap")
        bubblewrap.usable.cache_clear()
        if not bubblewrap.usable():
            pytest.skip("bubblewrap cannot make namespaces on this machine")
    elif not landlock.version():
        pytest.skip(f"this kernel has no Landlock of version {landlock.OLDEST} or newer")


@dataclass(frozen=True)
class Place:
    """`environ` is the server's environment, `policy` what was configured."""

    kind: Kind | None
    root: Path
    policy: Policy = field(default_factory=lambda: Policy(mode="on", limits=Limits(processes=256)))
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
    also: Sequence[str] = ()

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def sandbox(self) -> Sandbox:
        own = self.root / "own"
        around = Surroundings(
            home=self.home,
            scratch=own / "cache" / "sandbox",
            cache=self.home / ".cache",
            private=(own,),
            shown=(own / "spill",),
        )
        return Sandbox(self.policy, around, only=self.kind)

    def under(self, policy: Policy) -> "Place":
        """The same place with another policy."""
        return replace(self, policy=policy)

    def call(self, *, by_human: bool = False, progress: Shown | None = None) -> Call:
        return Call(
            session_id="ses_1",
            message_id="msg_1",
            part_id="prt_1",
            call_id="call_1",
            agent="build",
            directory=self.project,
            worktree=self.project,
            progress=progress or _unseen,
            by_human=by_human,
        )

    async def run(self, command: str, *, progress: Shown | None = None, **more: object) -> Done:
        return await self.bash.ready(_arguments(command, more)).run(self.call(progress=progress))

    async def needs(self, command: str, *, by_human: bool = False, **more: object) -> Sequence[Need]:
        return await self.bash.ready(_arguments(command, more)).needs(self.call(by_human=by_human))

    @property
    def bash(self) -> Tool:
        environ = {**self.environ, "HOME": str(self.home)}
        tools = toolbox(
            human=Person(),
            todos=Lists(),
            spill=self.root / "own" / "spill",
            environ=environ,
            also=self.also,
            sandbox=self.sandbox,
        )
        return tools["bash"]


async def _unseen(_: Progress) -> None:
    return None


def _arguments(command: str, more: dict[str, object]) -> JsonObject:
    return {"command": command, **more}


def place(kind: Kind, root: Path) -> Place:
    """A new one, with secrets in its home and files of the server's."""
    had(kind)
    made = Place(kind, root)
    made.project.mkdir()
    for secret in SECRETS:
        (made.home / secret).parent.mkdir(parents=True, exist_ok=True)
        (made.home / secret).write_text(CANARY)
    (made.home / "notes.txt").write_text("of mine\n")
    for own in ("password", "spill/tool_1"):
        (root / "own" / own).parent.mkdir(parents=True, exist_ok=True)
        (root / "own" / own).write_text(CANARY)
    return made


def only(at: Place, kind: Kind, reason: str) -> None:
    if at.kind != kind:
        pytest.skip(f"{at.kind}: {reason}")
