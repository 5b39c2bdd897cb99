"""Files of every kind that the database's name may lead to."""

import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from mimocode.errors import Unavailable
from mimocode.store import migrations
from mimocode.store.sqlite import SqliteFile


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def run(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_new_file_is_made_in_a_new_directory_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mimocode.db"

    migrations.upgrade(path)

    assert migrations.current(path) == migrations.HEAD
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "mimocode.db"
    path.touch()

    migrations.upgrade(path)

    assert migrations.current(path) == migrations.HEAD


def test_a_file_of_this_version_is_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()

    migrations.upgrade(path)

    assert path.read_bytes() == before


def test_a_file_of_another_program_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    run(path, "CREATE TABLE notes (id)", "INSERT INTO notes VALUES (1)")
    before = path.read_bytes()

    with pytest.raises(Unavailable, match=r"other\.db is a SQLite file of another program.*MIMOCODE_DB"):
        migrations.upgrade(path)

    assert path.read_bytes() == before


def test_a_file_of_another_program_with_migrations_of_its_own_is_no_newer_version_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    run(path, "CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('f00')")

    with pytest.raises(Unavailable, match="another program"):
        migrations.upgrade(path)


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    run(path, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(Unavailable, match=r"newer version of mimocode \(schema 9999.*Upgrade mimocode"):
        migrations.upgrade(path)


@pytest.mark.parametrize("damage", [b"this is no database, however long it goes on" * 50, b"SQLite format 3\0" * 100])
def test_a_damaged_file_is_named_and_not_touched(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "damaged.db"
    path.write_bytes(damage)

    with pytest.raises(Unavailable, match=r"damaged\.db cannot be read: file is not a database.*backup"):
        migrations.upgrade(path)

    assert path.read_bytes() == damage


def test_a_file_that_was_cut_short_is_named_and_not_touched(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    before = path.read_bytes()

    with pytest.raises(Unavailable, match=r"mimocode\.db cannot be read: database disk image is malformed.*db check"):
        migrations.upgrade(path)

    assert path.read_bytes() == before


def test_a_damaged_file_of_an_older_schema_is_not_brought_forward(path: Path) -> None:
    run(path, "UPDATE alembic_version SET version_num = '0002'")
    with closing(sqlite3.connect(path)) as connection:
        [[root]] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'part'").fetchall()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"nonsense" * 512)
    before = path.read_bytes()

    with pytest.raises(Unavailable, match=r"mimocode\.db (is damaged|cannot be).*backup"):
        migrations.upgrade(path)

    assert path.read_bytes() == before


def test_a_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=str(tmp_path)):
        migrations.upgrade(tmp_path)


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")

    with pytest.raises(Unavailable, match=r"state/mimocode\.db .*MIMOCODE_DB"):
        migrations.upgrade(tmp_path / "state" / "mimocode.db")


async def test_a_file_that_loses_its_tables_is_refused_when_it_is_opened(path: Path) -> None:
    run(path, "DROP TABLE counter")

    with pytest.raises(Unavailable, match="cannot be opened"):
        async with SqliteFile(path):
            pass


def test_a_migration_that_fails_on_its_way_leaves_nothing_and_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mimocode.db"
    path.touch()
    steps = Path(shutil.copytree(Path(migrations.__file__).parent, tmp_path / "steps"))
    first = steps / "versions" / "0001_first.py"
    first.write_text(first.read_text() + "    op.execute('CREATE nonsense')\n")
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "__file__", str(steps / "__init__.py"))
        with pytest.raises(Unavailable, match="nonsense"):
            migrations.migrate(path)
    left = tables(path)

    migrations.migrate(path)

    assert left == set()
    assert migrations.current(path) == migrations.HEAD


def test_a_new_file_is_what_all_the_steps_make_of_nothing(tmp_path: Path) -> None:
    made, migrated = tmp_path / "made.db", tmp_path / "migrated.db"

    migrations.upgrade(made)
    migrations.migrate(migrated)

    # After a new step, schema.sql is to be this dump.
    assert dumped(made) == dumped(migrated)
    assert dumped(migrated) == (2, migrations.SCHEMA.read_text())


def dumped(path: Path) -> tuple[int, str]:
    """How the file gives pages back, and what is in it."""
    with closing(sqlite3.connect(path)) as connection:
        [vacuum] = connection.execute("PRAGMA auto_vacuum").fetchone()
        return vacuum, "".join(f"{line}\n" for line in [*connection.iterdump()][1:-1])


def test_a_new_file_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, broken = tmp_path / "mimocode.db", tmp_path / "schema.sql"
    broken.write_text(migrations.SCHEMA.read_text() + "CREATE nonsense;\n")
    with monkeypatch.context() as patched:
        patched.setattr(migrations, "SCHEMA", broken)
        with pytest.raises(Unavailable, match="nonsense"):
            migrations.upgrade(path)
    left = tables(path)

    migrations.upgrade(path)

    assert left == set()
    assert migrations.current(path) == migrations.HEAD


def test_a_new_file_needs_no_library_for_migrations(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from mimocode.store import migrations as m; m.upgrade(pathlib.Path(sys.argv[1]));"
        "print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "mimocode.db")],
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_processes_that_meet_a_new_file_at_once_all_find_it_ready(tmp_path: Path) -> None:
    path = tmp_path / "mimocode.db"
    code = "import sys, pathlib; from mimocode.store import migrations as m; m.upgrade(pathlib.Path(sys.argv[1]))"

    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]

    assert errors == ["", "", ""]
    assert migrations.current(path) == migrations.HEAD
