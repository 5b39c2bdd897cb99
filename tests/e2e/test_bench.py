"""The benchmark runs, says what it measured, and can be compared with another."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench import compare, figures, instructions, quick, report
from bench.parts.part import Seen

from support import debian
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


def test_seconds_of_quick_runs_are_not_judged() -> None:
    def spreads(value: float) -> figures.Spreads:
        spread = {"median": value, "min": value, "max": value, "samples": 1}
        return {"turns.cpu_ms": spread, "counts.turn_reads": spread}

    counted, seconds = compare.lines(("a", "b"), spreads(1), spreads(2), counts_only=True)[:1:-1]

    assert counted.endswith("| worse |")
    assert seconds.endswith("2.00× |  |")


def test_the_guard_fails_where_more_than_twice_as_much_is_done(tmp_path: Path) -> None:
    reference = tmp_path / "quick.json"
    reference.write_text(json.dumps({quick.VERSION: {"counts.modules_version": 10, "counts.modules_serve": 100_000}}))

    finished = run("bench.quick", "--only", "start", "--reference", str(reference))

    assert finished.returncode == 1, finished.stdout + finished.stderr
    failed, better = (
        next(line for line in finished.stdout.splitlines() if line.startswith(word)) for word in ("FAILED", "Better")
    )
    assert "counts.modules_version (modules that `mimo --version` imports)" in failed
    assert "10 in bench/quick.json" in failed
    assert "make bench-quick UPDATE=1" in failed
    assert "counts.modules_serve" in better
    assert finished.stdout.splitlines()[-1] == "1 failed."


@pytest.mark.parametrize(
    ("then", "now", "failed"),
    [(5, 10, False), (5, 11, True), (5, 1, False), (0, 0, False), (0, 1, True), (None, 1, True)],
)
def test_twice_as_much_is_the_most(then: float | None, now: float, *, failed: bool) -> None:
    reference = {} if then is None else {"counts.turn_reads": then}

    verdict = quick.judged(Seen({"counts.turn_reads": [now - 1, now, now + 9]}), reference)

    assert bool(verdict.failures) is failed


@pytest.mark.parametrize(("now", "failed"), [(9_000, False), (11_000, True)])
def test_what_is_too_little_to_be_compared_is_let_pass(now: float, *, failed: bool) -> None:
    verdict = quick.judged(Seen({"counts.idle_instructions": [now]}), {"counts.idle_instructions": 1_000})

    assert bool(verdict.failures) is failed


def test_another_version_of_python_is_shown_and_not_judged() -> None:
    lines, failed = quick.concluded(Seen({"counts.turn_reads": [9]}), {"3.0": {}, "3.8": {"counts.turn_reads": 1}})

    assert not failed
    assert f"there is no reference for Python {quick.VERSION}" in lines[-1]
    assert "3.8, the nearest" in lines[-1]


def test_without_any_reference_the_guard_fails() -> None:
    assert quick.concluded(Seen({"counts.turn_reads": [9]}), {})[1]


def test_a_reference_that_was_merged_badly_is_told_before_anything_is_counted(tmp_path: Path) -> None:
    reference = tmp_path / "quick.json"
    reference.write_text("<<<<<<< HEAD\n{}\n")

    finished = run("bench.quick", "--reference", str(reference))

    assert finished.returncode == 1
    assert f"{reference} is not JSON" in finished.stderr
    assert "take either side" in finished.stderr


def test_an_update_leaves_other_versions_alone() -> None:
    stored = {"3.0": {"counts.turn_reads": 1}, quick.VERSION: {"counts.gone": 1}}

    now = quick.updated(stored, Seen({"counts.turn_reads": [2, 3, 9]}))

    assert now == {"3.0": {"counts.turn_reads": 1}, quick.VERSION: {"counts.turn_reads": 3}}


def test_every_counted_figure_has_a_reference() -> None:
    stored = quick.read(quick.REFERENCE)

    counted = {row.key for row in figures.ROWS["counts"]}
    assert {version: set(one) for version, one in stored.items()} == dict.fromkeys(stored, counted)


def test_instructions_are_counted_by_library(tmp_path: Path) -> None:
    debian.programs("valgrind")

    finished = run("bench.instructions", "turn", "--count", "2", "--keep", str(tmp_path))

    assert finished.returncode == 0, finished.stderr
    whole, *libraries = finished.stdout.splitlines()
    counted = instructions.by_library((tmp_path / "callgrind.turn").read_text(errors="replace").splitlines())
    assert whole.split() == ["turn", f"{counted.total() / 2e6:.2f}", "M", "instructions", "(mean", "of", "2)"]
    assert counted.total() > 2_000_000
    assert any("libsqlite3" in line for line in libraries)


def test_what_a_function_calls_is_counted_where_it_is() -> None:
    profile = """events: Ir
ob=(1) /usr/lib/libpython.so
fn=(1) run
10 100
+2 20
cob=(2) /usr/lib/libsqlite3.so
cfn=(2) step
calls=3 5
* 7000
-1 3
ob=(2)
fn=(2)
5 7000
"""

    assert instructions.by_library(profile.splitlines()) == {"libpython.so": 123, "libsqlite3.so": 7000}
