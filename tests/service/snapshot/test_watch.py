"""A watch vouches that nothing has changed: that costs no process, and hides no change. With git and programs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from mimocode.errors import Unavailable
from mimocode.snapshot import beyond
from mimocode.snapshot.share import Share
from mimocode.snapshot.stores import Stores
from support.repositories import git, repository, written
from support.watching import World, elsewhere, needs_inotify, queues, watching

pytestmark = needs_inotify

WRITER = "import os, sys; os.write(os.open('a', os.O_WRONLY), b'9'); print('written', flush=True); sys.stdin.read()"
MAPPED = "import mmap; f = open('a', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[0] = 57; m.close()"
CHANGES = {
    "written in place": "printf 9 | dd of=a conv=notrunc status=none",
    "appended": "echo more >> a",
    "cut off": ": > a",
    "replaced by another": "echo new > ../new; mv ../new a",
    "edited by sed": "sed -i s/one/two/ a",
    "written through mapped memory that is closed": f'{sys.executable} -c "{MAPPED}"',
    "made executable": "chmod +x a",
    "removed": "rm sub/c",
    "moved out": "mv sub/c ..",
    "moved in": "mv ../outside/file in",
    "renamed": "mv a z",
    "a new file": "echo x > new",
    "an empty new file": ": > new",
    "a new link to a file": "ln sub/c new",
    "a new symlink": "ln -s sub new",
    "a symlink that leads elsewhere": "ln -sfn sub link",
    "a new file in an empty folder": "echo x > empty/new",
    "a new file where only ignored ones were": "echo x > logs/new",
    "a new file in a folder that an exclude left whole": "echo x > logs/deep/new",
    "a new folder": "mkdir n; echo x > n/f",
    "new folders, deep": "mkdir -p n/e/w; echo x > n/e/w/f",
    "a folder renamed": "mv sub bus",
    "a folder moved in": "mv ../outside sub/in",
    "a folder removed and made again": "rm -r sub; mkdir -p sub/deep; echo new > sub/deep/b",
    "a folder in a file's place": "rm a; mkdir a; echo x > a/x",
    "a file in a folder's place": "rm -r sub; echo x > sub",
    "a file of a state in an ignored folder": "echo x >> ignored/kept",
    "a folder that is ignored no more": ": > .gitignore",
    "a folder that is ignored no more, by a file below": "echo '!deep/' > logs/.gitignore; echo x > logs/deep/y",
    "what is excluded in the repository": ": > .git/info/exclude",
    "what is excluded everywhere": ': > "$HOME/.config/git/ignore"',
    "where it says what is excluded everywhere": 'git config --global core.excludesFile "$HOME/none"',
    "another branch": "git checkout -q other",
    "work put away": "git stash -q",
    "an archive unpacked": "tar -xf ../some.tar",
    "a folder copied": "cp -r sub copy",
    "a clock put back": "echo 0ne > ../new; touch -r a ../new; cat ../new > a; touch -r ../new a",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's configuration of git, but a list of what is ignored everywhere."""
    home = tmp_path / "home"
    written(home, {".config/git/ignore": "mine\n"})
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "tester")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tester@example.com")
    return home


