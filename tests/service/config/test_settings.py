"""What the server takes from the environment."""

from pathlib import Path

import pytest

from mimocode.config.settings import Settings, read
from mimocode.errors import ConfigError


def test_by_default_files_are_where_xdg_says_below_the_home() -> None:
    found = read({"HOME": "/home/ada"})

    expected = Settings(
        home=Path("/home/ada"),
        config=Path("/home/ada/.config/mimocode"),
        data=Path("/home/ada/.local/share/mimocode"),
        cache=Path("/home/ada/.cache/mimocode"),
        state=Path("/home/ada/.local/state/mimocode"),
        database=Path("/home/ada/.local/share/mimocode/mimocode.db"),
        peer_config=Path("/home/ada/.config/opencode"),
        password=None,
        when_busy="queue",
        on_disconnect="continue",
    )
    assert expected == found


def test_every_setting_can_be_set() -> None:
    found = read(
        {
            "HOME": "/home/ada",
            "XDG_CONFIG_HOME": "/c",
            "XDG_DATA_HOME": "/d",
            "XDG_CACHE_HOME": "/k",
            "XDG_STATE_HOME": "/s",
            "MIMOCODE_DB": "~/my.db",
            "MIMOCODE_SERVER_PASSWORD": "pw",
            "MIMOCODE_BUSY": "steer",
            "MIMOCODE_ON_DISCONNECT": "abort",
            "MIMOCODE_SNAPSHOT_WATCH": "off",
        }
    )

    expected = Settings(
        home=Path("/home/ada"),
        config=Path("/c/mimocode"),
        data=Path("/d/mimocode"),
        cache=Path("/k/mimocode"),
        state=Path("/s/mimocode"),
        database=Path("/home/ada/my.db"),
        peer_config=Path("/c/opencode"),
        password="pw",
        when_busy="steer",
        on_disconnect="abort",
        snapshot_watch="off",
    )
    assert expected == found


def test_one_directory_may_hold_everything_and_then_stands_alone() -> None:
    found = read({"HOME": "/home/ada", "XDG_DATA_HOME": "/d", "MIMOCODE_HOME": "~/mimo"})

    places = (found.config, found.data, found.cache, found.state, found.database, found.peer_config)
    base = Path("/home/ada/mimo")
    assert (base / "config", base / "data", base / "cache", base / "state", base / "data/mimocode.db", None) == places


def test_relative_xdg_variables_and_empty_ones_count_as_absent() -> None:
    empty = {"XDG_DATA_HOME": "rel", "XDG_STATE_HOME": "", "MIMOCODE_BUSY": "", "MIMOCODE_HOME": "", "MIMOCODE_DB": ""}

    assert read({"HOME": "/home/ada"}) == read({"HOME": "/home/ada", **empty})


def test_the_peers_password_serves_where_ours_is_not_set() -> None:
    peer = {"HOME": "/h", "OPENCODE_SERVER_PASSWORD": "theirs"}

    assert (read(peer).password, read({**peer, "MIMOCODE_SERVER_PASSWORD": "ours"}).password) == ("theirs", "ours")


def test_a_relative_database_lies_among_the_data() -> None:
    assert Path("/h/.local/share/mimocode/other.db") == read({"HOME": "/h", "MIMOCODE_DB": "other.db"}).database


def test_the_password_is_not_in_what_is_printed() -> None:
    assert "hunter2" not in repr(read({"HOME": "/h", "MIMOCODE_SERVER_PASSWORD": "hunter2"}))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("MIMOCODE_BUSY", "wait", "MIMOCODE_BUSY: expected one of queue, reject, steer, found 'wait'."),
        (
            "MIMOCODE_ON_DISCONNECT",
            "stop",
            "MIMOCODE_ON_DISCONNECT: expected one of continue, abort, found 'stop'.",
        ),
        ("MIMOCODE_HOME", "here", "MIMOCODE_HOME: expected an absolute path, found 'here'."),
        (
            "MIMOCODE_DB",
            "postgres://x/y",
            "MIMOCODE_DB: expected the path of a SQLite file, found 'postgres://x/y'."
            " A relative one is in /h/.local/share/mimocode.",
        ),
    ],
)
def test_a_bad_value_is_named_with_the_choices(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read({"HOME": "/h", name: value})

    assert said == str(caught.value)
