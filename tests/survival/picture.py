"""The verdicts as a picture: one square for each cell, ours beside the peer's. Plain SVG, nothing to install."""

from collections.abc import Mapping
from html import escape
from typing import Any

from . import matrix
from .clients import CLIENTS

_SIDE = 22
_LEFT = 132
_TOP = 118
_GAP = 26
_RIGHT = 56
_LEGEND = 46
_COLOURS = {"first": "#1a7f4b", "joined": "#7fc8a0", "twice": "#e6a23c", "wrong": "#c0392b"}
_NOT_RUN = "#eeeeee"
_SAYS = {
    "first": "right, first request",
    "joined": "right, joined",
    "twice": "right, but ran twice",
    "wrong": "wrong or none",
}
_ROWS = [*matrix.PATHS, *(f"direct {cut}" for cut in matrix.CUTS)]


def drawn(outcomes: Mapping[str, Mapping[str, Any]]) -> str:
    """The SVG."""
    panel = len(CLIENTS) * _SIDE
    width = _LEFT + 2 * panel + _GAP + _RIGHT
    height = _TOP + len(_ROWS) * _SIDE + _LEGEND
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for number, row in enumerate(_ROWS):
        lines.append(_text(_LEFT - 8, _TOP + number * _SIDE + 15, _said(row), anchor="end"))
    for panel_number, server in enumerate((matrix.OURS, matrix.PEER)):
        left = _LEFT + panel_number * (panel + _GAP)
        lines.append(_text(left, 16, server, weight="bold"))
        lines += _panel(outcomes, server, left)
    lines += _legend(height - 16)
    return "\n".join([*lines, "</svg>", ""])


def _panel(outcomes: Mapping[str, Mapping[str, Any]], server: str, left: int) -> list[str]:
    lines: list[str] = []
    for column, client in enumerate(CLIENTS):
        x = left + column * _SIDE
        lines.append(
            f'<text transform="translate({x + 15},{_TOP - 6}) rotate(-60)" fill="#222222">{escape(client)}</text>'
        )
        for number, row in enumerate(_ROWS):
            outcome = outcomes.get(f"{server} {row} {client}")
            colour = _COLOURS[outcome["verdict"]] if outcome else _NOT_RUN
            title = f"{server}, {_said(row)}, {client}: {_SAYS[outcome['verdict']] if outcome else 'not run'}"
            lines.append(
                f'<rect x="{x + 1}" y="{_TOP + number * _SIDE + 1}" width="{_SIDE - 2}" height="{_SIDE - 2}" '
                f'fill="{colour}"><title>{escape(title)}</title></rect>'
            )
    return lines


def _legend(y: int) -> list[str]:
    lines: list[str] = []
    x = _LEFT
    for colour, says in [*((_COLOURS[verdict], says) for verdict, says in _SAYS.items()), (_NOT_RUN, "not run")]:
        lines.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        lines.append(_text(x + 17, y, says))
        x += 40 + len(says) * 6
    return lines


def _said(row: str) -> str:
    return f"cut: {row.removeprefix('direct ')}" if row.startswith("direct ") else row


def _text(x: int, y: int, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="#222222">{escape(text)}</text>'
