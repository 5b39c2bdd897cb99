"""Commands try to reach files and networks out of their sandbox, on a real one; what they are given and told."""

import os
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mimocode.sandbox.policy import Policy
from mimocode.sandbox.sandbox import told
from support.confined import CANARY, SECRETS, Place, only
from support.repositories import git, written

# ── files ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_project_and_the_temporary_folder_can_be_worked_in(at: Place) -> None:
    made = await at.run(
        "mkdir -p src && echo one > src/a && mv src/a src/b && ln -s b src/c && cat src/c; echo t > $TMPDIR/kept"
    )
    later = await at.run("cat $TMPDIR/kept; python3 -c 'import tempfile; print(tempfile.mkdtemp()[:4])'")

    assert (made.output, made.metadata["exit"], made.metadata["sandbox"]) == ("one\n", 0, at.kind)
    assert later.output.startswith("t\n")
    assert (at.project / "src/b").read_text() == "one\n"


@pytest.mark.parametrize(
    "command",
    [
        "echo x > ../home/.bashrc",
        "echo x > $HOME/notes.txt",
        ": > $HOME/notes.txt",
        "rm -f $HOME/notes.txt",
        "mv $HOME/notes.txt here.txt",
        "ln -s $HOME/notes.txt link && echo x > link",
        "ln $HOME/notes.txt hard && echo x > hard",
        "ln -s $HOME dir && echo x > dir/.bashrc",
        'python3 -c \'import os; os.truncate(os.environ["HOME"] + "/notes.txt", 0)\'',
        "cp /bin/true /usr/local/bin/mimo-was-here",
        "there=..; mkdir $there/beside",
        "echo x > /etc/mimo-was-here",
        "echo x > /proc/sys/kernel/hostname.mimo || echo x > /proc/sysrq-trigger",
        "mknod disk b 8 0",
        'there=/proc/sys/kernel/core_pattern; was=$(cat $there) && echo "$was" > $there',
        "there=/proc/sys/vm/swappiness; was=$(cat $there) && echo $was > $there",
        "umount /proc/sys && exit; mount -o remount,rw /proc/sys",
    ],
)
async def test_nothing_outside_can_be_written(at: Place, command: str) -> None:
    done = await at.run(f"exec 2>/dev/null; {command}")

    assert done.metadata["exit"] != 0
    assert (at.home / "notes.txt").read_text() == "of mine\n"
    assert not (at.home / ".bashrc").exists()
    assert not (at.root / "beside").exists()
    assert not Path("/etc/mimo-was-here").exists()
    assert not Path("/usr/local/bin/mimo-was-here").exists()


@pytest.mark.parametrize("secret", SECRETS)
async def test_secrets_of_the_home_cannot_be_read(at: Place, secret: str) -> None:
    done = await at.run(
        f"cat ~/{secret}; ln -s ~/{secret} link; cat link; cp ~/{secret} copy; cat copy; cat ~/notes.txt"
    )

    assert CANARY not in done.output
    assert "of mine" in done.output


async def test_the_servers_own_files_cannot_be_read_but_what_it_keeps_for_models_can(at: Place) -> None:
    own = at.root / "own"

    done = await at.run(f"cat {own}/password; cat {own}/cache/../password; cd {own} && cat ./password")
    kept = await at.run(f"cat {own}/spill/tool_1")

    assert CANARY not in done.output
    assert kept.output == CANARY


async def test_proc_leads_nowhere(at: Place) -> None:
    pid = os.getpid()
    path = at.home / SECRETS[0]

    done = await at.run(
        f"cat /proc/{pid}/environ /proc/{pid}/root{path} /proc/self/root{path} /proc/1/root{path}; "
        f"ls -l /proc/{pid}/fd; cat /proc/{pid}/fd/*; head -c 10 /proc/{pid}/mem; readlink /proc/{pid}/exe"
    )

    assert CANARY not in done.output
    assert os.environ["PATH"] not in done.output
    assert sys.executable not in done.output


OPENING = """
import os
for top in ("/proc", "/sys", "/dev"):
    for folder, folders, files in os.walk(top):
        if folder == "/proc":
            folders[:] = [name for name in folders if not name.isdigit() and name not in ("self", "thread-self")]
        for path in (os.path.join(folder, name) for name in files):
            try:
                os.close(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY))
                print(path)
            except OSError:
                pass
"""
HARMLESS = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/pts/ptmx", "/dev/tty"}


async def test_no_file_of_the_kernels_or_device_can_be_opened_to_be_written(at: Place) -> None:
    (at.project / "opening.py").write_text(OPENING)

    done = await at.run("python3 opening.py; echo over")

    *opened, over = done.output.splitlines()
    assert over == "over"
    assert [path for path in opened if path not in HARMLESS and not path.startswith("/proc/pressure/")] == []


