"""The benchmark runs and says what it measured."""

import json
import subprocess
import sys
from pathlib import Path

from support.programs import ROOT


def test_the_benchmark_writes_what_it_measured(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bench",
        "--only",
        "ours",
        "--runs",
        "1",
        "--seconds",
        "0.1",
        "--out",
        str(tmp_path),
    ]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)

    assert finished.returncode == 0, finished.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert {"commit", "command", "machine", "others_busy", "figures", "runs"} <= set(found)
    (run,) = found["runs"]["ours"]
    assert {name: load["turns"] for name, load in run["loads"].items()} == {"1": 20, "8": 16, "32": 64}
    assert all(spread["median"] > 0 for spread in found["figures"]["ours"].values())
    page = (tmp_path / "RESULTS.md").read_text()
    assert [name for name in found["figures"]["ours"] if f"| {name} |" not in page] == []