@pytest.fixture(scope="session")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project: one of each kind, tracked, new, ignored in each way, empty. And what is around it."""
    folder = tmp_path_factory.mktemp("pattern")
    there = repository(
        folder / "project", {"a": "one\n", "sub/c": "1\n", "sub/deep/b": "1\n", ".gitignore": "ignored/\n*.log\n"}
    )
    git(there, "checkout", "-q", "-b", "other")
    written(there, {"a": "another\n", "branch/file": "1\n"})
    git(there, "add", "-A")
    git(there, "commit", "-q", "-m", "other")
    git(there, "checkout", "-q", "-")
    written(
        there,
        {
            "ignored/kept": "1\n",
            "ignored/deep/not": "1\n",
            "logs/x.log": "1\n",
            "logs/deep/y.log": "1\n",
            "mine": "1\n",
            "theirs": "1\n",
            "sub/c": "changed\n",
        },
    )
    git(there, "add", "-f", "ignored/kept")
    (there / ".git/info/exclude").write_text("theirs\n")
    (there / "empty").mkdir()
    (there / "link").symlink_to("a")
    written(folder / "outside", {"file": "1\n"})
    shutil.make_archive(str(folder / "some"), "tar", folder / "outside")
    return folder


@pytest.fixture
def project(tmp_path: Path, pattern: Path) -> Path:
    shutil.copytree(pattern, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path / "project"


async def test_a_state_starts_no_process_while_nothing_changes(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(project) as there:
        before = await there.states.take()
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))

        after = await there.states.take()
        with pytest.raises(Unavailable, match="git cannot be started"):
            await there.states.take(whole=True)

    assert before == after


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_in_the_next_state(project: Path, change: str) -> None:
    async with watching(project) as there:
        before, same = await there.both()
        vouched = there.watch.quiet()
        elsewhere(project, change)

        after, seen = await there.both()

    assert vouched
    assert before == same
    assert before != after
    assert seen == after


@pytest.mark.parametrize("change", ["echo x > n/e/w/g", "rm -r n/e", "chmod +x n/e/w/f"])
async def test_a_change_in_a_new_folder_is_in_the_state_after_the_next(project: Path, change: str) -> None:
    async with watching(project) as there:
        elsewhere(project, "mkdir -p n/e/w; echo x > n/e/w/f")
        before = await there.states.take()
        await there.make()
        vouched = there.watch.quiet()
        elsewhere(project, change)

        after, seen = await there.both()

    assert vouched
    assert before != after
    assert seen == after


async def test_a_change_in_a_folder_that_is_ignored_no_more_is_in_the_state_after_the_next(project: Path) -> None:
    elsewhere(project, "mkdir hollow; echo hollow/ >> .gitignore")
    async with watching(project) as there:
        elsewhere(project, "sed -i /hollow/d .gitignore")
        before = await there.states.take()
        elsewhere(project, "echo x > hollow/new")

        after, seen = await there.both()

    assert before != after
    assert seen == after


async def test_what_a_program_writes_into_a_file_that_it_keeps_open_is_in_the_next_state(project: Path) -> None:
    async with watching(project) as there:
        before = await there.states.take()
        program = subprocess.Popen(
            [sys.executable, "-c", WRITER], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            assert program.stdout is not None
            said = program.stdout.readline()

            after, seen = await there.both()
        finally:
            program.communicate(timeout=20)

    assert said == b"written\n"
    assert before != after
    assert seen == after


async def test_a_hard_link_from_elsewhere_is_believed_for_a_minute_and_not_at_undo(
    project: Path, tmp_path: Path
) -> None:
    os.link(project / "a", tmp_path / "another name")
    async with watching(project) as there:
        before = await there.states.take()
        elsewhere(tmp_path, "echo x >> 'another name'")

        there.world.now_s += 59
        believed = await there.states.take()
        there.world.now_s += 2
        after, seen = await there.both()
        elsewhere(tmp_path, "echo y >> 'another name'")
        still = await there.states.take()
        undone = await there.states.take(whole=True)

    assert before == believed
    assert before != after
    assert seen == after
    assert still == after
    assert undone != after


async def test_more_than_the_queue_holds_is_a_reason_to_look(project: Path) -> None:
    most = int((Path("/proc/sys/fs/inotify") / "max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"this machine's queue holds {most} events")
    async with watching(project) as there:
        before = await there.states.take()
        # Each comes to three events, and none is like the one before it.
        for number in range(most // 3 + 100):
            (project / f"many{number % 200}").touch()
            with (project / f"many{number % 200}").open("a"):
                pass
        elsewhere(project, "rm many*; echo last >> a")

        after, seen = await there.both()

        assert not there.watch.is_whole
        assert before != after
        assert seen == after


async def test_what_changes_during_a_look_counts_against_it(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.environ["PATH"]
    async with watching(project) as there:
        elsewhere(project, "echo x > new")
        monkeypatch.setenv("PATH", f"{_git_then(tmp_path, '--modified', 'echo late > a')}:{path}")
        before = await there.states.take()
        monkeypatch.setenv("PATH", path)

        after, seen = await there.both()

    assert (project / "a").read_text() == "late\n"
    assert before != after
    assert seen == after


async def test_rules_that_change_while_the_watch_is_made_are_seen(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.environ["PATH"]
    git(project, "rm", "-q", "--cached", "ignored/kept")
    async with watching(project, made=False) as there:
        await there.states.take()
        monkeypatch.setenv("PATH", f"{_git_then(tmp_path, '--ignored', ': > .gitignore')}:{path}")
        await there.watch.build()
        monkeypatch.setenv("PATH", path)
        whole = there.watch.is_whole
        before = await there.states.take()
        vouched = there.watch.quiet()
        elsewhere(project, "echo x > ignored/new")

        after, seen = await there.both()

    assert whole
    assert vouched
    assert before != after
    assert seen == after


def _git_then(folder: Path, word: str, command: str) -> Path:
    """A folder with a `git` that does something more after it was told this word."""
    script = folder / "bin" / "git"
    written(folder, {"bin/git": f'#!/bin/sh\n{shutil.which("git")} "$@"\ncode=$?\n'})
    with script.open("a") as file:
        file.write(f'case "$*" in *{word}*) {command};; esac\nexit $code\n')
    script.chmod(0o755)
    return script.parent


async def test_a_file_that_undo_puts_into_an_ignored_folder_is_followed(project: Path) -> None:
    async with watching(project) as there:
        first = await there.states.take()
        elsewhere(project, "rm ignored/kept")
        there.watch.close()
        await there.make()
        await there.states.put_back({project / "ignored/kept": first})
        before = await there.states.take()
        elsewhere(project, "echo x >> ignored/kept")

        after = await there.states.take()

    assert before == first
    assert before != after


async def test_a_worktree_that_is_moved_away_is_another_one(project: Path) -> None:
    async with watching(project) as there:
        before = await there.states.take()
        elsewhere(project.parent, "cp -r project copy; mv project away; mv copy project; echo x > project/new")

        after, seen = await there.both()

    assert before != after
    assert seen == after


@pytest.mark.parametrize("link", [False, True], ids=["the folder itself", "a link to it"])
async def test_another_folder_in_a_parents_place_is_noticed(project: Path, tmp_path: Path, link: bool) -> None:
    (tmp_path / "first").mkdir()
    project.rename(tmp_path / "first/project")
    elsewhere(tmp_path, "cp -a first second; echo x > second/project/new")
    parent = tmp_path / ("link" if link else "first")
    if link:
        parent.symlink_to("first")
    async with watching(parent / "project") as there:
        before = await there.states.take()
        elsewhere(tmp_path, "ln -sfn second link" if link else "mv first third; mv second first")

        after, seen = await there.both()

    assert before != after
    assert seen == after


async def test_what_happens_in_ignored_and_private_folders_is_no_reason_to_look(project: Path) -> None:
    private = project / "data"
    written(private, {"deep/database": "1"})
    git(project, "rm", "-q", "--cached", "ignored/kept")
    async with watching(project, private=[private]) as there:
        elsewhere(project, "echo x > ignored/new; mkdir ignored/folder; echo x > data/deep/database; mkdir data/more")

        vouched = there.watch.quiet()

    assert vouched


@pytest.mark.parametrize(
    ("kind", "point"), [(b"nfs4", b""), (b"9p", b""), (b"fuse.sshfs", b"/sub"), (b"vfat", b"/sub/deep")]
)
async def test_file_systems_that_others_change_too_are_looked_at(project: Path, kind: bytes, point: bytes) -> None:
    at = os.fsencode(project.resolve()) + point
    table = b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / %s rw shared:1 - %s b rw\n" % (
        at.replace(b" ", rb"\040"),
        kind,
    )
    async with watching(project, World(mounted=table)) as there:
        refused = not there.watch.is_whole
        before = await there.states.take()
        elsewhere(project, "echo x > new")

        after, seen = await there.both()

    assert refused
    assert before != after
    assert seen == after


async def test_what_is_mounted_later_is_noticed(project: Path) -> None:
    async with watching(project) as there:
        vouched = there.watch.quiet()
        at = os.fsencode(project.resolve() / "sub")
        there.world.mounted = beyond.read_mounts() + b"9 1 0:99 / %s rw - tmpfs none rw\n" % at

        noticed = not there.watch.quiet()

    assert vouched
    assert noticed


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("git init -q nested", "nested is a repository of its own"),
        ("ln -s ../a sub/.gitignore", "sub/.gitignore is a link"),
        ("mkdir many; cd many; mkdir $(seq 40)", "it has more than 25 folders"),
    ],
)
async def test_a_worktree_that_cannot_be_watched_is_looked_at_and_that_is_said_once(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, reason: str
) -> None:
    elsewhere(project, what)
    written(tmp_path, {"limits/max_user_watches": "100\n", "limits/max_user_instances": "4\n"})
    caplog.set_level("INFO")
    async with watching(project, World(limits=tmp_path / "limits")) as there:
        before = await there.states.take()
        there.world.now_s += 3_601
        await there.make()
        elsewhere(project, "echo x > new")

        after, seen = await there.both()
        told = [record.__dict__["reason"] for record in caplog.records if "every file" in record.message]

        assert not there.watch.is_whole
        assert queues() == 0
        assert len(told) == 1
        assert told[0].endswith(reason)
        assert before != after
        assert seen == after


async def test_all_watches_together_have_a_quarter_of_what_the_user_may_have(project: Path, tmp_path: Path) -> None:
    written(tmp_path, {"limits/max_user_watches": "100\n", "limits/max_user_instances": "4\n"})
    share = Share(tmp_path / "limits")
    stores = Stores(tmp_path / "stores", share=share)
    one, two = (stores.of(place).states for place in (project, repository(tmp_path / "second", {"a": "1\n"})))
    open_at_once, free_again = 0, 0
    async with anyio.create_task_group() as group:
        group.start_soon(stores.watch)
        with anyio.fail_after(20):
            await one.take()
            while share.left() > 0:
                await anyio.lowlevel.checkpoint()
            await two.take()
            open_at_once = queues()
            stores.close()
            free_again = share.left()
        group.cancel_scope.cancel()

    assert open_at_once == 1
    assert free_again == 25
    assert queues() == 0


async def test_where_there_is_no_inotify_every_file_is_looked_at(project: Path, tmp_path: Path) -> None:
    async with watching(project, World(limits=tmp_path / "none")) as there:
        before = await there.states.take()
        elsewhere(project, "echo x > new")

        after = await there.states.take()

        assert not there.watch.is_whole
        assert before != after


async def test_no_queue_is_inherited_or_left_open(project: Path) -> None:
    assert queues() == 0
    async with watching(project) as there:
        here = queues()
        told = subprocess.run(
            ["/bin/ls", "-l", "/proc/self/fd"], capture_output=True, check=True, text=True, close_fds=False
        )
        for _ in range(3):
            elsewhere(project, "mkdir come; rmdir come")
            await there.states.take()
            await there.watch.build()
        then = queues()
        there.world.now_s += 7_200
        await there.states.rest()
        rested = queues()

    assert here == then == 1
    assert "inotify" not in told.stdout
    assert rested == 0
    assert queues() == 0


async def test_a_watch_that_never_vouches_is_made_more_and_more_seldom(project: Path) -> None:
    async with watching(project) as there:
        there.world.wanted.clear()
        made = list[int]()
        for number in range(40):
            elsewhere(project, "mkdir come; rmdir come")
            await there.states.take()
            if there.world.wanted:
                there.world.wanted.clear()
                made.append(number)
                await there.watch.build()

    assert made == [0, 2, 6, 14, 30]