async def test_what_other_programs_left_in_tmp_is_out_of_reach(at: Place, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.write_text(CANARY)

    (at.project / "where").write_text(str(foreign))  # a path in the command itself would be asked for, and let in

    done = await at.run("foreign=$(cat where); ls /tmp; cat $foreign; echo x > $foreign")

    assert foreign.read_text() == CANARY
    assert CANARY not in done.output
    assert str(tmp_path.parent) not in (await at.run("ls -R /tmp")).output


async def test_what_was_configured_is_opened_and_closed(at: Place) -> None:
    (at.home / "work").mkdir()
    (at.project / "vault").mkdir()
    (at.project / "vault/key").write_text(CANARY)
    policy = replace(at.policy, writable=(at.home / "work", at.home / "not there"), hidden=(at.project / "vault",))

    done = await at.under(policy).run("echo ok > ~/work/new; cat vault/key")

    assert (at.home / "work/new").read_text() == "ok\n"
    assert CANARY not in done.output


async def test_directories_that_the_user_let_it_into_can_be_written_but_none_that_holds_a_secret(at: Place) -> None:
    (at.home / "other").mkdir()

    await at.run(f"echo ok > {at.home}/other/file")  # `external_directory` was asked for, before it ran
    secret = await at.run("cat ~/.ssh/id_ed25519; echo x > ~/.bashrc")

    assert (at.home / "other/file").read_text() == "ok\n"
    assert CANARY not in secret.output
    assert not (at.home / ".bashrc").exists()


# ── git ──────────────────────────────────────────────────────────────────────────────────────────────────

COMMIT = "git -c user.name=a -c user.email=a@b commit -qam two"


def repository(directory: Path) -> None:
    written(directory, {"a.txt": "one\n"})
    git(directory, "init", "-q")
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "one")


async def test_commits_can_be_made_and_what_runs_as_the_user_later_cannot_be_changed(at: Place) -> None:
    repository(at.project)
    config = (at.project / ".git/config").read_text()

    done = await at.run(f"echo two > a.txt; {COMMIT} && git log --oneline | wc -l")
    assert done.output.strip() == "2"
    only(at, "bubblewrap", "cannot keep single files of a folder from being written, which is said at start")
    await at.run(
        "git config core.fsmonitor evil; echo evil >> .git/config; echo evil > .git/hooks/pre-commit; "
        "rm -rf .git/hooks; mv .git .was; mkdir .git; mv .git/hooks .git/h; ln -sf /tmp/evil .git/config"
    )

    assert (at.project / ".git/config").read_text() == config
    assert not (at.project / ".git/hooks/pre-commit").exists()
    assert not (at.project / ".was").exists()


async def test_commits_can_be_made_in_a_linked_worktree(at: Place) -> None:
    main = at.root / "main"
    repository(main)
    at.project.rmdir()
    git(main, "worktree", "add", "-q", "-b", "side", str(at.project))

    (at.project / "where").write_text(str(main))

    done = await at.run(f"echo two > a.txt; {COMMIT} && git log --oneline | wc -l; echo x > $(cat where)/a.txt")

    assert done.output.startswith("2\n")
    assert (main / "a.txt").read_text() == "one\n"


async def test_a_forged_link_to_a_repository_opens_nothing(at: Place) -> None:
    elsewhere = at.home / "elsewhere"
    (elsewhere / "worktrees/x").mkdir(parents=True)
    (at.project / ".git").write_text(f"gitdir: {elsewhere}/worktrees/x\n")

    await at.run('python3 -c \'import os; open(os.path.join(os.environ["HOME"], "elsewhere/evil"), "w")\'')

    assert not (elsewhere / "evil").exists()


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def listening(
    family: int, address: object, kind: int = socket.SOCK_STREAM
) -> Generator[tuple[socket.socket, list[bytes]]]:
    """Somebody outside who takes what comes, until the end of the block."""
    heard: list[bytes] = []
    with socket.socket(family, kind) as server:
        server.bind(address)  # pyright: ignore[reportArgumentType]
        server.settimeout(0.1)
        over = threading.Event()
        if kind == socket.SOCK_STREAM:
            server.listen()

        def take() -> None:
            while not over.is_set():
                try:
                    if kind == socket.SOCK_STREAM:
                        server.accept()[0].close()
                        heard.append(b"")
                    else:
                        heard.append(server.recv(100))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield server, heard
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
async def test_there_is_no_network_unless_it_was_opened(at: Place, kind: str) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0), getattr(socket, kind)) as (server, heard):
        (at.project / "connect.py").write_text(
            f"import socket; s = socket.socket(socket.AF_INET, socket.{kind}); "
            f"s.connect({server.getsockname()!r}); s.send(b'x')"
        )

        await at.run("python3 connect.py")
        before = list(heard)
        opened = await at.under(replace(at.policy, network=True)).run("python3 connect.py")

    assert before == []
    assert opened.metadata["exit"] == 0
    assert heard != []


