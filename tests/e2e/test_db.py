"""`mimo db`: the database looked through, copied and made smaller; and files that cannot be used."""

import json
import sqlite3
import stat
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from tests.service.cli.mimo import User, result_of, served, user

from mimocode import ids
from mimocode.store import migrations

ASKING = """
call: question {"questions": [{"question": "Which colour?", "header": "Colour", "options": \
[{"label": "Red", "description": "warm"}, {"label": "Blue", "description": "cold"}]}]}
---
text: You said {{answer}}.
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Generator[User]:
    with served(tmp_path_factory.mktemp("home")) as someone:
        yield someone


@pytest.fixture
def someone(home: User, tmp_path: Path) -> User:
    """Somebody whose server runs."""
    return home.at(tmp_path / "project")


@pytest.fixture
def alone(tmp_path: Path) -> User:
    """Somebody without a server, whose database is there."""
    alone = user(tmp_path / "alone")
    database(alone).parent.mkdir(parents=True)
    migrations.upgrade(database(alone))
    return alone


def database(someone: User) -> Path:
    return someone.root / "mimocode" / "data" / "mimocode.db"


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


async def test_a_database_in_use_is_checked_and_copied_and_the_copy_answers_what_the_original_asked(
    someone: User, tmp_path: Path
) -> None:
    asked = await someone.mimo("run", "--format", "json", "-m", someone.script(ASKING), "go")
    session = result_of(asked.out)["sessionID"]
    [question] = await someone.json("question", "list")
    copy = tmp_path / "copy.db"

    checked = await someone.json("db", "check")
    made = await someone.mimo("db", "backup", str(copy))
    forced = await someone.json("db", "backup", str(copy), "--force")

    assert (checked["faults"], checked["schema"]) == ([], migrations.HEAD)
    assert made.code == 0, made.err
    assert forced["bytes"] == copy.stat().st_size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir() if "copy" in each.name] == ["copy.db"]
    other = {**someone.env, "MIMOCODE_HOME": str(tmp_path / "other"), "MIMOCODE_DB": str(copy)}
    replied = await someone.mimo("question", "reply", question["id"], "Blue", env=other)
    went_on = await someone.mimo("run", "-s", session, env=other)
    assert (replied.code, went_on.out) == (0, "You said Blue.\n"), (replied.err, went_on.err)
    assert [one["id"] for one in await someone.json("question", "list")] == [question["id"]]


async def test_a_database_in_use_is_not_vacuumed(someone: User) -> None:
    refused = await someone.mimo("db", "vacuum")

    assert refused.code == 1
    assert "is in use by process" in refused.err


async def test_a_vacuum_says_what_it_gained(alone: User) -> None:
    path = database(alone)
    run(path, "PRAGMA auto_vacuum=NONE", "VACUUM")
    row = json.dumps("x" * 4_000_000)
    run(path, f"INSERT INTO todo VALUES ('ses_1', 1, '{row}')", "DELETE FROM todo")

    sizes = (await alone.json("db", "vacuum"))["bytes"]

    assert sizes["before"] > 4_000_000 > 1_000_000 > sizes["after"] == path.stat().st_size
    assert (await alone.mimo("db", "check")).code == 0


FAULTS = {
    "turns without a session: ses_1 msg_1": (
        "INSERT INTO turn VALUES ('ses_1', 'msg_1', 1, 'prompt', x'', x'', 1, 2, '{}', 1)",
    ),
    "messages without a session: ses_1 msg_1": (
        "INSERT INTO message VALUES ('ses_1', 'msg_1', 1, 1, 1, 'user', 1, '{}')",
    ),
    "parts without a message: msg_1 prt_1": ("INSERT INTO part VALUES ('ses_1', 'msg_1', 'prt_1', 1, '{}')",),
    "asks that wait in a session without an unfinished turn: que_1": (
        "INSERT INTO ask VALUES ('que_1', 'question', 'ses_0', '/', 1, '{}', NULL, NULL, 1)",
    ),
    "asks that wait for a call that is not there: que_1": (
        "INSERT INTO turn VALUES ('ses_0', 'msg_1', 1, 'prompt', x'', x'', 1, NULL, NULL, 2)",
        "INSERT INTO ask VALUES ('que_1', 'question', 'ses_0', '/', 1, "
        """'{"tool": {"messageID": "msg_9", "callID": "c"}}', NULL, NULL, 1)""",
    ),
    "turns with an end and no answer, or the reverse: msg_1": (
        "INSERT INTO turn VALUES ('ses_0', 'msg_1', 1, 'prompt', x'', x'', 1, 2, NULL, 1)",
    ),
    "rows of todo that are no JSON: ses_0": ("INSERT INTO todo VALUES ('ses_0', 1, '{')",),
    "numbers of writes that were given out twice: 3 (todo, removal)": (
        "INSERT INTO todo VALUES ('ses_0', 3, '[]')",
        "INSERT INTO removal VALUES (3, 'ses_0', 'msg_1', NULL, NULL)",
    ),
    "the counter of writes is at 10, and there is a write 11": ("INSERT INTO todo VALUES ('ses_0', 11, '[]')",),
}
"""What is to be said, and what makes it so."""


@pytest.mark.parametrize("named", FAULTS)
def test_each_fault_is_named(tmp_path: Path, named: str) -> None:
    from mimocode.store.check import checked

    path = tmp_path / "mimocode.db"
    migrations.upgrade(path)
    run(path, "UPDATE counter SET seq = 10, ceiling = 10")
    run(path, "INSERT INTO session VALUES ('ses_0', 'p', '/', '', NULL, '', 1, NULL, 5, '{}')")
    clean = checked(path)
    run(path, *FAULTS[named])

    assert list(clean.faults) == []
    assert named in checked(path).faults


async def test_a_fault_makes_the_check_fail_in_words_and_a_backup_says_that_it_has_it_too(
    alone: User, tmp_path: Path
) -> None:
    run(database(alone), "INSERT INTO part VALUES ('ses_1', 'msg_1', 'prt_1', 0, '{}')")

    checked = await alone.mimo("db", "check")
    backed_up = await alone.mimo("db", "backup", str(tmp_path / "copy.db"))

    assert (checked.code, backed_up.code) == (1, 1)
    assert "  parts without a message: msg_1 prt_1\n" in checked.out
    assert "has the faults of the original" in backed_up.out
    assert (tmp_path / "copy.db").exists()


async def test_a_damaged_file_is_named_with_what_to_do_and_left_as_it_is(alone: User) -> None:
    path = database(alone)
    run(path, "UPDATE counter SET ceiling = seq + 1")
    run(path, "PRAGMA journal_mode=DELETE")
    with closing(sqlite3.connect(path)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'message'").fetchall()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"nonsense" * 512)
    before = path.read_bytes()

    served = await alone.mimo("serve", "--port", "0")
    checked = await alone.mimo("db", "check")
    backed_up = await alone.mimo("db", "backup", str(alone.root / "copy.db"))

    assert (served.code, checked.code, backed_up.code) == (1, 1, 1)
    assert not (alone.root / "copy.db").exists()
    assert "Traceback" not in served.err + checked.err
    [line] = [line for line in served.err.splitlines() if line.startswith("mimo: ")]
    assert f"{path} is damaged" in line
    assert "mimo db check" in line
    assert "backup" in line
    assert "its pages: " in checked.out
    assert path.read_bytes() == before


async def test_deleting_old_sessions_says_how_many_leaves_busy_ones_and_the_file_becomes_smaller(
    someone: User,
) -> None:
    path, script = database(someone), someone.script(f"text: {'x' * 2_000_000}")
    talked = [result_of((await someone.mimo("run", "--format", "json", "-m", script, "go")).out)["sessionID"]]
    asked = await someone.mimo("run", "--format", "json", "-m", someone.script(ASKING, "ask"), "go")
    waiting = result_of(asked.out)["sessionID"]
    async with someone.client() as mimo:
        talked.append((await mimo.create_session(parent_id=talked[0])).id)
        kept = (await mimo.create_session(title="kept")).id
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    full = path.stat().st_size
    archived = await someone.json("session", "archive", talked[0], waiting)
    async with someone.client() as mimo:
        # Old is what did not change: nothing has in the last 0 minutes but what changes this very millisecond.
        while (await mimo.session(waiting)).time.updated >= ids.now_ms():
            await anyio.lowlevel.checkpoint()

    unsure = await someone.mimo("session", "delete", "--older-than", "0m", "--archived")
    none = await someone.json("session", "delete", "--older-than", "1h", "--yes")
    deleted = await someone.json("session", "delete", "--older-than", "0m", "--archived", "--yes")

    assert archived == {"archived": [talked[0], waiting]}
    assert (unsure.code, none) == (2, {"deleted": [], "busy": []})
    assert "2 sessions would be deleted" in unsure.err
    assert deleted == {"deleted": talked, "busy": [waiting]}
    assert {one["id"] for one in await someone.json("session", "list")} == {waiting, kept}
    with anyio.fail_after(30):
        while path.stat().st_size > full - 1_000_000:  # noqa: ASYNC110 - another process makes it smaller
            await anyio.sleep(0.02)


async def test_a_session_is_exported_to_a_file_whole_and_only_once(someone: User, tmp_path: Path) -> None:
    ran = await someone.mimo("run", "--format", "json", "-m", someone.script("text: Done."), "go")
    session, file = result_of(ran.out)["sessionID"], tmp_path / "session.json"

    written = await someone.mimo("session", "export", session, "--out", str(file))
    again = await someone.mimo("session", "export", session, "--out", str(file))
    printed = await someone.mimo("session", "export", session)

    assert (written.code, again.code) == (0, 2)
    assert json.loads(printed.out) == json.loads(file.read_text())
    assert [message["info"]["role"] for message in json.loads(file.read_text())["messages"]] == ["user", "assistant"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
