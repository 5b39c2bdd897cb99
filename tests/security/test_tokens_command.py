"""`mimo token`: made, listed, taken back, by the command as people run it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mimocode import ids
from mimocode.cli.main import app
from mimocode.server.tokens import Tokens


def mimo(home: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["token", *words], env={"HOME": str(home), "MIMOCODE_HOME": str(home)})


def test_a_token_is_told_once_listed_without_its_secret_and_taken_back(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "state" / "tokens.json")
    before_ms = ids.now_ms()

    secret = mimo(tmp_path, "create", "phone", "--scope", "answer", "--expires", "30d").stdout.strip()
    kept = tokens.of(secret)
    listed = mimo(tmp_path, "list", "--json").stdout
    shown = mimo(tmp_path, "list").stdout
    revoked = mimo(tmp_path, "revoke", "phone")

    assert kept is not None
    assert kept.expires is not None
    assert (kept.name, kept.scope, (kept.expires - before_ms) // 86_400_000) == ("phone", "answer", 30)
    assert [(one["name"], one["scope"], one["expired"]) for one in json.loads(listed)] == [("phone", "answer", False)]
    assert "phone" in shown
    assert secret not in listed + shown
    assert (revoked.exit_code, tokens.of(secret), tokens.all()) == (0, None, [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["create", "x", "--scope", "all"], "expected one of read, answer, full, found 'all'"),
        (["create", "x", "--expires", "soon"], "found 'soon'"),
        (["create", "x", "--expires", "0d"], "found '0d'"),
        (["create", "a b"], "'a b' cannot be a token's name"),
        (["revoke", "x"], "There is no token 'x'"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(tmp_path: Path, words: list[str], said: str) -> None:
    result = mimo(tmp_path, *words)

    assert result.exit_code == 2
    assert said in result.stderr
    assert Tokens(tmp_path / "state" / "tokens.json").all() == []
