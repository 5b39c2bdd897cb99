"""Which pictures there are of the results."""

from .picture import Points, drawn
from .report import Found


def of(found: Found) -> dict[str, str]:
    """The SVGs by name, of what was measured so far."""
    made: dict[str, str] = {}
    if latency := _lines(found, "turns", "latency"):
        both = {f"{name} p{share}": [[x, y[index]] for x, *y in points]
                for name, points in latency.items() for index, share in enumerate((50, 95))}  # fmt: skip
        made["latency"] = drawn("Latency of a turn over load", "turns at once", "ms", both)
    if memory := _lines(found, "blocked", "memory"):
        made["memory"] = drawn("Memory of a blocked turn", "blocked turns", "kB", memory)
    growth = {
        f"{name} {what}": points
        for what in ("sessions", "messages")
        for name, points in _lines(found, "reading", f"growth.{what}").items()
    }
    if growth:
        made["growth"] = drawn("A page of a list over what is stored", "sessions or messages stored", "ms", growth)
    return made


def _lines(found: Found, part: str, line: str) -> dict[str, Points]:
    return found["parts"].get(part, {}).get("lines", {}).get(line, {})
