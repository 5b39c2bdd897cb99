"""`python -m bench [--runs N] [--seconds S] [--only ours|peer] [--out DIRECTORY]`: measures, and writes the results."""

import argparse
import json
import tempfile
from pathlib import Path

import psutil

from . import report
from .measure import SERVERS, Run, instant_model, measure

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="of each server, alternating (default 3)")
    parser.add_argument("--seconds", type=float, default=5, help="how long a load takes, about (default 5)")
    parser.add_argument("--only", choices=sorted(SERVERS), help="measure one server only")
    parser.add_argument("--out", type=Path, default=HERE, help="where RESULTS.md and results.json go")
    options = parser.parse_args()
    names = [options.only] if options.only else list(SERVERS)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    busy: list[float] = []
    with instant_model() as model_url, tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for number in range(options.runs):
            for name in names:
                busy.append(psutil.cpu_percent(interval=1) / 100)
                run = measure(name, Path(scratch) / f"{name}-{number}", model_url, seconds=options.seconds)
                runs[name].append(run)
                one, many = run.loads["1"], run.loads["32"]
                print(
                    f"{name} {number + 1}/{options.runs}: start {run.start_s:.2f} s, one turn {one.p50_ms:.1f} ms "
                    f"({one.cpu_ms_per_turn:.1f} ms CPU), {many.turns_per_s:.1f} turns/s at 32 at once",
                    flush=True,
                )
    found = report.results(runs, busy=busy, seconds=options.seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "RESULTS.md").write_text(report.page(found))
    print(f"wrote {options.out / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
