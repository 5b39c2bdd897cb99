"""What is looked at on a machine: good ones pass, and each fault is found, with what to do about it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mimocode.config import settings
from mimocode.config.settings import Settings
from mimocode.doctor import installation, proxies
from mimocode.doctor.finding import Finding
from mimocode.errors import Invalid
from mimocode.store import migrations


@pytest.fixture
def places(tmp_path: Path) -> Settings:
    found = settings.read({"MIMOCODE_HOME": str(tmp_path / "mimo"), "HOME": str(tmp_path)})
    found.data.mkdir(parents=True, mode=0o700)
    found.state.mkdir(parents=True, mode=0o700)
    return found


def test_a_new_installation_has_no_fault_and_nothing_is_left_behind(places: Settings) -> None:
    findings = list(installation.looked_at(places))

    assert [finding for finding in findings if finding.state == "fail"] == []
    assert {finding.name for finding in findings} == {
        "mimocode", "Python", "SQLite", "database", "ripgrep", "git", "disk space", "permissions"
    }  # fmt: skip
    assert list(places.data.iterdir()) == []


def test_a_database_is_told_with_its_schema(places: Settings) -> None:
    migrations.upgrade(places.database)

    found = installation.database(places)

    assert (found.state, found.mend) == ("ok", "")
    assert f"schema {migrations.HEAD}." in found.said


def test_a_file_that_is_no_database_of_ours_is_a_fault(places: Settings) -> None:
    with closing(sqlite3.connect(places.database)) as other:
        other.execute("CREATE TABLE recipes (id INTEGER)")

    found = installation.database(places)

    assert found.state == "fail"
    assert "another program" in found.said


def test_secrets_that_others_can_read_are_found_and_mended(places: Settings) -> None:
    places.password_file.write_text("secret")
    places.password_file.chmod(0o644)

    before = list(installation.permissions(places))
    places.password_file.chmod(0o600)
    after = list(installation.permissions(places))

    said = f"{places.password_file} has mode 644: others can read it."
    assert before == [Finding("permissions", "warn", said, f"chmod 600 {places.password_file}")]
    assert [finding.state for finding in after] == ["ok"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"server": "nginx/1.22.1"}, ["nginx"]),
        ({"server": "uvicorn", "via": "1.1 Caddy"}, ["caddy"]),
        ({"server": "cloudflare", "cf-ray": "8a"}, ["cloudflare"]),
        ({"server": "uvicorn"}, []),
    ],
)
def test_proxies_are_known_by_what_they_say(headers: dict[str, str], expected: list[str]) -> None:
    assert [proxy.name for proxy in proxies.recognised([{}, headers])] == expected


def test_each_proxy_has_lines_without_a_gap_and_a_source() -> None:
    found = proxies.named("all")

    assert {"nginx", "haproxy", "apache", "caddy", "traefik", "envoy", "cloudflare", "alb"} <= {p.name for p in found}
    assert [p.name for p in found if "_s}" in p.recommended() or not p.source.startswith("https://")] == []


def test_a_proxy_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(Invalid, match="no such proxy: 'iis'"):
        proxies.named("iis")
