"""A home and a project with a repository, both empty, and a way to load what is written into them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mimocode.config.load import Config, load


@dataclass
class Desk:
    home: Path
    project: Path
    env: dict[str, str] = field(default_factory=dict[str, str])

    def write(self, path: str | Path, text: str) -> Path:
        """Relative paths are below the project; ``~/`` is the home."""
        file = self.home / str(path)[2:] if str(path).startswith("~/") else self.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def load(self, below: str = ".", env: Mapping[str, str] | None = None) -> Config:
        return load(self.project / below, {**self.env, **(env or {})}, home=self.home)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    home, project = tmp_path / "home", tmp_path / "work" / "proj"
    home.mkdir()
    (project / ".git").mkdir(parents=True)
    return Desk(home, project, {"HOME": str(home), "USER": "ada"})
