"""Lines over a logarithmic axis, as plain SVG: nothing to install."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[Sequence[float]]
"""x, y."""

COLOURS = {"ours": "#1a7f4b", "peer": "#c0392b", "limit": "#7f8c8d"}
_MORE = ("#2c6fbb", "#8e44ad", "#e6a23c")
_WIDTH, _HEIGHT = 720, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 40, 50


def drawn(title: str, x: str, y: str, lines: Mapping[str, Points]) -> str:
    """Both axes are logarithmic. A line's colour is that of the first word of its name."""
    points = [(px, py) for line in lines.values() for px, py in line if px > 0 and py > 0]
    across = _Axis([px for px, _ in points], _LEFT, _WIDTH - _RIGHT)
    up = _Axis([py for _, py in points], _HEIGHT - _BOTTOM, _TOP)
    drawing = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        _text(_LEFT, 20, title, weight="bold"),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, x, anchor="middle"),
        _text(_LEFT - 8, _TOP - 8, y, anchor="end"),
    ]
    for mark in across.marks:
        drawing.append(_stroke([(across.at(mark), _TOP), (across.at(mark), _HEIGHT - _BOTTOM)], "#dddddd"))
        drawing.append(_text(across.at(mark), _HEIGHT - _BOTTOM + 16, f"{mark:,g}", anchor="middle"))
    for mark in up.marks:
        drawing.append(_stroke([(_LEFT, up.at(mark)), (_WIDTH - _RIGHT, up.at(mark))], "#dddddd"))
        drawing.append(_text(_LEFT - 8, up.at(mark) + 4, f"{mark:,g}", anchor="end"))
    for number, (name, line) in enumerate(lines.items()):
        drawing += _line(number, name, [(across.at(px), up.at(py)) for px, py in line if px > 0 and py > 0])
    return "\n".join([*drawing, "</svg>", ""])


def _line(number: int, name: str, points: Sequence[tuple[float, float]]) -> list[str]:
    subject, _, rest = name.partition(" ")
    colour = COLOURS.get(subject, _MORE[number % len(_MORE)])
    dashed = ' stroke-dasharray="5 4"' if rest.endswith(("p95", "messages")) else ""
    y = _TOP + 20 * number + 8
    key = [(_WIDTH - _RIGHT + 16, y - 4), (_WIDTH - _RIGHT + 46, y - 4)]
    return [
        _stroke(points, colour, width=2, more=dashed),
        *(f'<circle cx="{x:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for x, py in points),
        _stroke(key, colour, width=2, more=dashed),
        _text(_WIDTH - _RIGHT + 52, y, name),
    ]


class _Axis:
    """From a value to a place between `start` and `end`; `marks` at 1, 2 and 5 of each power of ten it covers."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values, default=1), max(values, default=10)
        steps = [step * 10.0**power for power in range(-4, 9) for step in (1, 2, 5)]
        first = max(step for step in steps if step <= low)
        last = min(step for step in steps if step >= high and step > first)
        marks = [step for step in steps if first <= step <= last]
        self.marks = marks if len(marks) <= 10 else [mark for mark in marks if _is_power(mark)]
        self._low, self._span = math.log10(first), math.log10(last) - math.log10(first)
        self._start, self._length = start, end - start

    def at(self, value: float) -> float:
        return self._start + (math.log10(value) - self._low) / self._span * self._length


def _is_power(value: float) -> bool:
    return math.isclose(math.log10(value), round(math.log10(value)))


def _stroke(points: Sequence[tuple[float, float]], colour: str, *, width: float = 1, more: str = "") -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"{more}/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} font-weight="{weight}" fill="#222222">{escape(text)}</text>'
