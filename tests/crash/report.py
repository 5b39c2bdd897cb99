"""What all runs together came to, in words and as a page of `bench/`."""

import platform
import subprocess
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from support.programs import ROOT

from .harness import Outcome
from .life import BEAT_MS, COLD_EVERY

_PAGE_EVERY = 20
"""Outcomes between two writes of the page: what was reached is there even if the run is ended."""


class Report:
    """Adds outcomes up; writes the page to `report`, if there is one, as they come."""

    def __init__(self, wanted: int, workers: int, *, report: Path | None = None) -> None:
        self._wanted = wanted
        self._workers = workers
        self._file = report
        self._begun = time.monotonic()
        self._when = datetime.now(UTC)
        self._kinds = Counter[str]()
        self._counts = Counter[str]()
        self._runs = 0
        self._longest_silence_s = 0.0
        self.failed: list[Outcome] = []

    @property
    def kills(self) -> int:
        return self._kinds.total()

    def add(self, outcome: Outcome) -> None:
        self._kinds += outcome.kills
        self._counts += outcome.counts
        self._runs += 1
        self._longest_silence_s = max(self._longest_silence_s, outcome.longest_silence_s)
        if outcome.wrong:
            self.failed.append(outcome)
        if self._file is not None and (outcome.wrong or self._runs % _PAGE_EVERY == 0):
            self._file.write_text(self.page())

    @property
    def _took_s(self) -> float:
        return time.monotonic() - self._begun

    @property
    def _rate(self) -> float:
        return self.kills / self._took_s

    def summary(self) -> str:
        if self._file is not None:
            self._file.write_text(self.page())
        lines = [
            f"{self.kills} kills in {self._took_s:.0f} s, {self._rate:.1f} a second; {self._runs} runs,"
            f" {len(self.failed)} failed{': ' if self.failed else ''}{', '.join(one.seed for one in self.failed)}",
            *(f"  {times:7} {kind}" for kind, times in sorted(self._kinds.items())),
            *(f"  {number:7} {what}" for what, number in self._counts.items()),
            f"  longest silence on a held answer: {self._longest_silence_s:.2f} s, a beat every {BEAT_MS} ms",
        ]
        return "\n".join(lines)

    def page(self) -> str:
        commit = _git("rev-parse", "--short=12", "HEAD") + ("+" if _git("status", "--porcelain", "src") else "")
        failed = [f"- seed `{one.seed}`: {_cut(one.wrong[0])} ({len(one.wrong)} remarks)" for one in self.failed]
        return "\n".join(
            [
                "# Kills",
                "",
                "Made by `make crash`; do not edit.",
                "",
                "A real server on a real file, killed again and again while clients work; then a checker compares what",
                "clients saw with what the model was asked and what is on disk. What is held: `docs/durability.md`.",
                "",
                f"- {self._when:%Y-%m-%d %H:%M} UTC, commit `{commit}`,"
                f" {self._workers} runs side by side, {self._took_s / 60:.0f} minutes",
                f"- {platform.system()} {platform.release()}, {_processor()}, Python {platform.python_version()};"
                " the machine was shared with other work",
                f"- one life in {COLD_EVERY} is started from the command, the others are forked from a process",
                "  that has imported the server",
                f"- wanted: {self._wanted:,} kills, reached: **{self.kills:,}**; {self._rate:.1f} a second",
                f"- runs that broke an invariant: **{len(self.failed)}** of {self._runs}",
                *failed,
                "",
                "| | |",
                "|---|---:|",
                *(f"| {what} | {number:,} |" for what, number in self._counts.items()),
                f"| longest silence on a held answer, a beat every {BEAT_MS} ms | {self._longest_silence_s:.2f} s |",
                "",
                "| ended by | times |",
                "|---|---:|",
                *(f"| {kind} | {times:,} |" for kind, times in sorted(self._kinds.items())),
                "",
            ]
        )


def _git(*words: str) -> str:
    asked = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _cut(words: str) -> str:
    return words.splitlines()[0][:200]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
