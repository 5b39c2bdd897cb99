"""No behaviour without a test, no test without a behaviour, and the pinned contract is the one we hold."""

import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path

from tests.contract.behaviours import BEHAVIOURS, PROVES
from tests.contract.shapes import CONTRACT, document

HERE = Path(__file__).parent


def _tests() -> dict[str, tuple[str, ...]]:
    """What each test of this folder says it proves; this file itself aside."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        if path == Path(__file__):
            continue
        spec = importlib.util.spec_from_file_location(f"covered_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        tests = {name: test for name, test in vars(module).items() if name.startswith("test_")}
        found |= {f"{path.name}::{name}": getattr(test, PROVES, ()) for name, test in tests.items()}
    return found


def test_every_behaviour_has_a_test_and_every_test_a_behaviour() -> None:
    tests = _tests()
    proved = {name for names in tests.values() for name in names}
    known = {behaviour.id for behaviour in BEHAVIOURS}

    assert known - proved == set(), "behaviours without a test"
    assert proved - known == set(), "tests of unknown behaviours"
    assert [name for name, proved_by_it in tests.items() if not proved_by_it] == [], "tests without a behaviour"


def test_every_behaviour_is_said_once() -> None:
    counts = Counter(behaviour.id for behaviour in BEHAVIOURS)

    assert [name for name, count in counts.items() if count > 1] == []


def test_the_document_is_the_pinned_one() -> None:
    pinned = json.loads((CONTRACT / "PINNED.json").read_text())

    assert pinned["openapi"]["sha256"] == hashlib.sha256((CONTRACT / "openapi.json").read_bytes()).hexdigest()
    assert pinned["version"] == document()["info"]["version"]


def test_the_lock_pins_what_is_pinned_and_names_no_registry() -> None:
    pinned = json.loads((CONTRACT / "PINNED.json").read_text())["npm"]
    text = (CONTRACT / "npm" / "package-lock.json").read_text()
    locked = json.loads(text)["packages"]

    for name in json.loads((CONTRACT / "npm" / "package.json").read_text())["dependencies"]:
        entry = locked[f"node_modules/{name}"]
        assert {key: pinned[name][key] for key in ("version", "integrity")} == {
            key: entry[key] for key in ("version", "integrity")
        }
    assert "://" not in text
