"""What people and programs see: nothing that steers a terminal, and a live line that leaves no trace."""

import io

from hypothesis import given
from hypothesis import strategies as st

from mimocode.cli.screen import Screen, columns, cut, plain

ENV = {"TERM": "xterm", "NO_COLOR": "1"}


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(written: str, width: int = 80) -> list[str]:
    """The lines a terminal would show: enough of one for what we send."""
    lines: list[list[str]] = [[]]
    row = column = 0
    rest = written
    while rest:
        if rest.startswith("\x1b["):
            end = next(at for at, c in enumerate(rest[2:], 2) if c.isalpha())
            count, command = rest[2:end], rest[end]
            match command:
                case "K":
                    del lines[row][column:]
                case "A":
                    row -= int(count)
                case "G":
                    column = int(count) - 1
                case _:
                    raise AssertionError(f"unknown command {command}")
            rest = rest[end + 1 :]
            continue
        character, rest = rest[0], rest[1:]
        if character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
            lines += [[]] if row == len(lines) else []
        else:
            if column == width:
                row, column = row + 1, 0
                lines += [[]] if row == len(lines) else []
            lines[row][column : column + 1] = [character]
            column += 1
    return ["".join(line) for line in lines]


def test_text_goes_on_where_it_was_after_the_live_line() -> None:
    terminal = Tty()
    screen = Screen(terminal, terminal, env=ENV)

    for piece in ("one ", "two", " three\nfour"):
        screen.answer(piece)
        screen.status(f"working after {piece!r}")
    screen.aside("$ ls")
    screen.status("working")
    screen.hide()

    assert drawn(terminal.getvalue()) == ["one two three", "four", "$ ls", ""]


@given(st.lists(st.text("ab \n", max_size=90), max_size=8))
def test_no_live_line_ever_changes_the_text(pieces: list[str]) -> None:
    terminal = Tty()
    screen = Screen(terminal, terminal, env=ENV)

    for piece in pieces:
        screen.answer(piece)
        screen.status("working")
    screen.hide()

    silent = Tty()
    for piece in pieces:
        silent.write(piece)
    expected, seen = drawn(silent.getvalue()), drawn(terminal.getvalue())
    assert [*expected, ""][: len(seen)] == seen or expected == seen


def test_only_a_terminal_has_a_live_line() -> None:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(out, err, env=ENV)

    screen.answer("text")
    screen.status("working")
    screen.aside("aside")

    assert (out.getvalue(), err.getvalue()) == ("text", "aside\n")


def test_what_a_model_says_reaches_a_pipe_as_it_is() -> None:
    out = io.StringIO()

    Screen(out, io.StringIO(), env=ENV).answer("\x1b[1mbold\x1b[0m")

    assert out.getvalue() == "\x1b[1mbold\x1b[0m"


@given(st.text())
def test_nothing_that_steers_is_left_in_plain_text(text: str) -> None:
    assert not [c for c in plain(text) if (ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) < 0xA0]


@given(st.text(), st.integers(0, 20))
def test_a_cut_line_is_never_wider_than_its_place(text: str, width: int) -> None:
    assert columns(cut(text, width)) <= width
    assert text.startswith(cut(text, width))
