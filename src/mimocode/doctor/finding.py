"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "warn", "fail"]
"""A note is worth knowing and nothing to mend."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`said` is what was seen, `mend` what to do about it; empty where nothing needs doing."""

    name: str
    state: State
    said: str
    mend: str = ""

    def plain(self) -> dict[str, str]:
        return {"name": self.name, "state": self.state, "said": self.said, "mend": self.mend}
