"""Every way to spell a path that leads out of a project, and what is no file: asked for or refused, never just used."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from mimocode.errors import ToolFailed
from mimocode.turn import rules
from mimocode.turn.ports import Need
from mimocode.wire.ask import Rule
from support.system import system
from support.tool_bench import Bench, benched

DEFAULTS = rules.from_config(
    {
        "*": "allow",
        "external_directory": "ask",
        "doom_loop": "ask",
        "read": {"*": "allow", "*.env": "ask", "*.env.*": "ask", "*.env.example": "allow"},
    },
    Path("/home/nobody"),
)
"""As docs/permissions.md tells them."""


def asked(needs: list[Need], ruleset: list[Rule] = DEFAULTS) -> set[str]:
    """What of it a human would be asked for."""
    return {
        need.permission
        for need in needs
        for pattern in need.patterns
        if rules.evaluate(need.permission, pattern, ruleset).action == "ask"
    }


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A project with links in it that lead out, at once and by a chain, and home outside of it."""
    bench = benched(tmp_path)
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "secret").write_text("not for the model")
    monkeypatch.setenv("HOME", str(outside))
    (bench.project / "sub").mkdir()
    (bench.project / "sub" / "file").write_text("for the model")
    (bench.project / "out").symlink_to(outside)
    (bench.project / "chain").symlink_to("chain2")
    (bench.project / "chain2").symlink_to("sub/chain3")
    (bench.project / "sub" / "chain3").symlink_to("../../outside")
    (bench.project / "to_file").symlink_to(outside / "secret")
    (bench.project / "root").symlink_to("/")
    return bench


OUT = [
    "../outside/secret",
    "sub/../../outside/secret",
    "./././../outside/secret",
    "{tmp}/outside/secret",
    "/{tmp}/outside/secret",
    "{tmp}//outside///secret",
    "{project}/../outside/secret",
    "~/secret",
    "out/secret",
    "out/deep/../secret",
    "chain/secret",
    "to_file",
    "root{tmp}/outside/secret",
    "/proc/self/root{tmp}/outside/secret",
    "/proc/thread-self/root{tmp}/outside/secret",
    "/proc/self/cwd/../../../../../../../../../../{tmp}/outside/secret",
    "{project}{tmp}/../../../../../../../../../../../..{tmp}/outside/secret",
]


@pytest.mark.parametrize("way", OUT)
@pytest.mark.parametrize("name", ["read", "write", "edit", "apply_patch", "grep", "bash"])
async def test_no_spelling_leads_out_of_the_project_unasked(bench: Bench, tmp_path: Path, name: str, way: str) -> None:
    path = way.format(tmp=tmp_path, project=bench.project)
    arguments = {
        "read": {"filePath": path},
        "write": {"filePath": path, "content": "new"},
        "edit": {"filePath": path, "oldString": "not", "newString": "new"},
        "apply_patch": {"patchText": f"*** Begin Patch\n*** Delete File: {path}\n*** End Patch"},
        "grep": {"pattern": "x", "path": path},
        "bash": {"command": f"cat {path}"},
    }[name]

    needs = await bench.needs(name, **arguments)

    assert "external_directory" in asked(needs)
    [leave] = [need for need in needs if need.permission == "external_directory"]
    assert leave.patterns == [f"{tmp_path.resolve()}/outside/*"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("glob", {"pattern": "../outside/*"}),
        ("glob", {"pattern": "~/*"}),
        ("glob", {"pattern": "{tmp}/outside/*"}),
        ("glob", {"pattern": "*", "path": "out"}),
        ("glob", {"pattern": "*", "path": "chain"}),
        ("list", {"path": "out/deep"}),
        ("list", {"path": ".."}),
        ("grep", {"pattern": "x", "path": "chain"}),
        ("bash", {"command": "ls", "workdir": "out"}),
        ("bash", {"command": "echo x > ../outside/new"}),
        ("bash", {"command": "echo x > out/new"}),
        ("bash", {"command": "sort < to_file"}),
        ("bash", {"command": "cd .. && ls"}),
        ("bash", {"command": "cd"}),
        ("bash", {"command": "cat $(cat ../outside/secret)"}),
        ("bash", {"command": 'bash -c "cat ~/secret"'}),
        ("bash", {"command": "ln -s ../outside here"}),
        ("bash", {"command": "true; rm -r '../outside'"}),
        ("bash", {"command": "find .. -name x"}),
    ],
)
async def test_no_other_tool_leaves_the_project_unasked(
    bench: Bench, tmp_path: Path, name: str, arguments: dict[str, str]
) -> None:
    given = {key: value.format(tmp=tmp_path) if key == "pattern" else value for key, value in arguments.items()}

    assert "external_directory" in asked(await bench.needs(name, **given))


@pytest.mark.parametrize(
    ("permission", "name", "arguments"),
    [
        ("webfetch", "webfetch", {"url": "https://example.com"}),
        ("edit", "write", {"filePath": "sub/file", "content": ""}),
        ("edit", "edit", {"filePath": "sub/file", "oldString": "for", "newString": "of"}),
        ("edit", "apply_patch", {"patchText": "*** Begin Patch\n*** Add File: a\n+a\n*** End Patch"}),
        ("read", "read", {"filePath": "sub/file"}),
        ("read", "grep", {"pattern": "x", "path": "sub/file"}),
        ("grep", "grep", {"pattern": "x"}),
        ("glob", "glob", {"pattern": "*"}),
        ("list", "list", {}),
        ("bash", "bash", {"command": "true"}),
        ("bash", "bash", {"command": "X=1"}),
        ("bash", "bash", {"command": "if then ("}),
        ("todowrite", "todowrite", {"todos": []}),
        ("todoread", "todoread", {}),
    ],
)
async def test_what_no_rule_allows_is_asked_for(
    bench: Bench, permission: str, name: str, arguments: dict[str, object]
) -> None:
    assert permission in asked(await bench.needs(name, **arguments), [])


