"""Dialogs in the terminal: a choice by arrow keys or number, several choices, a line of text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO

from .screen import columns, plain

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.layout import UIControl, Window
    from prompt_toolkit.output import Output


class Closed(Exception):
    """Somebody else has answered."""


class Interrupted(Exception):
    """The person pressed Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Option:
    label: str
    description: str = ""


@dataclass(slots=True)
class _Choice:
    """What the keys change."""

    count: int
    multiple: bool
    at: int = 0
    picked: set[int] = field(default_factory=set[int])

    def up(self, _: "KeyPressEvent") -> None:
        self.at = (self.at - 1) % self.count

    def down(self, _: "KeyPressEvent") -> None:
        self.at = (self.at + 1) % self.count

    def pick(self, _: "KeyPressEvent") -> None:
        if self.multiple:
            self.picked ^= {self.at}

    def number(self, event: "KeyPressEvent") -> None:
        at = int(event.data) - 1
        if not 0 <= at < self.count:
            return
        self.at = at
        if self.multiple:
            self.pick(event)
        else:
            event.app.exit(result=[at])

    def enter(self, event: "KeyPressEvent") -> None:
        event.app.exit(result=sorted(self.picked) if self.multiple else [self.at])


class Dialogs:
    """One at a time, on one terminal. `hint` is asked again and again for the line at the bottom."""

    def __init__(self, terminal: TextIO, hint: Callable[[], str]) -> None:
        self._terminal = terminal
        self._hint = hint
        self._app: Application[Any] | None = None
        self._closed = False

    def open(self) -> None:
        """Before the dialogs of one ask."""
        self._closed = False

    def close(self) -> None:
        """Ends the dialogs of this ask: whoever waits for one gets `Closed`. Safe at any time."""
        self._closed = True
        if self._app is not None and self._app.is_running and not self._app.is_done:
            self._app.exit(exception=Closed())

    async def choose(self, heading: str, options: Sequence[Option], *, multiple: bool = False) -> list[int] | None:
        """The numbers of what was chosen, from 0, ascending; None if it was dismissed by Escape.

        Raises `Closed`, `Interrupted`.
        """
        from prompt_toolkit.layout.controls import FormattedTextControl

        choice = _Choice(len(options), multiple)

        def drawn() -> "StyleAndTextTuples":
            return _drawn(heading, options, choice)

        body = _row(FormattedTextControl(drawn, focusable=True, show_cursor=False))
        way = "space picks, enter answers" if multiple else "enter or a number picks"
        return await self._shown([body], f"↑ ↓ move · {way}", _keys(choice))

    async def text(self, heading: str) -> str | None:
        """A line that was typed, None if it was dismissed. Raises `Closed`, `Interrupted`."""
        from prompt_toolkit.buffer import Buffer
        from prompt_toolkit.key_binding import KeyBindings
        from prompt_toolkit.layout import BufferControl
        from prompt_toolkit.layout.controls import FormattedTextControl
        from prompt_toolkit.layout.processors import BeforeInput

        typed, keys = Buffer(multiline=False), KeyBindings()

        def enter(event: "KeyPressEvent") -> None:
            event.app.exit(result=typed.text)

        keys.add("enter")(enter)
        _dismissing(keys)
        line = _row(BufferControl(typed, input_processors=[BeforeInput("> ")]))
        above = _row(FormattedTextControl([("class:heading", plain(heading))]))
        return await self._shown([above, line], "enter answers", keys, focused=line)

    async def _shown(self, rows: "list[Window]", how: str, keys: "KeyBindings", focused: "Window | None" = None) -> Any:
        from prompt_toolkit.application import Application
        from prompt_toolkit.layout import HSplit, Layout, Window
        from prompt_toolkit.layout.controls import FormattedTextControl

        if self._closed:
            raise Closed

        def hint() -> "StyleAndTextTuples":
            return [("class:hint", f"{how} · esc dismisses    {self._hint()}")]

        bottom = Window(FormattedTextControl(hint), height=1)
        app: Application[Any] = Application(
            layout=Layout(HSplit([*rows, bottom]), focused_element=focused),
            key_bindings=keys,
            style=_style(),
            erase_when_done=True,
            refresh_interval=1,
            output=self._output(),
        )
        self._app = app
        try:
            # Ctrl-C is a key here; the signal stays with whoever runs the turn.
            return await app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            self._app = None

    def _output(self) -> "Output":
        """Without asking the terminal where its cursor is: not every terminal answers."""
        import os

        from prompt_toolkit.data_structures import Size
        from prompt_toolkit.output.vt100 import Vt100_Output

        def size() -> Size:
            width, height = os.get_terminal_size(self._terminal.fileno())
            return Size(rows=height or 24, columns=width or 80)

        return Vt100_Output(self._terminal, size, term=os.environ.get("TERM"), enable_cpr=False)


def _row(control: "UIControl") -> "Window":
    """As high as its text."""
    from prompt_toolkit.layout import Window

    return Window(control, wrap_lines=True, dont_extend_height=True)


def _drawn(heading: str, options: Sequence[Option], choice: _Choice) -> "StyleAndTextTuples":
    lines: StyleAndTextTuples = [("class:heading", plain(heading) + "\n")]
    for at, option in enumerate(options):
        here = "class:here" if at == choice.at else ""
        mark = "❯" if at == choice.at else " "
        box = ("[x] " if at in choice.picked else "[ ] ") if choice.multiple else ""
        label = f"{mark} {at + 1}. {box}{plain(option.label)}"
        lines.append((here, label))
        if option.description:
            lines.append(("class:hint", " " * max(1, 24 - columns(label)) + plain(option.description)))
        lines.append(("", "\n"))
    return lines


def _keys(choice: _Choice) -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()
    for key in ("up", "k", "c-p", "s-tab"):
        keys.add(key)(choice.up)
    for key in ("down", "j", "c-n", "tab"):
        keys.add(key)(choice.down)
    for digit in "123456789":
        keys.add(digit)(choice.number)
    keys.add("space")(choice.pick)
    keys.add("enter")(choice.enter)
    _dismissing(keys)
    return keys


def _dismissing(keys: "KeyBindings") -> None:
    def dismiss(event: "KeyPressEvent") -> None:
        event.app.exit(result=None)

    def interrupt(event: "KeyPressEvent") -> None:
        event.app.exit(exception=Interrupted())

    keys.add("escape", eager=True)(dismiss)
    keys.add("c-c")(interrupt)
    keys.add("c-d")(dismiss)


def _style() -> Any:
    from prompt_toolkit.styles import Style

    return Style.from_dict({"heading": "bold", "here": "ansicyan", "hint": "ansibrightblack noreverse"})
