"""A program in a real terminal of its own (tmux): keys are sent, the screen is read."""

import re
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import debian

WITHIN_S = 60
_LOOK_S = 0.1


@dataclass(frozen=True)
class Terminal:
    """One terminal with one program in it. `socket` is tmux's own, so no other tmux is touched."""

    tmux: str
    socket: Path

    def screen(self) -> str:
        """What is shown now, without colours."""
        return self._tmux("capture-pane", "-p", "-t", "main")

    def chosen(self, *options: str) -> str | None:
        """Which of these words, side by side in one line, has another background than the others; None if none has."""
        for line in self._tmux("capture-pane", "-p", "-e", "-t", "main").splitlines():
            plain, behind = _backgrounds(line)
            places = [plain.find(option) for option in options]
            if -1 not in places:
                grounds = [behind[place] for place in places]
                alone = [option for option, one in zip(options, grounds, strict=True) if grounds.count(one) == 1]
                return alone[0] if len(alone) == 1 else None
        return None

    def keys(self, *names: str) -> None:
        """Presses keys by their names in tmux: Enter, Escape, C-c, Up."""
        self._tmux("send-keys", "-t", "main", *names)

    def type(self, text: str) -> None:
        """Types a text as it is."""
        self._tmux("send-keys", "-t", "main", "-l", text)

    def paste(self, text: str) -> None:
        """Pastes a text, marked as pasted where the program asked terminals to do so."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p", "-t", "main")

    def until(self, *texts: str, gone: Sequence[str] = (), within_s: float = WITHIN_S) -> str:
        """Waits until all of `texts` are on the screen, and none of `gone`; returns the screen.

        Raises `TimeoutError` that shows it.
        """
        ends = time.monotonic() + within_s
        while True:
            shown = self.screen()
            if all(text in shown for text in texts) and not any(text in shown for text in gone):
                return shown
            if time.monotonic() > ends:
                absent = f" without {list(gone)}" if gone else ""
                raise TimeoutError(f"{list(texts)}{absent} did not show within {within_s} s:\n{shown}")
            time.sleep(_LOOK_S)

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            [self.tmux, "-S", str(self.socket), *words], capture_output=True, text=True, timeout=WITHIN_S, check=True
        )
        return done.stdout


_STYLE = re.compile(r"\x1b\[([0-9;:]*)m")
_BACKGROUND = re.compile(r"48[;:]2[;:]\d+[;:]\d+[;:]\d+|48[;:]5[;:]\d+|\b(?:4[0-79]|10[0-7])\b")


def _backgrounds(line: str) -> tuple[str, list[str]]:
    """The line's text, and what is set behind each of its characters."""
    plain, behind, now, end = "", list[str](), "", 0
    for style in _STYLE.finditer(line):
        text = line[end : style.start()]
        plain, behind, end = plain + text, behind + [now] * len(text), style.end()
        codes = style[1]
        if codes in ("", "0") or codes.startswith("0;"):
            now = ""
        now = (_BACKGROUND.findall(codes) or [now])[-1]
    rest = line[end:]
    return plain + rest, behind + [now] * len(rest)


@contextmanager
def terminal(
    argv: Sequence[str | Path],
    *,
    scratch: Path,
    cwd: Path,
    env: Mapping[str, str],
    columns: int = 140,
    rows: int = 45,
) -> Generator[Terminal]:
    """Runs the program in a terminal of that size until the block ends."""
    program = str(debian.programs("tmux")["tmux"])
    shown = Terminal(program, scratch / "tmux.sock")
    environment = {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    # `env -i`: the program sees what it is given, not what tmux adds.
    words = ["env", "-i", *(f"{name}={value}" for name, value in environment.items()), *(str(word) for word in argv)]
    size = ["-x", str(columns), "-y", str(rows)]
    tmux = [program, "-S", str(shown.socket), "-f", "/dev/null"]
    session = ["new-session", "-d", "-s", "main", *size, "-c", str(cwd)]
    subprocess.run([*tmux, *session, *words], env=environment, timeout=WITHIN_S, check=True)
    try:
        yield shown
    finally:
        subprocess.run(
            [program, "-S", str(shown.socket), "kill-server"], capture_output=True, timeout=WITHIN_S, check=False
        )
