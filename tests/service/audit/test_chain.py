"""The audit log's file: bound lines, several writers, what is left by those that are killed, files that become old."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from mimocode.audit.chain import FIRST, lines, older, read, verified
from mimocode.audit.file import AuditFile
from mimocode.audit.writer import Audit, Mode
from mimocode.errors import NotFound, Unavailable

WRITER = """
import sys
from pathlib import Path
from mimocode.audit.file import AuditFile
file = AuditFile(Path(sys.argv[1]), largest_bytes=int(sys.argv[3]))
for number in range(int(sys.argv[2])):
    file.append([{"action": "test", "by": sys.argv[4], "number": number}], durable=False)
print("done")
"""
DYING = """
import os, signal, sys
from pathlib import Path
from mimocode.audit import file as module
write = os.write
def half(descriptor, line):
    write(descriptor, line[:57])
    os.kill(os.getpid(), signal.SIGKILL)
file = module.AuditFile(Path(sys.argv[1]))
file.append([{"action": "before"}], durable=False)
module.os.write = half
file.append([{"action": "lost"}], durable=False)
"""


def log(scratch: Path, count: int = 5, **more: Any) -> Path:
    path = scratch / "audit.jsonl"
    file = AuditFile(path, **more)
    for number in range(count):
        file.append([{"action": "test", "number": number, "words": "ü" * number}], durable=False)
    file.close()
    return path


def records(path: Path) -> list[dict[str, Any]]:
    return [dict(record) for _, line in lines(path) if (record := read(line)) is not None]


def test_each_line_is_bound_to_the_one_before_and_the_file_is_its_owners(tmp_path: Path) -> None:
    path = log(tmp_path)

    found = records(path)
    verdict = verified(path)

    assert [one["seq"] for one in found] == [1, 2, 3, 4, 5]
    assert [one["prev"] for one in found] == [FIRST, *(one["hash"] for one in found[:-1])]
    assert (verdict.faults, verdict.records, verdict.first, verdict.end.seq) == ([], 5, 1, 5)
    assert path.stat().st_mode & 0o777 == 0o600


def _without_seal(line: bytes) -> bytes:
    return json.dumps({**json.loads(line), "number": 99}, separators=(",", ":")).encode()


def _sealed_anew(lines: list[bytes]) -> list[bytes]:
    """A line changed by somebody who knows how lines are sealed."""
    from mimocode.audit.chain import End, sealed

    record = json.loads(lines[2])
    end = End(record["seq"] - 1, record["prev"])
    for key in ("seq", "prev", "hash"):
        del record[key]
    return [*lines[:2], sealed({**record, "number": 99}, end)[0][:-1], *lines[3:]]


Tamper = Callable[[list[bytes]], list[bytes]]
TAMPERED: list[tuple[Tamper, str]] = [
    (lambda all_: [*all_[:2], all_[2].replace(b'"number":2', b'"number":7'), *all_[3:]], "audit.jsonl:3 is not as"),
    (lambda all_: [*all_[:2], _without_seal(all_[2]), *all_[3:]], "audit.jsonl:3 is not as it was written"),
    (lambda all_: [*all_[:2], b"nothing", *all_[3:]], "audit.jsonl:3 is not as it was written"),
    (lambda all_: [*all_[:-1], all_[-1][:-9]], "audit.jsonl:5 is not as it was written"),
    (_sealed_anew, "audit.jsonl:4 (number 4) does not follow the line before it"),
    (lambda all_: [*all_[:2], *all_[3:]], "audit.jsonl:3 is number 4: the lines 3 to 3 before it are missing"),
    (lambda all_: all_[2:], "audit.jsonl:1 is number 3: the lines 1 to 2 before it are missing"),
    (lambda all_: [*all_[:3], all_[2], *all_[3:]], "audit.jsonl:4 is number 3, where number 4 is due"),
    (lambda all_: [all_[0], all_[2], all_[1], *all_[3:]], "audit.jsonl:2 is number 3"),
]


@pytest.mark.parametrize(("tamper", "said"), TAMPERED)
def test_what_was_changed_removed_or_put_in_is_found(tmp_path: Path, tamper: Tamper, said: str) -> None:
    path = log(tmp_path)
    path.write_bytes(b"".join(line + b"\n" for line in tamper(path.read_bytes().splitlines())))

    verdict = verified(path)

    assert any(fault.startswith(said) for fault in verdict.faults), verdict.faults


def test_an_end_that_was_cut_off_is_found_by_a_hash_that_was_kept_and_by_the_process_that_wrote_it(
    tmp_path: Path,
) -> None:
    path = log(tmp_path)
    kept = verified(path).end.hash
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:3]))
    alone = verified(path)
    with_hash = verified(path, holds=kept)
    path.write_bytes(b"".join(whole))
    file = AuditFile(path)
    file.append([{"action": "more"}], durable=False)
    path.write_bytes(b"".join(whole[:3]))
    file.append([{"action": "after the cut"}], durable=False)
    written_on = verified(path)

    assert alone.faults == []
    assert with_hash.faults == [f"No line has the hash {kept}: what was there then was taken away, or all was changed"]
    assert written_on.faults == ["audit.jsonl:4 is number 7: the lines 4 to 6 before it are missing"]


def test_a_large_file_is_put_aside_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = log(tmp_path, 30, largest_bytes=2000)

    files = older(path)
    modes = {one.stat().st_mode & 0o777 for one in files}
    before = verified(path)
    one_more = AuditFile(path)
    path.unlink()
    one_more.append([{"action": "a new file"}], durable=True)
    last = records(path)[-1]["seq"]
    files[0].unlink()

    assert [one.name for one in files[:2]] == ["audit.000001.jsonl", "audit.000002.jsonl"]
    assert modes == {0o600}
    assert (before.faults, before.records) == ([], 30)
    assert last > 1, "a new file goes on from the newest older one"
    first = json.loads(files[1].read_bytes().splitlines()[0])["seq"]
    assert verified(path).faults[0].startswith(f"{files[1].name}:1 is number {first}")
    assert not any(fault.startswith(files[1].name) for fault in verified(path, after=first - 1).faults)


def test_several_processes_write_one_chain_also_while_files_are_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), "150", "20000", name], stdout=subprocess.PIPE)
        for name in ("one", "two", "three")
    ]

    said = [writer.communicate(timeout=60)[0] for writer in writers]

    found = records(path)
    assert said == [b"done\n"] * 3
    assert (verified(path).faults, len(found), len(older(path)) > 2) == ([], 450, True)
    for name in ("one", "two", "three"):
        assert [one["number"] for one in found if one["by"] == name] == list(range(150))


def test_a_process_killed_in_the_middle_of_a_line_costs_that_line_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    died = subprocess.run([sys.executable, "-c", DYING, str(path)], timeout=60, check=False)
    left = path.read_bytes()

    file = AuditFile(path)
    file.append([{"action": "after"}], durable=False)

    assert died.returncode == -signal.SIGKILL
    assert not left.endswith(b"\n")
    assert path.read_bytes().startswith(left)
    verdict = verified(path)
    assert (verdict.faults, verdict.torn) == ([], 1)
    assert [one["action"] for one in records(path)] == ["before", "torn", "after"]
    path.write_bytes(path.read_bytes().replace(left.splitlines()[-1], left.splitlines()[-1][:-4] + b"xxxx"))
    assert verified(path).faults == ["audit.jsonl:2 is not as it was written"]


async def test_what_is_waited_for_is_in_the_file_and_what_is_noted_is_there_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    async with Audit(AuditFile(path)) as audit:
        numbers = [await audit.record({"action": "a"}), await audit.record({"action": "b"}, durable=False)]
        there = [one["action"] for one in records(path)]
        audit.note({"of": numbers[0], "status": 200})
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(audit.record, {"action": "many", "number": number})
        with anyio.fail_after(10):
            audit.note({"of": numbers[1], "status": 200})
            while not any(one.get("of") == numbers[1] for one in records(path)):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        audit.note({"action": "last"})

    found = records(path)
    assert there == ["a", "b"]
    assert numbers == [1, 2]
    assert (len(found), found[-1]["action"], verified(path).faults) == (55, "last", [])
    assert all(one["time"].endswith("Z") for one in found)


@pytest.mark.parametrize("mode", ["required", "lenient", "off"])
async def test_a_disk_that_refuses_is_said_or_passed_over_as_configured(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "audit.jsonl"
    path.symlink_to("/dev/full")

    async with Audit(AuditFile(path), mode) as audit:
        if mode == "required":
            with pytest.raises(Unavailable, match=r"audit\.jsonl cannot be written: No space left on device\. Free"):
                await audit.record({"action": "a"})
        else:
            assert await audit.record({"action": "a"}) == 0
        path.unlink()
        number = await audit.record({"action": "there is room again"})

    assert number == (0 if mode == "off" else 1)
    assert mode == "off" or verified(path).faults == []


def test_a_log_that_is_not_there_is_no_whole_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no audit log"):
        verified(tmp_path / "audit.jsonl")
    assert os.listdir(tmp_path) == []