@pytest.mark.parametrize("where", ["in the machine's /tmp", "abstract"])
async def test_sockets_of_other_programs_are_out_of_reach(at: Place, where: str) -> None:
    name = f"mimo-agent-{os.getpid()}"
    path = Path("/tmp") / name
    address = str(path) if where != "abstract" else f"\0{name}"
    try:
        with listening(socket.AF_UNIX, address) as (_, heard):
            (at.project / "connect.py").write_text(
                f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({address!r})"
            )

            done = await at.run("python3 connect.py")

            assert heard == []
    finally:
        path.unlink(missing_ok=True)
    assert done.metadata["exit"] != 0


async def test_a_program_may_talk_to_itself(at: Place) -> None:
    only(at, "bubblewrap", "refuses every socket, since a loopback of its own it has none")
    (at.project / "talk.py").write_text(
        "import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(s.getsockname())\nprint('met')\n"
    )

    done = await at.run("python3 talk.py")

    assert done.output == "met\n"


async def test_what_the_sandbox_has_stopped_is_said_with_the_way_out(at: Place) -> None:
    lookup = await at.run("python3 -c 'import urllib.request as u; u.urlopen(\"http://example.com\")'")
    file = await at.run("touch $HOME/x")
    own = await at.run("echo no such thing >&2; exit 1")

    assert "The sandbox has no network." in lookup.output
    assert "only the project and $TMPDIR can be written" in file.output
    for done in (lookup, file):
        assert "call bash again with `sandbox: false`" in done.output
    assert "sandbox" not in own.output


# ── what is given and said ───────────────────────────────────────────────────────────────────────────────


async def test_the_environment_is_an_allow_list(at: Place) -> None:
    secret = {"MY_SERVICE": CANARY, "OPENAI_API_KEY": CANARY, "MIMOCODE_SERVER_PASSWORD": CANARY, "CI": "1"}
    proxy = {"HTTPS_PROXY": f"http://me:{CANARY}@proxy:3128"}
    there = replace(at, environ={**at.environ, **secret, **proxy})

    plain = await there.run("env; tr '\\0' '\\n' < /proc/self/environ; tr '\\0' '\\n' < /proc/1/environ")
    more = await replace(there, also=("MY_*", "MIMOCODE_*")).run("echo $MY_SERVICE $MIMOCODE_SERVER_PASSWORD $CI")
    missed = await there.run('test -n "$MY_SERVICE"')

    assert CANARY not in plain.output
    assert "HTTPS_PROXY=http://proxy:3128" in plain.output
    assert more.output == f"{CANARY} 1\n"
    assert "Commands are not given MY_SERVICE" in missed.output


async def test_its_temporary_folder_is_not_outside_and_what_a_human_names_is_the_humans(at: Place) -> None:
    command = f"tool --out=$TMPDIR/x -o{at.sandbox.temporary(at.project, at.project)}/y"

    inside = await at.needs(command)
    outside = await at.needs(command, sandbox=False)
    by_human = await at.needs(f"tool --out={at.home}/x", by_human=True)

    assert [need.permission for need in inside] == ["bash"]
    assert [need.permission for need in outside] == ["external_directory", "bash", "sandbox"]
    assert [need.permission for need in by_human] == ["bash"]


async def test_a_model_is_told_of_the_sandbox_and_leaving_it_is_asked_for(at: Place) -> None:
    plain = await at.needs("npm install")
    outside = await at.needs("npm install", sandbox=False)
    by_human = await at.needs("npm install", sandbox=False, by_human=True)

    assert [need.permission for need in plain] == ["bash"]
    assert [(need.permission, list(need.patterns)) for need in outside] == [
        ("bash", ["npm install"]),
        ("sandbox", ["npm install"]),
    ]
    assert [need.permission for need in by_human] == ["bash"]
    assert "sandbox: false" in at.bash.spec.description
    assert "sandbox" in at.bash.spec.parameters["properties"]


async def test_off_is_said_and_the_model_is_told_of_nothing(at: Place) -> None:
    off = at.under(Policy(mode="off"))

    done = await off.run("echo x > $HOME/anything; cat ~/.ssh/id_ed25519")

    assert done.output == CANARY
    assert "sandbox" not in done.metadata
    assert "sandbox" not in str(off.bash.spec)
    assert told(off.policy) == (
        False,
        "commands of tools run without a sandbox: it is switched off, so they can do what you can do, as far as the "
        "permission rules let them run",
    )


def test_what_models_are_told_of_it_is_one_thing_and_not_made_for_each_turn(at: Place) -> None:
    assert at.bash.spec is at.bash.spec
