"""A folder or file that another program swaps for a symlink, between the judgement of a path and its use."""

import os
import shutil
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mimocode.errors import MimoError, ToolFailed
from mimocode.tools.confirmed import confirmed, there
from mimocode.tools.glob import Glob
from mimocode.tools.grep import Match
from mimocode.tools.list import ListTree
from mimocode.tools.opened import Linked, Special, folder, open_in
from mimocode.tools.ripgrep import Ripgrep
from mimocode.workspace import files
from mimocode.workspace.root import Root
from support.system import system
from support.tool_bench import Bench, benched

SECRET = "not for the model"
ROUNDS = 300


@dataclass(frozen=True)
class Place:
    """`project/sub/file` is the model's to see; `outside/file`, which has the same name, is not."""

    bench: Bench
    sub: Path
    outside: Path

    def swap(self) -> None:
        """Where the folder was, a link to the one outside is."""
        self.sub.rename(self.sub.with_name("aside"))
        self.sub.symlink_to(self.outside)

    def swap_back(self) -> None:
        while (aside := self.sub.with_name("aside")).exists():
            if self.sub.is_symlink():
                self.sub.unlink()
            shutil.rmtree(self.sub, ignore_errors=True)
            with suppress(OSError):  # made anew by a tool
                aside.rename(self.sub)

    @contextmanager
    def swapping(self) -> Generator[None]:
        """Another program that does nothing else, as fast as it can."""
        over = threading.Event()

        def forth_and_back() -> None:
            while not over.is_set():
                try:
                    self.swap()
                    self.swap_back()
                except FileExistsError:
                    self.swap_back()  # a tool made the folder anew in the moment when there was none

        program = threading.Thread(target=forth_and_back)
        program.start()
        try:
            yield
        finally:
            over.set()
            program.join()

    def untouched(self) -> bool:
        return {path.name: path.read_text() for path in self.outside.iterdir()} == {"file": SECRET}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    bench = benched(tmp_path)
    sub, outside = bench.project / "sub", tmp_path / "outside"
    for where, text in ((sub, "for the model"), (outside, SECRET)):
        where.mkdir()
        (where / "file").write_text(text)
    return Place(bench, sub, outside)


PATCH = "*** Begin Patch\n{}\n*** End Patch"

CALLS: list[tuple[str, dict[str, str]]] = [
    ("read", {"filePath": "sub/file"}),
    ("read", {"filePath": "sub"}),
    ("write", {"filePath": "sub/file", "content": "new"}),
    ("write", {"filePath": "sub/deep/er/new", "content": "new"}),
    ("edit", {"filePath": "sub/file", "oldString": "model", "newString": "new"}),
    ("apply_patch", {"patchText": PATCH.format("*** Add File: sub/new\n+new")}),
    ("apply_patch", {"patchText": PATCH.format("*** Delete File: sub/file")}),
    ("apply_patch", {"patchText": PATCH.format("*** Update File: sub/file\n*** Move to: sub/new")}),
    ("grep", {"pattern": "model", "path": "sub"}),
    ("grep", {"pattern": "model", "path": "sub/file"}),
    ("glob", {"pattern": "*", "path": "sub"}),
    ("list", {"path": "sub"}),
]


@pytest.mark.parametrize(
    ("name", "arguments"), CALLS, ids=[f"{name}-{next(iter(given.values()))[:40]}" for name, given in CALLS]
)
async def test_a_folder_swapped_for_a_link_after_it_was_judged_is_refused(
    place: Place, name: str, arguments: dict[str, str]
) -> None:
    ready, call = place.bench.tools[name].ready(dict(arguments)), place.bench.call()
    await ready.needs(call)
    place.swap()

    with pytest.raises(ToolFailed) as failed:
        await ready.run(call)

    assert "'sub' is a symbolic link that was not there when the path was judged" in str(failed.value)
    assert SECRET not in str(failed.value)
    assert place.untouched()


@pytest.mark.parametrize("name", ["read", "write", "edit", "grep"])
async def test_a_file_swapped_for_a_link_after_it_was_judged_is_refused(place: Place, name: str) -> None:
    arguments = next(given for tool, given in CALLS if tool == name and "sub/file" in given.values())
    ready, call = place.bench.tools[name].ready(dict(arguments)), place.bench.call()
    await ready.needs(call)
    (place.sub / "file").unlink()
    (place.sub / "file").symlink_to(place.outside / "file")

    with pytest.raises(ToolFailed, match="'file' is a symbolic link that was not there"):
        await ready.run(call)

    assert place.untouched()


async def test_a_link_that_is_led_elsewhere_while_a_human_is_asked_changes_nothing(tmp_path: Path) -> None:
    script = 'call: write {"filePath": "link/file", "content": "new"}\n---\ntext: done'
    async with system(tmp_path, script, config={"permission": {"edit": "ask"}}) as running:
        inner, outside, link = running.project / "inner", tmp_path / "outside", running.project / "link"
        for where in (inner, outside):
            where.mkdir()
            (where / "file").write_text("old")
        link.symlink_to(inner)
        session = await running.session()
        async with running.prompting(session):
            ask = await running.asked("permission")
            link.unlink()
            link.symlink_to(outside)
            (await running.client.post(f"/permission/{ask['id']}/reply", json={"reply": "once"})).raise_for_status()

    assert ask["patterns"] == ["link/file", "inner/file"]
    assert ((inner / "file").read_text(), (outside / "file").read_text()) == ("new", "old")


