"""What the user wrote for agents: which files are read, in which order, how much of them."""

from collections.abc import Sequence
from pathlib import Path

from mimocode.config import instructions, settings
from mimocode.turn.prompt import Instruction

from .conftest import Desk


def gather(desk: Desk, below: str = ".", patterns: Sequence[str] = ()) -> instructions.Gathered:
    return instructions.read(desk.project / below, settings.read(desk.env), patterns)


def sources(gathered: instructions.Gathered) -> list[str]:
    return [each.source for each in gathered.found]


def test_instructions_go_from_the_general_to_the_particular(desk: Desk) -> None:
    general = desk.write("~/.config/mimocode/AGENTS.md", "mine\n")
    root = desk.write("AGENTS.md", "project")
    desk.write("sub/AGENTS.md", " \n")
    deep = desk.write("sub/deep/AGENTS.md", "deep")
    extra = desk.write("docs/style.md", "style")
    (desk.project.parent / "AGENTS.md").write_text("somebody else's")

    gathered = gather(desk, "sub/deep", ["docs/*.md"])

    expected = [
        Instruction(str(general), "mine"),
        Instruction(str(root), "project"),
        Instruction(str(deep), "deep"),
        Instruction(str(extra), "style"),
    ]
    assert (gathered.found, gathered.warnings) == (expected, [])


def test_claude_md_is_read_only_where_there_is_no_agents_md(desk: Desk) -> None:
    root = desk.write("AGENTS.md", "ours")
    desk.write("CLAUDE.md", "theirs")
    below = desk.write("sub/CLAUDE.md", "theirs below")
    own = desk.write("~/.claude/CLAUDE.md", "mine")

    assert [str(own), str(root), str(below)] == sources(gather(desk, "sub"))


def test_the_peers_global_instructions_serve_until_there_are_ours(desk: Desk) -> None:
    theirs = desk.write("~/.config/opencode/AGENTS.md", "theirs")
    before = sources(gather(desk))
    ours = desk.write("~/.config/mimocode/AGENTS.md", "ours")

    assert ([str(theirs)], [str(ours)]) == (before, sources(gather(desk)))


def test_the_same_file_is_read_once_under_whatever_name(desk: Desk) -> None:
    root = desk.write("AGENTS.md", "once")
    (desk.project / "sub").mkdir()
    (desk.project / "sub" / "CLAUDE.md").symlink_to(root)

    assert [str(root)] == sources(gather(desk, "sub", ["AGENTS.md", "*.md", str(root)]))


def test_patterns_are_found_at_every_level_in_the_home_and_by_absolute_path(desk: Desk, tmp_path: Path) -> None:
    upper, lower = desk.write("rules/a.md", "a"), desk.write("sub/rules/a.md", "b")
    home = desk.write("~/notes/c.md", "c")
    absolute = tmp_path / "elsewhere.md"
    absolute.write_text("d")
    deep = desk.write("docs/x/y/z.txt", "e")

    gathered = gather(desk, "sub", ["rules/*.md", "~/notes/*.md", str(absolute), "docs/**/*.txt"])

    assert [str(path) for path in (upper, lower, home, absolute, deep)] == sources(gathered)


def test_what_cannot_be_read_is_said(desk: Desk) -> None:
    gathered = gather(desk, patterns=["gone/*.md", "https://me:pw@example.org/rules.md"])

    assert gathered.warnings == [
        "instructions: gone/*.md: no such file.",
        "instructions: https://example.org/rules.md: addresses are not fetched in this version; use a local file.",
    ]


def test_a_long_file_is_cut_and_both_the_model_and_the_user_are_told(desk: Desk) -> None:
    file = desk.write("AGENTS.md", "a" * (instructions.MOST_BYTES + 1))

    gathered = gather(desk)

    text = "a" * instructions.MOST_BYTES
    told = f"{text}\n\n[The rest of {file} is left out: it is too long. Read the file if you need it.]"
    said = f"{file}: only its first {instructions.MOST_BYTES} bytes are given to the model."
    assert (gathered.found, gathered.warnings) == ([Instruction(str(file), told)], [said])


def test_many_files_are_bounded_in_all(desk: Desk) -> None:
    for number in range(instructions.MOST_BYTES_ALL // instructions.MOST_BYTES + 1):
        desk.write(f"docs/{number}.md", "a" * instructions.MOST_BYTES)

    gathered = gather(desk, patterns=["docs/*.md"])

    assert sum(len(each.text) for each in gathered.found) == instructions.MOST_BYTES_ALL
    assert [
        f"{desk.project / 'docs/4.md'}: left out of the instructions: more than 100 files or 262144 bytes in all."
    ] == (gathered.warnings)


def test_a_text_that_is_not_utf8_is_still_given(desk: Desk) -> None:
    desk.write("AGENTS.md", "").write_bytes(b"caf\xe9")

    assert [each.text for each in gather(desk).found] == ["caf\ufffd"]


def test_instructions_are_current_until_one_changes_or_comes_to_be(desk: Desk) -> None:
    file = desk.write("AGENTS.md", "one")
    first = gather(desk, "sub")
    assert first.current()

    file.write_text("two!")
    second = gather(desk, "sub")
    desk.write("sub/CLAUDE.md", "new")
    third = gather(desk, "sub")
    file.unlink()

    assert [each.current() for each in (first, second, third, gather(desk, "sub"))] == [False, False, False, True]
