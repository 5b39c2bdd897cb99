"""Measures ours beside the least that could do it and, with `--peer`, beside the real opencode; writes the results."""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from . import outside, pictures, report
from .parts import blocked, counts, deltas, prefixes, reading, snapshots, start, turns
from .parts.part import Part, Seen, Setting
from .subjects import LIMIT, OURS, PEER, Model, Subject, instant_model

HERE = Path(__file__).parent
PARTS = {
    module.PART.name: module.PART for module in (start, turns, blocked, deltas, reading, snapshots, prefixes, counts)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--peer", action="store_true", help="measure opencode too")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--runs", type=int, help="of each subject (default: as the part says)")
    parser.add_argument("--quick", action="store_true", help="the smallest sizes: only shows that it works")
    parser.add_argument("--out", type=Path, default=HERE, help="where RESULTS.md, results.json and the pictures go")
    options = parser.parse_args()
    outside.many_files()
    signal.signal(signal.SIGTERM, end)
    subjects = [OURS, *([PEER] if options.peer else []), LIMIT]
    found = report.read(options.out / "results.json")
    command = _command(options)
    with instant_model() as model, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for name in options.only or PARTS:
            runs, busy = measured(
                PARTS[name], subjects, model, Path(scratch), runs=options.runs, quick=options.quick, say=_say
            )
            found["parts"][name] = report.of_part(runs, busy=busy, command=command)
            _write(found, options.out)  # after each: what was measured is not lost with what is not
    print(f"wrote {options.out / 'RESULTS.md'}")


def measured(
    part: Part,
    subjects: Sequence[Subject],
    model: Model,
    scratch: Path,
    *,
    runs: int | None,
    quick: bool,
    say: Callable[[Part, Subject, int, Seen], None],
) -> tuple[dict[str, list[Seen]], list[float]]:
    """The subjects' runs of a part, alternating; and how busy the machine was before each."""
    wanted = [subject for subject in subjects if subject.kind in part.kinds]
    seen: dict[str, list[Seen]] = {subject.name: [] for subject in wanted}
    busy: list[float] = []
    for number in range(1 if quick else runs or part.runs):
        for subject in wanted:
            busy.append(outside.busy())
            home = scratch / part.name / f"{subject.name.replace('/', '_')}-{number}"
            home.mkdir(parents=True)
            seen[subject.name].append(part.measure(subject, Setting(home, model, quick)))
            say(part, subject, number, seen[subject.name][-1])
    return seen, busy


def _command(options: argparse.Namespace) -> str:
    """How to measure this again; not where the results went."""
    words = ["python -m bench", *(["--peer"] if options.peer else []), *(["--quick"] if options.quick else [])]
    words += [f"--runs {options.runs}"] if options.runs else []
    return " ".join([*words, *(["--only", *options.only] if options.only else [])])


def end(number: int, frame: FrameType | None) -> None:
    """What was started is ended too."""
    sys.exit(128 + number)


def _say(part: Part, subject: Subject, number: int, seen: Seen) -> None:
    first = ", ".join(f"{key} {report.short(values[0])}" for key, values in list(seen.figures.items())[:4])
    print(f"{part.name} {subject.name} {number + 1}: {first}", flush=True)


def _write(found: report.Found, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "RESULTS.md").write_text(report.page(found))
    for name, svg in pictures.of(found).items():
        (folder / f"{name}.svg").write_text(svg)


if __name__ == "__main__":
    main()
