"""The benchmark runs, says what it measured, and can be compared with another."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import compare, figures, report

from support.programs import ROOT


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_the_benchmark_writes_what_it_measured(tmp_path: Path) -> None:
    finished = run("bench", "--quick", "--only", "blocked", "--out", str(tmp_path))

    assert finished.returncode == 0, finished.stderr
    part = json.loads((tmp_path / "results.json").read_text())["parts"]["blocked"]
    assert {"commit", "command", "machine", "others_busy", "figures", "runs"} <= set(part)
    assert set(part["figures"]) == {"ours", "limit"}
    assert part["figures"]["ours"]["blocked.reply_p50_ms"]["median"] > 0
    assert [count for count, *_ in part["lines"]["jitter"]["ours"]] == [1, 20]
    page = (tmp_path / "RESULTS.md").read_text()
    told = [row.title for row in figures.ROWS["blocked"] if row.key in part["figures"]["ours"]]
    assert [title for title in told if f"| {title} |" not in page] == []


def test_two_results_are_compared(tmp_path: Path) -> None:
    def results(name: str, cpu_ms: float, per_s: float) -> Path:
        spreads = {
            "turns.cpu_ms": {"median": cpu_ms, "min": cpu_ms - 1, "max": cpu_ms + 1, "samples": 3},
            "turns.per_s_8": {"median": per_s, "min": per_s - 1, "max": per_s + 1, "samples": 3},
        }
        path = tmp_path / name
        path.write_text(json.dumps({"parts": {"turns": {"figures": {"ours": spreads}}}}))
        return path

    before, after = results("a.json", 10, 100), results("b.json", 20, 50)
    worse = compare.lines(("a", "b"), compare.of_file(before), compare.of_file(after))
    better = compare.lines(("b", "a"), compare.of_file(after), compare.of_file(before))

    assert [line.rpartition("× | ")[2] for line in worse[2:]] == ["worse |", "worse |"]
    assert [line.rpartition("× | ")[2] for line in better[2:]] == ["better |", "better |"]
    assert "2.00×" in worse[2]


def test_a_commit_and_a_file_are_not_compared(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")

    finished = run("bench.compare", "HEAD", str(tmp_path / "a.json"))

    assert finished.returncode != 0
    assert "two commits or two files" in finished.stderr


@pytest.mark.parametrize("value", [0.07, 4.5, 12.0, 123.4, 5000.4])
def test_figures_keep_what_matters(value: float) -> None:
    assert abs(float(report.short(value)) - value) <= value * 0.05
