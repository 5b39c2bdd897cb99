"""The tree shows the architecture: what ARCHITECTURE.md names exists, and files stay readable."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src" / "mimocode"
LONGEST_FILE = 400


def test_every_package_says_what_it_is() -> None:
    undescribed = [
        str(path.relative_to(ROOT)) for path in SRC.rglob("*.py") if not path.read_text().lstrip().startswith('"""')
    ]

    assert undescribed == []


def test_no_file_is_two_things() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SRC.rglob("*.py")}

    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_every_package_is_named_in_the_architecture() -> None:
    tree = (ROOT / "ARCHITECTURE.md").read_text()
    packages = {path.parent.name for path in SRC.glob("*/__init__.py")} | {path.name for path in SRC.glob("*.py")}

    unnamed = {name for name in packages if not re.search(rf"^  {re.escape(name)}\b", tree, re.MULTILINE)}

    assert unnamed - {"__init__.py", "__main__.py"} == set()


def test_only_the_edges_of_turns_and_of_requests_catch_everything() -> None:
    catchers = [
        str(path.relative_to(SRC))
        for path in SRC.rglob("*.py")
        if re.search(r"except (Base)?Exception\b|except:", path.read_text())
    ]

    assert sorted(catchers) == ["server/faults.py", "session/lanes.py"]


def test_every_attack_is_shown_by_tests_that_there_are() -> None:
    page = (ROOT / "tests" / "security" / "ATTACKS.md").read_text()
    named = re.findall(r"`(test_\w+)\.(test_\w+)`", page)

    missing = [
        f"{module}.{test}"
        for module, test in named
        if f"def {test}(" not in (ROOT / "tests" / "security" / f"{module}.py").read_text()
    ]

    assert len(named) > 30
    assert missing == []