async def test_a_link_of_a_harmless_name_does_not_hide_what_it_leads_to(bench: Bench) -> None:
    (bench.project / ".env").write_text("KEY=1")
    (bench.project / "notes.txt").symlink_to(".env")

    assert asked(await bench.needs("read", filePath="notes.txt")) == {"read"}


async def test_a_call_that_was_not_allowed_never_took_effect(tmp_path: Path) -> None:
    script = "\n".join(
        [
            'call: write {"filePath": "../outside/new", "content": "x"}',
            'call: bash {"command": "touch ../outside/new"}',
            'call: read {"filePath": "../outside/secret"}',
            "---",
            "text: done",
        ]
    )
    async with system(tmp_path, script) as running:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_text("not for the model")
        session = await running.session()
        async with running.prompting(session):
            asks: dict[str, str] = {}
            while len(asks) < 3:
                ask = await running.told.until("permission.asked", lambda ask: ask["id"] not in asks)
                asks[ask["id"]] = ask["permission"]
            await running.client.post(f"/permission/{next(iter(asks))}/reply", json={"reply": "reject"})
        messages = await running.messages(session)

    assert set(asks.values()) == {"external_directory"}
    states = [part["state"] for message in messages for part in message["parts"] if part["type"] == "tool"]
    assert [state["status"] for state in states] == ["error"] * 3
    assert "not for the model" not in str(messages)
    assert [path.name for path in outside.iterdir()] == ["secret"]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def device(path: Path) -> None:
    try:
        os.mknod(path, 0o020666, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root may make a device")


@pytest.mark.parametrize("make", [pipe, listener, device])
@pytest.mark.parametrize("name", ["read", "write", "edit", "grep"])
async def test_what_is_no_file_is_refused_and_keeps_nobody_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(bench.project)  # a socket's path may not be long
    make(bench.project / "odd")
    arguments = {
        "read": {"filePath": "odd"},
        "write": {"filePath": "odd", "content": "x"},
        "edit": {"filePath": "odd", "oldString": "a", "newString": "b"},
        "grep": {"pattern": "x", "path": "odd"},
    }[name]

    with anyio.fail_after(20), pytest.raises(ToolFailed) as failed:
        await bench.run(name, **arguments)

    assert "a device, pipe or socket" in str(failed.value) or "not a regular file" in str(failed.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a\0b", "contains a NUL character"),
        ("x" * 300, "File not found|too long"),
        ("x/" * 3000 + "x", "File not found|too long"),
        ("loop", "symbolic link"),
        ("loop2/x", "symbolic link"),
        ("/dev/fd/99999", "File not found"),
        ("/proc/self/fd/99999", "File not found"),
        ("/dev/null", "a device, pipe or socket"),
        ("/dev/zero", "a device, pipe or socket"),
        ("sub/file/x", "File not found"),
    ],
)
async def test_a_path_that_leads_to_nothing_is_refused_in_words(bench: Bench, path: str, said: str) -> None:
    (bench.project / "loop").symlink_to("loop")
    (bench.project / "loop2").symlink_to("loop3")
    (bench.project / "loop3").symlink_to("loop2")

    with pytest.raises(ToolFailed, match=said):
        await bench.run("read", filePath=path)


async def test_a_descriptor_of_the_servers_is_judged_by_the_file_it_is_of(bench: Bench, tmp_path: Path) -> None:
    with (tmp_path / "outside" / "secret").open() as held:
        for way in ("/dev/fd", "/proc/self/fd"):
            needs = await bench.needs("read", filePath=f"{way}/{held.fileno()}")

            assert needs[0].patterns == [f"{tmp_path.resolve()}/outside/*"]


@pytest.mark.parametrize("name", ["café", "cafe\u0301", "ﬀ", "\u202egpj", "a\nb", "-rf", "🙂" * 60])
async def test_a_name_is_taken_as_it_is_written(bench: Bench, name: str) -> None:
    await bench.run("write", filePath=name, content="mine")

    assert (await bench.run("read", filePath=name)).metadata["display"]["text"] == "mine"
    assert name in os.listdir(bench.project)


def folds_names(folder: Path) -> bool:
    (folder / "probe").touch()
    return (folder / "PROBE").exists()


async def test_letters_case_does_not_hide_a_name_where_the_file_system_folds_it(bench: Bench) -> None:
    if not folds_names(bench.project):
        pytest.skip("this file system tells upper case from lower")
    (bench.project / ".env").write_text("KEY=1")

    assert asked(await bench.needs("read", filePath=".ENV")) == {"read"}


async def test_a_name_that_differs_in_case_only_is_another_file_elsewhere(bench: Bench) -> None:
    if folds_names(bench.project):
        pytest.skip("this file system does not tell upper case from lower")
    (bench.project / ".env").write_text("KEY=1")
    (bench.project / ".ENV").hardlink_to(bench.project / ".env")

    assert asked(await bench.needs("read", filePath=".ENV")) == set()


async def test_a_hard_link_is_a_file_of_the_project_wherever_else_it_has_a_name(bench: Bench, tmp_path: Path) -> None:
    """Not defended: docs/security.md says so. Who makes one can read the file anyway."""
    (bench.project / "hard").hardlink_to(tmp_path / "outside" / "secret")

    assert asked(await bench.needs("read", filePath="hard")) == set()


async def test_a_folder_that_may_be_entered_but_not_listed_is_gone_through(bench: Bench) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may list every folder")
    (bench.project / "sub").chmod(0o111)

    assert (await bench.run("read", filePath="sub/file")).output
