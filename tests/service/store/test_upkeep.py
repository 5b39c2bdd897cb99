"""Where a copy of the database may be put, and where not."""

from pathlib import Path

import pytest

from mimocode.errors import Invalid, NotFound, Unavailable
from mimocode.store.upkeep import back_up


def test_a_file_that_is_there_is_replaced_only_where_that_is_said(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "there.db"
    target.write_text("precious")

    with pytest.raises(Invalid, match=r"there\.db is there already.*--force"):
        back_up(path, target)
    kept = target.read_text()
    back_up(path, target, replace=True)

    assert kept == "precious"
    assert target.read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize("suffix", ["", "-wal", ".lock"])
def test_the_database_is_no_place_for_its_own_copy(path: Path, suffix: str) -> None:
    before = path.read_bytes()

    with pytest.raises(Invalid, match="belongs to it"):
        back_up(path, path.with_name(f"{path.name}{suffix}"), replace=True)

    assert path.read_bytes() == before


def test_a_link_to_the_database_is_the_database(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.hardlink_to(path)

    with pytest.raises(Invalid, match="is the database itself"):
        back_up(path, link, replace=True)


def test_a_copy_in_a_directory_that_is_not_there_is_refused_in_words(path: Path, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"nowhere/copy\.db cannot be written: No such file or directory"):
        back_up(path, tmp_path / "nowhere" / "copy.db")


def test_there_is_no_copy_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no database at .*absent\.db"):
        back_up(tmp_path / "absent.db", tmp_path / "copy.db")

    assert list(tmp_path.iterdir()) == []
