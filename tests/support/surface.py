"""Every operation that opencode has, as requests can be made of it."""

import json
import re

from .programs import ROOT

SURFACE = [
    (method, path)
    for operations in json.loads((ROOT / "contract" / "surface.json").read_text()).values()
    for method, path in (operation.split() for operation in operations)
]


def filled(path: str, session: str) -> str:
    """A path that can be asked for: with that session, and of everything else what is not there."""
    ids = {"sessionID": session, "projectID": "global"}
    return re.sub(r"\{(\w+)\}", lambda name: ids.get(name[1], "unknown"), path).replace("*", "README")
