"""Which commands a shell command consists of, and what they touch."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.tools.shell import Verdict, judge
from mimocode.turn.ports import Need

from .conftest import Bench

HERE = Path("/nowhere/project")


@pytest.mark.parametrize(
    ("command", "patterns", "always"),
    [
        ("ls -1", ["ls -1"], ["ls *"]),
        ("git checkout main", ["git checkout main"], ["git checkout *"]),
        ("npm run dev -- --port 1", ["npm run dev -- --port 1"], ["npm run dev *"]),
        ("docker compose up -d", ["docker compose up -d"], ["docker compose up *"]),
        ("a && b || c; d | e &", ["a", "b", "c", "d", "e"], ["a *", "b *", "c *", "d *", "e *"]),
        ("(cd x && make)", ["cd x", "make"], ["cd *", "make *"]),
        ("echo $(whoami) `id`", ["echo $(whoami) `id`", "whoami", "id"], ["echo *", "whoami *", "id *"]),
        ("cat <(sort x)", ["cat <(sort x)", "sort x"], ["cat *", "sort *"]),
        ("for f in a b; do rm $f; done", ["rm $f"], ["rm *"]),
        ("if a; then b; else c; fi", ["a", "b", "c"], ["a *", "b *", "c *"]),
        ("f() { rm x; }; f", ["rm x", "f"], ["rm *", "f *"]),
        ("echo hi > out.txt", ["echo hi > out.txt"], ["echo *"]),
        ("(a; b) > out", ["(a; b) > out", "a", "b"], ["(a; b) > out", "a *", "b *"]),
        ("make 2>&1 | tail -5 2>/dev/null", ["make 2>&1", "tail -5"], ["make *", "tail *"]),
        ("cat <<EOF\n$(rm x)\nEOF", ["cat <<EOF\n$(rm x)\nEOF", "rm x"], ["cat *", "rm *"]),
        ('bash -c "rm x && ls"', ['bash -c "rm x && ls"', "rm x", "ls"], ['bash -c "rm x && ls"', "rm *", "ls *"]),
        ("sh -lc 'sh -c \"rm x\"'", ["sh -lc 'sh -c \"rm x\"'", 'sh -c "rm x"', "rm x"], None),
        ("bash <<< 'rm x'", ["bash <<< 'rm x'", "rm x"], ["bash <<< 'rm x'", "rm *"]),
        ("bash -s <<< $'rm x'", ["bash -s <<< $'rm x'", "rm x"], None),
        (". /dev/stdin <<< 'rm x'", [". /dev/stdin <<< 'rm x'", "rm x"], None),
        ("$'rm' x", ["$'rm' x", "rm x"], ["rm *"]),
        ("bash <<'E'\nrm x\nE", ["bash <<'E'\nrm x\nE", "rm x"], None),
        ("eval 'rm x' y", ["eval 'rm x' y", "rm x y"], ["eval 'rm x' y", "rm *"]),
        ("sudo -u root rm x", ["sudo -u root rm x", "rm x"], ["sudo -u root rm x", "rm *"]),
        ("timeout 5 env A=1 git push", ["timeout 5 env A=1 git push", "env A=1 git push", "git push"], None),
        ("find . -exec rm {} +", ["find . -exec rm {} +", "rm {}"], ["find . -exec rm {} +", "rm *"]),
        (r"\rm x", [r"\rm x", "rm x"], ["rm *"]),
        ("/bin/rm x", ["/bin/rm x", "rm x"], ["/bin/rm *"]),
        ("A=1 git push", ["A=1 git push"], ["A=1 git push"]),
        ("PATH=/evil; git status", ["PATH=/evil", "git status"], ["PATH=/evil", "git status *"]),
        ("git -C x push", ["git -C x push"], ["git -C x push"]),
        ("$CMD x", ["$CMD x"], ["$CMD x"]),
        ("[[ -f x ]]", ["[[ -f x ]]"], ["[[ -f x ]]"]),
        ("rm x\n)(", ["rm x\n)(", "rm x"], ["rm x\n)(", "rm *"]),
    ],
)
def test_every_command_is_judged_by_itself(command: str, patterns: list[str], always: list[str] | None) -> None:
    verdict = judge(command, HERE)

    assert verdict.patterns == patterns
    assert always is None or verdict.always == always


@pytest.mark.parametrize(
    ("command", "touched"),
    [
        ("cat a ../b /etc/hosts -n", ["/nowhere/project/a", "/nowhere/b", "/etc/hosts"]),
        ("cd", ["HOME"]),
        ('rm -rf ~/x $HOME/y "${HOME}/z w"', ["HOME/x", "HOME/y", "HOME/z w"]),
        ("rm /etc/*.conf /etc/$X/y '/lit*/x'", ["/etc", "/lit*/x", "/etc/y"]),
        ("rm $X *.txt {a,b}", []),
        ("cp 'a b' x\\ y", ["/nowhere/project/a b", "/nowhere/project/x y"]),
        ("chmod 755 /etc/x", ["/etc/x"]),
        ("echo x > /etc/x 2>>log <in", ["/etc/x", "/nowhere/project/log", "/nowhere/project/in"]),
        ("{ a; } &> /etc/x", ["/etc/x"]),
        ("cat <<E > /etc/x\nhi\nE", ["/etc/x"]),
        ("a > /dev/null 2>&1", []),
        ("bash -c 'rm /etc/x'", ["/etc/x"]),
        ("sudo rm /etc/x", ["/etc/x"]),
        ("find /etc -name x -exec cat /root/y ';'", ["/etc", "/root/y"]),
        ("python /etc/x.py", ["/etc/x.py"]),
        ("bash <<< 'rm /etc/x'", ["/etc/x"]),
    ],
)
def test_files_that_commands_name_are_found(command: str, touched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nowhere/home")

    verdict = judge(command, HERE)

    expected = [path.replace("HOME", "/nowhere/home") for path in touched]
    assert [str(path) for path in verdict.touched] == expected


def test_shells_within_shells_are_looked_into_only_so_far() -> None:
    command = "rm x"
    for _ in range(8):
        command = "eval " + command

    verdict = judge(command, HERE)

    assert len(verdict.patterns) == 7


@given(st.text(alphabet="ab $(){}<>|&;'\"`\\\n-*?=/~#!", max_size=40))
def test_any_text_can_be_judged(command: str) -> None:
    verdict = judge(command, HERE)

    assert isinstance(verdict, Verdict)
    assert verdict.patterns
    assert verdict.always


async def test_a_command_says_what_it_needs(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (bench.project / "link").symlink_to(outside)

    needs = await bench.needs("bash", command=f"touch made.txt link/x && cat {outside}/y {outside}")

    glob = f"{outside.resolve()}/*"
    leave = {"filepath": f"{outside.resolve()}/x", "parentDir": str(outside.resolve())}
    command = f"touch made.txt link/x && cat {outside}/y {outside}"
    assert needs == [
        Need("external_directory", [glob], [glob], leave),
        Need(
            "bash",
            ["touch made.txt link/x", f"cat {outside}/y {outside}"],
            ["touch *", "cat *"],
            {"command": command},
        ),
    ]


async def test_a_command_inside_the_project_needs_leave_for_itself_only(bench: Bench) -> None:
    assert await bench.needs("bash", command="touch made.txt") == [
        Need("bash", ["touch made.txt"], ["touch *"], {"command": "touch made.txt"})
    ]


async def test_any_word_that_leads_outside_wants_leave_and_one_within_the_worktree_does_not(bench: Bench) -> None:
    (bench.project / "sub").mkdir()
    call = bench.call(bench.project / "sub", bench.project)

    needs = await bench.tools["bash"].ready({"command": "tool -o../../x --log=../y ../run.sh ../../run.sh"}).needs(call)

    glob = f"{bench.project.parent.resolve()}/*"
    assert needs[0] == Need(
        "external_directory",
        [glob],
        [glob],
        {"filepath": glob.replace("*", "x"), "parentDir": glob.removesuffix("/*")},
    )
    assert [need.permission for need in needs] == ["external_directory", "bash"]


async def test_working_elsewhere_wants_leave(bench: Bench, tmp_path: Path) -> None:
    needs = await bench.needs("bash", command="ls", workdir="..")

    assert needs[0].patterns == [f"{tmp_path.resolve()}/*"]


def test_commands_within_commands_without_end_are_judged_as_a_whole() -> None:
    verdict = judge("sudo " * 2_000 + "rm -rf /", Path("/w"))

    assert verdict.patterns[0] == "sudo " * 2_000 + "rm -rf /"
    assert len(verdict.patterns) < 50
