"""What is cut of an output, and where the whole of it is."""

import os
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.errors import ToolFailed
from mimocode.tools import collect
from mimocode.tools.collect import Collector
from mimocode.tools.output import MAX_BYTES, MAX_LINES, Bounded, Spill, cleaned, count_lines, ends_of, first, fits, last
from mimocode.turn.ports import Call, Done, Need, ToolSpec
from mimocode.wire.base import JsonObject

from .conftest import Bench

TEXT = st.text(alphabet=st.sampled_from("a\n\nüß€𝄞 x"), max_size=400)


@dataclass
class Says:
    """A tool that gives what it was made with."""

    done: Done
    resumable = False
    writes = False
    spec = ToolSpec("says", "", {})

    def ready(self, arguments: JsonObject) -> "Says":
        return self

    async def needs(self, call: Call) -> Sequence[Need]:
        return [Need("says", ["*"], ["*"], {"name": "a\ud800b"})]

    async def run(self, call: Call) -> Done:
        return self.done


async def said(bench: Bench, done: Done) -> Done:
    return await Bounded(Says(done), Spill(bench.spill)).ready({}).run(bench.call())


@given(TEXT, st.integers(1, 20), st.integers(8, 80))
def test_what_is_kept_is_the_beginning_and_the_end_and_within_the_limits(text: str, lines: int, size: int) -> None:
    head, tail = first(text, lines, size), last(text, lines, size)

    assert text.startswith(head)
    assert text.endswith(tail)
    assert fits(head, lines, size)
    assert fits(tail, lines, size)


@given(TEXT, st.integers(1, 20), st.integers(8, 80))
def test_as_much_is_kept_as_fits(text: str, lines: int, size: int) -> None:
    whole = fits(text, lines, size)

    assert (first(text, lines, size) == text) == whole
    assert (last(text, lines, size) == text) == whole


@given(TEXT, st.integers(2, 20), st.integers(16, 80))
def test_the_two_ends_of_a_long_text_do_not_overlap(text: str, lines: int, size: int) -> None:
    head, tail = ends_of(text, lines, size)

    if not fits(text, lines, size):
        assert len(head) + len(tail) <= len(text)
        assert count_lines(head) + count_lines(tail) <= lines


@given(st.text(max_size=100))
def test_cleaned_text_is_text_everywhere(text: str) -> None:
    clean = cleaned(text + "\ud800\0")

    assert clean.encode().decode() == clean
    assert "\0" not in clean


async def test_a_short_output_is_left_alone(bench: Bench) -> None:
    done = await said(bench, Done("hello\n", "title", {"n": 1}))

    assert done == Done("hello\n", "title", {"truncated": False, "n": 1})
    assert not bench.spill.exists()


@pytest.mark.parametrize("text", ["x\n" * 5_000, "y" * 100_000, "€" * 60_000], ids=["lines", "one line", "not ASCII"])
async def test_a_long_output_is_cut_and_kept_whole_in_a_private_file(bench: Bench, text: str) -> None:
    done = await said(bench, Done(text, "title"))

    path = Path(done.metadata["outputPath"])
    assert done.metadata == {"truncated": True, "outputPath": str(path)}
    assert path.parent == bench.spill
    assert path.name.startswith("tool_")
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert done.output[:10] == text[:10]
    assert f"{count_lines(text):,} lines, {len(text.encode()):,} bytes) is in {path}" in done.output
    assert len(done.output.encode()) < MAX_BYTES + 1024
    assert count_lines(done.output) < MAX_LINES + 10


async def test_an_output_that_cannot_be_kept_is_cut_all_the_same(bench: Bench) -> None:
    bench.spill.write_text("a file where the directory should be")

    done = await said(bench, Done("x\n" * 5_000, "title"))

    assert done.metadata == {"truncated": True}
    assert "could not be kept" in done.output


async def test_nothing_that_is_no_text_gets_through(bench: Bench) -> None:
    bounded = Bounded(Says(Done("a\ud800b\0", "t\udfff", {"deep": [{"k\ud800": "v\0"}]})), Spill(bench.spill)).ready({})

    done = await bounded.run(bench.call())
    needs = await bounded.needs(bench.call())

    assert done == Done("a?b\ufffd", "t?", {"truncated": False, "deep": [{"k?": "v\ufffd"}]})
    assert needs == [Need("says", ["*"], ["*"], {"name": "a?b"})]


async def test_a_torrent_is_not_held_in_memory(tmp_path: Path) -> None:
    collector = Collector(Spill(tmp_path))
    line = b"x" * 1023 + b"\n"
    tracemalloc.start()
    try:
        for _ in range(512):
            await collector.feed(line * 64)
        collected = await collector.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert collected.path is not None
    assert collected.path.stat().st_size == 32 * 1024 * 1024
    assert peak < 4 * 1024 * 1024


async def test_a_torrent_without_end_does_not_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "MAX_KEPT_BYTES", 1024 * 1024)
    collector = Collector(Spill(tmp_path))

    for _ in range(64):
        await collector.feed(b"y\n" * 32 * 1024)
    collected = await collector.finish()

    assert collected.path is not None
    assert collected.path.stat().st_size <= 1024 * 1024 + 64 * 1024
    assert "The beginning of the output (2,097,152 lines, 4,194,304 bytes) is in" in collected.text


async def test_what_fails_is_said_in_clean_and_few_words(bench: Bench) -> None:
    with pytest.raises(ToolFailed) as odd:
        await bench.run("read", filePath="no-\udcff-such")
    with pytest.raises(ToolFailed) as huge:
        await bench.run("edit", filePath="x" * 100_000, oldString="a", newString="b")
    with pytest.raises(ToolFailed) as unfit:
        await bench.run("bash", command="half of a character: \ud800")

    for failed in (odd, huge, unfit):
        assert len(str(failed.value).encode()) < 10_000


def test_old_outputs_are_swept_and_nothing_else(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    old, new = spill.keep("old"), spill.keep("new")
    other = tmp_path / "other"
    other.write_text("")
    assert old is not None
    assert new is not None
    for path in (old, other):
        os.utime(path, (time.time() - 1000, time.time() - 1000))

    removed = spill.sweep(older_than_s=500)

    assert removed == 1
    assert sorted(tmp_path.iterdir()) == sorted([other, new])
