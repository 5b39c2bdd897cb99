"""Ids, which are others in every run: how they look, and which stands for which recorded one."""

import re
from dataclasses import dataclass, field
from typing import Any, cast

IS_ID = re.compile(r"\b(?:(?:ses|msg|prt|per|que|evt|pty|call|err)_\w+|[0-9a-f]{40})\b")


@dataclass
class Names:
    """Recorded ids and paths, and what they are called this time."""

    known: dict[str, str] = field(default_factory=dict[str, str])

    def learn(self, recorded: Any, told: Any) -> None:
        """Takes from two values of one shape the ids that stand in the same place."""
        if isinstance(recorded, dict) and isinstance(told, dict):
            for key, value in cast("dict[str, Any]", recorded).items():
                self.learn(value, cast("dict[str, Any]", told).get(key))
        elif isinstance(recorded, list) and isinstance(told, list):
            for one, other in zip(cast("list[Any]", recorded), cast("list[Any]", told), strict=False):
                self.learn(one, other)
        elif isinstance(recorded, str) and isinstance(told, str) and IS_ID.fullmatch(recorded):
            self.known.setdefault(recorded, told)

    def said(self, text: str) -> str:
        """A recorded text as it is to be sent now."""
        return IS_ID.sub(lambda found: self.known.get(found[0], found[0]), text)
