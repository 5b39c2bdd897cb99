"""docs/cli.md names every command, every option and every exit code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from mimocode.cli.ends import Exit
from mimocode.cli.main import app

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it."""
    inner: dict[str, Any] = getattr(command, "commands", {})
    if not inner:
        yield name, command
    for word, each in inner.items():
        yield from commands(each, f"{name} {word}")


ALL = dict(commands(typer.main.get_command(app), "mimo"))


def test_every_command_is_documented() -> None:
    assert [name for name in ALL if not re.search(rf"(`|    ){name}\b", PAGE)] == []


def test_every_option_is_documented() -> None:
    options = {
        (name, option) for name, command in ALL.items() for param in command.params for option in param.opts
        if option.startswith("-")
    }  # fmt: skip

    assert len(options) > 50
    assert {(name, option) for name, option in options if f"`{option}" not in PAGE} == set()


def test_every_option_says_what_it_does() -> None:
    silent = {
        (name, param.name)
        for name, command in ALL.items()
        for param in command.params
        if not (getattr(param, "help", None) or "").strip()
    }

    assert silent == set()


def test_every_exit_code_is_documented() -> None:
    table = PAGE.partition("### Exit codes")[2].partition("###")[0]

    assert [code for code in Exit if f"| {int(code)} |" not in table] == []
