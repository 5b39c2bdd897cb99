"""Where configuration is looked for, and what a file says once ``{env:…}`` and ``{file:…}`` are filled in.

Strength grows from the first layer to the last; `docs/configuration.md` tells users the same. At one place opencode's
names come before ours.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mimocode.errors import ConfigError
from mimocode.wire.base import JsonObject

from .jsonc import parsed, parsed_object
from .project import levels, worktree
from .settings import Settings
from .watched import Watched

NAMES = ("opencode.json", "opencode.jsonc", "mimocode.json", "mimocode.jsonc")
GLOBAL_NAMES = ("config.json", *NAMES)
FOLDERS = (".opencode", ".mimocode")
PREFIXES = ("OPENCODE", "MIMOCODE")

_SUBSTITUTION = re.compile(r"\{(env|file):([^{}]+)\}")
_LIKELY_A_KEY = re.compile(r"^(provider|mcp)\..*\.(options|headers|environment)\.(?!.*baseURL$)")
"""The place of what is filled in because it is to stand in no file."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One file or variable: `data` with everything filled in, `written` as it stands there.

    `within` says that it lies in the project, where commands of tools can write.
    """

    source: str
    data: JsonObject
    written: JsonObject
    within: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the layers for one directory. Afterwards `watched` holds every file looked at, whether it was there or not,
    `warnings` what the user should be told, and `filled` what was filled in where it is most likely a key.
    """

    directory: Path
    env: Mapping[str, str]
    settings: Settings
    watched: Watched = field(default_factory=Watched)
    warnings: list[str] = field(default_factory=list[str])
    filled: set[str] = field(default_factory=set[str], repr=False)

    def layers(self) -> Iterator[Layer]:
        """Every layer that there is, weakest first. Blocking. Raises `ConfigError`."""
        for place in filter(None, (self.settings.peer_config, self.settings.config)):
            for name in GLOBAL_NAMES:
                yield from self._file(place / name)
        for variable in self._set("CONFIG"):
            path = self._path(self.env[variable], self.directory)
            if not path.is_file():
                raise ConfigError(f"{variable}: no such file: {path}.")
            yield from self._file(path)
        for place in [*self._levels(), *self.folders()]:
            for name in NAMES:
                yield from self._file(place / name)
        for variable in self._set("CONFIG_CONTENT"):
            yield self._layer(variable, self.env[variable], self.directory)
        for variable in self._set("PERMISSION"):
            permission = {"permission": parsed(self.env[variable], variable)}
            yield Layer(variable, permission, permission)

    def folders(self) -> list[Path]:
        """The configuration folders, weakest first: the home's, each level's, and those that variables name."""
        home = [self.settings.home] if self.settings.peer_config else []
        places = [*home, *(level for level in self._levels() if level not in home)]
        named = [self._path(self.env[variable], self.directory) for variable in self._set("CONFIG_DIR")]
        return [place / folder for place in places for folder in FOLDERS] + named

    def _levels(self) -> list[Path]:
        off = self.env.get("MIMOCODE_DISABLE_PROJECT_CONFIG")
        return [] if off else levels(self.directory, self.settings.home)

    def _set(self, name: str) -> list[str]:
        variables = [f"{prefix}_{name}" for prefix in PREFIXES]
        return [variable for variable in variables if self.env.get(variable)]

    def _path(self, value: str, base: Path) -> Path:
        return self.settings.home / value[2:] if value.startswith("~/") else base / value

    def _file(self, path: Path) -> Iterator[Layer]:
        if (text := self._text(path, str(path))) is not None:
            yield self._layer(str(path), text, path.parent, within=self._within(path))

    def _text(self, path: Path, place: str) -> str | None:
        self.watched.note(path)
        try:
            return path.read_text(encoding="utf-8-sig")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ConfigError(f"{place}: cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{place}: is not UTF-8 text (byte {error.start}).") from error

    def _within(self, path: Path) -> bool:
        """Our own places are hidden from commands, also where the project is the home that holds them."""
        own = [place for place in (self.settings.peer_config, self.settings.config) if place is not None]
        real, root = path.resolve(), (worktree(self.directory) or self.directory).resolve()
        return real.is_relative_to(root) and not any(real.is_relative_to(place.resolve()) for place in own)

    def _layer(self, source: str, text: str, base: Path, *, within: bool = False) -> Layer:
        written = parsed_object(text, source)

        def filled(match: re.Match[str], key: str) -> str:
            content = self._filling(match, f"{source}: {key}", base)
            if _LIKELY_A_KEY.search(key):
                self.filled.add(content)
            return content

        return Layer(source, _substituted(written, filled), written, within)

    def _filling(self, match: re.Match[str], place: str, base: Path) -> str:
        kind, name = match.groups()
        if kind == "env":
            return self._variable(name, place)
        path = self._path(name, base)
        content = self._text(path, f"{place}: the file {path}")
        if content is None:
            raise ConfigError(f"{place}: there is no file {path}.")
        return content.strip()

    def _variable(self, name: str, place: str) -> str:
        if name not in self.env:
            self.warnings.append(f"{place}: the environment has no {name}; {{env:{name}}} is left empty.")
        return self.env.get(name, "")


def _substituted(data: Any, filled: Callable[[re.Match[str], str], str], key: str = "") -> Any:
    if isinstance(data, dict):
        items = cast("JsonObject", data).items()
        return {name: _substituted(item, filled, f"{key}.{name}".lstrip(".")) for name, item in items}
    if isinstance(data, list):
        return [_substituted(item, filled, f"{key}.{index}") for index, item in enumerate(cast("list[Any]", data))]
    return _SUBSTITUTION.sub(lambda match: filled(match, key), data) if isinstance(data, str) else data
