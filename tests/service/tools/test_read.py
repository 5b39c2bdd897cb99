"""Reading: text in windows, directories, what can be shown and what cannot."""

import base64
import os
from pathlib import Path

import anyio
import pytest

from mimocode.errors import ToolFailed
from mimocode.tools.output import MAX_BYTES
from mimocode.turn.ports import Attachment, Done, Need
from mimocode.wire.base import JsonObject

from .conftest import Bench

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def pdf(*pages: str) -> bytes:
    """A small PDF with these lines of text, one a page."""
    kids = " ".join(f"{3 + 2 * number} 0 R" for number in range(len(pages)))
    font = "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
    objects = ["<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>"]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        objects += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]{font}/Contents {4 + 2 * number} 0 R>>",
            f"<</Length {len(stream)}>>stream\n{stream}\nendstream",
        ]
    data, places = "%PDF-1.4\n", list[int]()
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj{body}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    trailer = f"trailer<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(data)}\n%%EOF"
    return f"{data}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


async def test_a_file_is_read_with_its_lines_numbered(bench: Bench) -> None:
    path = bench.project / "calc.py"
    path.write_text("def add(a, b):\n    return a + b\n")

    done = await bench.run("read", filePath="calc.py")

    text = "def add(a, b):\n    return a + b"
    assert done == Done(
        f"<path>{path}</path>\n<type>file</type>\n<content>\n1: def add(a, b):\n2:     return a + b\n\n"
        "(End of file - total 2 lines)\n</content>",
        "calc.py",
        {
            "truncated": False,
            "preview": text,
            "loaded": [],
            "display": {
                "type": "file",
                "path": str(path),
                "text": text,
                "lineStart": 1,
                "lineEnd": 2,
                "totalLines": 2,
                "truncated": False,
            },
        },
    )


async def test_a_window_of_lines_says_how_to_go_on(bench: Bench) -> None:
    (bench.project / "long").write_text("".join(f"line {number}\n" for number in range(1, 31)))

    middle = await bench.run("read", filePath="long", offset=10, limit=2)
    end = await bench.run("read", filePath="long", offset=30)

    assert "<content>\n10: line 10\n11: line 11\n\n(Showing lines 10-11 of 30. Use offset=12" in middle.output
    assert middle.metadata["truncated"] is True
    assert "<content>\n30: line 30\n\n(End of file - total 30 lines)" in end.output


async def test_an_offset_beyond_the_end_is_refused(bench: Bench) -> None:
    (bench.project / "short").write_text("one\n")

    with pytest.raises(ToolFailed, match=r"Offset 5 is out of range: .*short has 1 lines"):
        await bench.run("read", filePath="short", offset=5)


async def test_an_empty_file_is_empty(bench: Bench) -> None:
    (bench.project / "empty").touch()

    done = await bench.run("read", filePath="empty")

    assert "(End of file - total 0 lines)" in done.output


async def test_long_files_and_long_lines_are_cut(bench: Bench) -> None:
    (bench.project / "lines").write_text("x\n" * 5_000)
    (bench.project / "wide").write_text("y" * 3_000_000 + "\nnext\n")
    (bench.project / "big").write_text(("z" * 999 + "\n") * 200)

    lines = await bench.run("read", filePath="lines", limit=9_999)
    wide = await bench.run("read", filePath="wide")
    big = await bench.run("read", filePath="big")

    assert "\n2000: x\n\n(Showing lines 1-2000 of 5000. Use offset=2001 to continue.)" in lines.output
    assert (
        f"1: {'y' * 2_000}... (line cut to 2,000 characters)\n2: next\n\n(End of file - total 2 lines)" in wide.output
    )
    assert "(Output capped at 50 KB. Showing lines 1-51 of 200. Use offset=52 to continue.)" in big.output
    assert len(big.output.encode()) < MAX_BYTES + 500


async def test_a_directory_is_listed(bench: Bench) -> None:
    for name in ("b.txt", "a.txt", ".hidden"):
        (bench.project / name).touch()
    (bench.project / "sub").mkdir()

    done = await bench.run("read", filePath=".")

    listing = ".hidden\na.txt\nb.txt\nsub/"
    assert done == Done(
        f"<path>{bench.project}</path>\n<type>directory</type>\n<entries>\n{listing}\n\n(4 entries)\n</entries>",
        "",
        {
            "truncated": False,
            "preview": listing,
            "loaded": [],
            "display": {"type": "directory", "path": str(bench.project), "text": listing},
        },
    )


async def test_a_part_of_a_long_directory_says_so(bench: Bench) -> None:
    for number in range(5):
        (bench.project / f"{number}").touch()

    done = await bench.run("read", filePath=str(bench.project), offset=2, limit=2)

    assert "<entries>\n1\n2\n\n(Showing 2 of 5 entries. Use offset=4 to continue.)\n</entries>" in done.output


