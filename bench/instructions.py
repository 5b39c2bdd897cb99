"""Counts the machine's instructions of one unit of work, by library: `python -m bench.instructions [UNIT …]`.

Under valgrind's callgrind, so that it comes out the same to about a hundredth whatever else the machine does; time
differs by a quarter. What the kernel does is not seen, nor waiting. `--keep FOLDER` leaves what `callgrind_annotate`
and KCachegrind read. Needs valgrind, such as Debian's package of that name.

turn     a plain turn, its session included
reply    a question answered, the step after it, the blocked answer
delta    a word of a model's to a hundred readers, each word alone
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from tests.support.ours import ours
from tests.support.programs import BIN, Server

from . import outside
from .child import child
from .clients.turns import PLAIN
from .parts.part import Setting
from .subjects import OURS, Subject, at_commit, instant_model

Counting = AbstractContextManager[None]
Unit = Callable[[Server, int, Counting], int]
"""Does so many, or a few times so many, and returns how many."""

READERS = 100
PAUSE_MS = 150.0
"""Longer than a delta takes there: none leaves together with another."""
_WARM = 6
_DELTAS = 5
"""Times as many of them, so that what their turn takes besides is little."""
_MOST_SHOWN = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.instructions", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("units", nargs="*", metavar="UNIT", help=f"some of: {', '.join(UNITS)} (default: all)")
    parser.add_argument("--count", type=int, default=20, help="how many of each are counted (default: 20)")
    parser.add_argument("--at", metavar="COMMIT", help="as the server was there, with today's dependencies")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the profiles are left")
    options = parser.parse_args()
    if unknown := set(options.units) - set(UNITS):
        parser.error(f"there is no unit {', '.join(sorted(unknown))}: name some of {', '.join(UNITS)}")
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: apt-get install valgrind, say.")
    outside.many_files()
    with instant_model() as model, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        subject = at_commit(options.at, Path(scratch)) if options.at else OURS
        for name in options.units or UNITS:
            folder = options.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            profile = folder / f"callgrind.{name}"
            setting = Setting(Path(scratch) / name, model, quick=True)
            count = counted(UNITS[name], subject, setting, options.count, profile)
            print("\n".join(told(name, count, by_library(profile.read_text(errors="replace").splitlines()))))


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────


def _turns(server: Server, count: int, counting: Counting) -> int:
    with child("clients.turns", server.url, str(server.directory)) as load:
        load.ask("make", count=_WARM)
        load.ask("turns", at_once=1, text=PLAIN)
        with counting:
            load.ask("make", count=count)
            load.ask("turns", at_once=1, text=PLAIN)
    return count


def _replies(server: Server, count: int, counting: Counting) -> int:
    with child("clients.held", server.url, str(server.directory)) as load:
        for number in (_WARM, count):
            load.ask("open", count=number, beat_s=60.0)
            load.ask("watch", seconds=2.0)  # all of them wait, and none is at work any more
            with counting if number == count else nullcontext():
                load.ask("reply", count=number)
    return count


def _deltas(server: Server, count: int, counting: Counting) -> int:
    with child("clients.subscribers", server.url, str(server.directory)) as load:
        load.ask("open", count=READERS)
        load.ask("deltas", count=_WARM, pause_ms=PAUSE_MS)
        with counting:
            load.ask("deltas", count=_DELTAS * count, pause_ms=PAUSE_MS)
    return _DELTAS * count


UNITS: dict[str, Unit] = {"turn": _turns, "reply": _replies, "delta": _deltas}


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────────


def counted(unit: Unit, subject: Subject, setting: Setting, count: int, profile: Path) -> int:
    """Writes callgrind's profile of so many, and returns how many it was."""
    valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={profile}.whole")

    def start(scratch: Path, project: Path, config: dict[str, object]) -> AbstractContextManager[Server]:
        env = {"PYTHONPATH": str(subject.source)}
        return ours(scratch, project, config, env=env, program=(*valgrind, str(BIN / "python"), str(BIN / "mimo")))

    with setting.serving(Subject("ours", "ours", start)) as server:

        @contextmanager
        def counting() -> Generator[None]:
            _control(server, "--instr=on")
            yield
            _control(server, "--instr=off")
            _control(server, "--dump")

        done = unit(server, count, counting())
    Path(f"{profile}.whole.1").replace(profile)
    Path(f"{profile}.whole").unlink(missing_ok=True)
    return done


def _control(server: Server, word: str) -> None:
    command = ["callgrind_control", word, str(server.pid)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


_NAMED = re.compile(r"c?ob=\((\d+)\)(?: (.+))?")


def by_library(profile: Iterable[str]) -> Counter[str]:
    """Instructions by the file whose code they are. The format: valgrind's manual, "Callgrind Format Specification"."""
    names: dict[str, str] = {}
    seen: Counter[str] = Counter()
    library, inclusive = "", False
    for line in profile:
        if named := _NAMED.fullmatch(line):
            if named[2]:
                names[named[1]] = named[2]
            if line.startswith("ob="):
                library = named[1]
        elif line.startswith("calls="):
            inclusive = True  # the next line is of what is called, which is counted where it is
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            if not inclusive:
                seen[library] += int(line.split()[-1])
            inclusive = False
    return Counter({Path(names.get(library, library)).name: cost for library, cost in seen.items()})


def told(unit: str, count: int, libraries: Counter[str]) -> list[str]:
    """Millions of instructions of one unit: all, then by library."""
    whole = libraries.total()
    lines = [f"{unit:<8}{whole / count / 1e6:8.2f} M instructions (mean of {count})"]
    for library, cost in libraries.most_common(_MOST_SHOWN):
        lines.append(f"{'':<8}{cost / count / 1e6:8.2f} M {cost / whole:6.1%}  {library}")
    return lines


if __name__ == "__main__":
    main()