async def test_a_server_that_starts_anew_does_not_take_one_answer_for_another_file(tmp_path: Path) -> None:
    script = 'call: write {"filePath": "link/file", "content": "new"}\n---\ntext: done'
    config = {"permission": {"edit": "ask", "external_directory": "allow"}}
    async with system(tmp_path, script, config=config) as running:
        inner, other, link = (running.project / name for name in ("inner", "other", "link"))
        for where in (inner, other):
            where.mkdir()
        link.symlink_to(inner)
        session = await running.session()
        started = await running.client.post(
            f"/session/{session}/prompt_async", json={"parts": [{"type": "text", "text": "go"}]}
        )
        started.raise_for_status()
        ask = await running.asked("permission")
    link.unlink()
    link.symlink_to(other)

    async with system(tmp_path, script, config=config) as running:
        await running.asked("permission")
        (await running.client.post(f"/permission/{ask['id']}/reply", json={"reply": "once"})).raise_for_status()
        await running.told.until("session.idle")
        messages = await running.messages(session)

    [tool] = [part for message in messages for part in message["parts"] if part["type"] == "tool"]
    assert "leads elsewhere now: it was allowed for link/file, inner/file" in tool["state"]["error"]
    assert (list(inner.iterdir()), list(other.iterdir())) == ([], [])


async def each_round(place: Place, name: str, **arguments: str) -> tuple[int, list[str]]:
    """A call, again and again, while the folder is swapped: how often it was done, and all that was said."""
    done, said = 0, list[str]()
    with place.swapping():
        for _ in range(ROUNDS):
            ready, call = place.bench.tools[name].ready(dict(arguments)), place.bench.call()
            try:
                needs = await ready.needs(call)
                if any(need.permission == "external_directory" for need in needs):
                    continue  # it was judged while the link was there, so a human would be asked
                said.append((await ready.run(call)).output)
                done += 1
            except ToolFailed as failed:
                said.append(str(failed))
    return done, said


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", {"filePath": "sub/file"}),
        ("write", {"filePath": "sub/file", "content": "new"}),
        ("write", {"filePath": "sub/deep/new", "content": "new"}),
    ],
)
async def test_a_program_that_swaps_a_folder_all_the_time_leads_nobody_out(
    place: Place, name: str, arguments: dict[str, str]
) -> None:
    done, said = await each_round(place, name, **arguments)

    assert place.untouched()
    assert not [text for text in said if SECRET in text]
    assert done, "no call ever found the folder in its place"


@pytest.mark.parametrize("tool", [Glob, ListTree])
async def test_names_of_elsewhere_that_a_search_was_led_to_are_not_shown(
    place: Place, tool: type[Glob | ListTree], tmp_path: Path
) -> None:
    (place.outside / "theirs-alone").touch()
    search = tmp_path / "rg"  # a search while the folder was swapped
    search.write_text("#!/bin/sh\nprintf 'sub/theirs-alone\\0sub/file\\0'\n")
    search.chmod(0o755)

    ready = tool(Ripgrep(search)).ready({"pattern": "**/*"} if tool is Glob else {})
    done = await ready.run(place.bench.call())

    assert "file" in done.output
    assert "theirs-alone" not in done.output


def test_a_name_that_is_not_where_a_search_found_it_is_left_out(place: Place) -> None:
    names = ["sub/file", "sub/gone", "sub"]

    assert list(there(place.bench.project, names)) == ["sub/file", "sub"]
    place.swap()
    assert list(there(place.bench.project, ["sub/file"])) == []


async def test_what_clients_look_at_is_not_led_out_either(place: Place) -> None:
    root = Root(place.bench.project, None)
    seen, refused = set[str](), 0
    with place.swapping():
        for turn in range(20 * ROUNDS):
            if turn > ROUNDS and seen and refused:  # a busy machine lets one of the two run for long
                break
            try:
                seen.add((await files.content(root, "sub/file")).content)
            except MimoError:
                refused += 1

    assert seen == {"for the model"}
    assert refused


def test_a_line_that_is_not_where_a_search_found_it_is_left_out(place: Place) -> None:
    (place.sub / "file").write_text("one\nfor the model\n")
    (place.sub / "wide").write_bytes("one\nfür\n".encode("utf-16"))
    (place.sub / "marked").write_bytes(b"\xef\xbb\xbfone\ntwo\n")
    stand = [Match("file", 2, 4, b"for the model"), Match("wide", 2, 4, "für".encode()), Match("marked", 2, 4, b"two")]
    not_there = [Match("file", 2, 4, SECRET.encode()), Match("gone", 1, 0, b"x"), Match("wide", 1, 0, b"two")]

    assert list(confirmed(place.sub, [*stand, *not_there])) == stand
    place.swap()
    assert list(confirmed(place.sub, stand)) == []


def linked(path: Path) -> None:
    path.symlink_to("/etc/hosts")


@pytest.mark.parametrize(("swapped", "refusal"), [(os.mkfifo, Special), (linked, Linked)])
def test_what_comes_into_a_files_place_between_two_looks_is_not_opened(
    place: Place, swapped: Callable[[Path], None], refusal: type[OSError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last moment there is: after it was looked at, before it is opened."""
    path = place.sub / "file"
    look = os.stat

    def then_swapped(name: str | Path, **more: Any) -> os.stat_result:
        found = look(name, **more)
        monkeypatch.setattr(os, "stat", look)
        path.unlink()
        swapped(path)
        return found

    with folder(path.parent) as parent:
        monkeypatch.setattr(os, "stat", then_swapped)
        with pytest.raises(refusal):
            open_in(parent, "file", os.O_RDONLY)