async def test_an_image_is_shown_as_it_is(bench: Bench) -> None:
    (bench.project / "dot.dat").write_bytes(PNG)

    done = await bench.run("read", filePath="dot.dat")

    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    metadata: JsonObject = {"truncated": False, "preview": "Image read successfully", "loaded": []}
    assert done == Done("Image read successfully", "dot.dat", metadata, [Attachment("image/png", url, "dot.dat")])


async def test_a_pdf_is_shown_and_its_text_given_as_well(bench: Bench) -> None:
    data = pdf("Hello there", "", "Second text")
    (bench.project / "paper.pdf").write_bytes(data)

    done = await bench.run("read", filePath="paper.pdf")

    assert "1: [page 1]\n2: Hello there\n3: [page 2: no text]\n4: [page 3]\n5: Second text\n" in done.output
    assert done.output.startswith("PDF read successfully: 3 pages.")
    url = f"data:application/pdf;base64,{base64.b64encode(data).decode()}"
    assert done.attachments == [Attachment("application/pdf", url, "paper.pdf")]


async def test_a_damaged_pdf_is_still_shown(bench: Bench) -> None:
    (bench.project / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a PDF follows")

    done = await bench.run("read", filePath="broken.pdf")

    assert "its text cannot be read" in done.output
    assert len(done.attachments) == 1


async def test_a_binary_file_is_refused(bench: Bench) -> None:
    (bench.project / "a.out").write_bytes(b"\x7fELF\0\0\1")

    with pytest.raises(ToolFailed, match=r"Cannot read binary file: .*a\.out"):
        await bench.run("read", filePath="a.out")


async def test_text_in_another_encoding_is_readable(bench: Bench) -> None:
    (bench.project / "latin").write_bytes("caf\xe9\r\n".encode("latin-1"))
    (bench.project / "bom").write_bytes(b"\xef\xbb\xbfhi\n")

    assert "1: caf\ufffd\n\n" in (await bench.run("read", filePath="latin")).output
    assert "1: hi\n\n" in (await bench.run("read", filePath="bom")).output


async def test_a_missing_file_brings_up_near_names(bench: Bench) -> None:
    for name in ("README.md", "zebra.py", "other.txt"):
        (bench.project / name).touch()

    with pytest.raises(ToolFailed) as failed:
        await bench.run("read", filePath="readme.MD")

    assert str(failed.value) == (
        f"File not found: {bench.project}/readme.MD\n\nDid you mean one of these?\n{bench.project}/README.md"
    )


async def test_a_missing_file_with_no_near_name_says_where_to_look(bench: Bench) -> None:
    with pytest.raises(ToolFailed, match="Find it with glob"):
        await bench.run("read", filePath="no/such/file")


async def test_what_is_no_file_is_refused_without_waiting(bench: Bench) -> None:
    os.mkfifo(bench.project / "pipe")

    with anyio.fail_after(20), pytest.raises(ToolFailed, match="device, pipe or socket"):
        await bench.run("read", filePath="pipe")


async def test_a_path_that_cannot_be_one_is_refused(bench: Bench) -> None:
    with pytest.raises(ToolFailed, match="NUL character"):
        await bench.run("read", filePath="a\0b")


async def test_reading_needs_leave_by_the_name_rules_know(bench: Bench) -> None:
    (bench.project / "sub").mkdir()
    (bench.project / "sub" / ".env").touch()
    (bench.project / "harmless.txt").symlink_to("sub/.env")

    assert await bench.needs("read", filePath="sub/../sub/.env") == [Need("read", ["sub/.env"], ["*"])]
    assert await bench.needs("read", filePath=str(bench.project / "x")) == [Need("read", ["x"], ["*"])]
    assert await bench.needs("read", filePath="harmless.txt") == [Need("read", ["harmless.txt", "sub/.env"], ["*"])]


async def test_leaving_the_project_needs_leave_however_it_is_done(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path.resolve() / "outside"
    outside.mkdir()
    (outside / "x").touch()
    (bench.project / "link").symlink_to(outside)
    monkeypatch.setenv("HOME", str(outside))
    glob = f"{outside}/*"
    leave = Need("external_directory", [glob], [glob], {"filepath": f"{outside}/x", "parentDir": str(outside)})

    for path in ("../outside/x", f"{outside}/x", "link/x", "~/x", "nothing/../../outside/x"):
        needs = await bench.needs("read", filePath=path)
        assert needs[0] == leave
        assert str(outside / "x") in needs[1].patterns
    directory = await bench.needs("read", filePath="link")
    assert directory[0].patterns == [glob]


async def test_the_worktree_is_inside_but_no_worktree_is_not_everything(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    ready = bench.tools["read"].ready({"filePath": "../x"})

    within = await ready.needs(bench.call(worktree=tmp_path))
    without = await ready.needs(bench.call(worktree=Path("/")))

    assert within == [Need("read", ["x"], ["*"])]
    assert [need.permission for need in without] == ["external_directory", "read"]
