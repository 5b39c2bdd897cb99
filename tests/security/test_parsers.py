"""What parsers of others' texts promise, for any text: configuration, ids, patches, streams, headers, scripts."""

import difflib
import json
import math
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mimocode import ids
from mimocode.client.sse import Frame, Frames
from mimocode.config.files import Reader
from mimocode.config.jsonc import parsed, parsed_object
from mimocode.config.merge import merged
from mimocode.config.settings import read
from mimocode.errors import ConfigError, Invalid, ToolFailed
from mimocode.llm import reading
from mimocode.llm.script import CallTool, Delay, Fail, Finish, Say
from mimocode.server.body import NotJson, decoded
from mimocode.server.proxies import Ambiguous, proxies
from mimocode.server.reach import Reach, name_of
from mimocode.tools.patch import Add, Delete, Hunk, Operation, Update, applied, parse

bounded = settings(deadline=None, database=None, derandomize=True, max_examples=100)
"""Short, and the same each time; more examples find more: raise it, and take `derandomize` away."""


def outcome(call: Callable[[], Any], *refusals: type[Exception]) -> tuple[Any, str | None]:
    """What it gives, or the words in which it refuses. Anything else that it raises is a fault."""
    try:
        return call(), None
    except refusals as error:
        return None, str(error)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | words
values = st.recursive(scalars, lambda some: st.lists(some, max_size=3) | st.dictionaries(words, some, max_size=3))
objects = st.dictionaries(words, values, max_size=4)

# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────────


@bounded
@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_what_the_standard_library_writes_as_json_is_read_as_it_was(value: Any, ascii_only: bool, indent: int) -> None:
    assert decoded(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()) == value


@bounded
@given(st.binary(max_size=40) | st.text('[]{}",:0123456789.eE+-\\utrfalsn \n\t/*NI\x00', max_size=20).map(str.encode))
def test_what_is_taken_for_json_the_standard_library_takes_for_the_same(data: bytes) -> None:
    value, refused = outcome(lambda: decoded(data), NotJson)

    assert refused or json.loads(data.decode("utf-8-sig")) == value


# ── configuration ────────────────────────────────────────────────────────────────────────────────────────


def written(value: Any, comment: str, comma: str) -> str:
    """As people write it: a comment and a comma more wherever there may be one."""
    match value:
        case dict():
            inner = [f"{comment}{json.dumps(k)}{comment}:{written(v, comment, comma)}" for k, v in value.items()]  # pyright: ignore[reportUnknownVariableType]
            return "{" + ",".join(inner) + (comma if inner else "") + comment + "}"
        case list():
            inner = [written(item, comment, comma) for item in value]  # pyright: ignore[reportUnknownVariableType]
            return "[" + ",".join(inner) + (comma if inner else "") + comment + "]"
        case _:
            return comment + json.dumps(value) + comment


@bounded
@given(objects, st.sampled_from(["", '/* , } ] " */', "// {[\n", "\n\t "]), st.sampled_from(["", ","]))
def test_comments_and_commas_change_nothing_of_a_configuration(value: Any, comment: str, comma: str) -> None:
    assert parsed(written(value, comment, comma), "x.json") == value


@bounded
@given(st.text(max_size=30) | st.text('{}[]",:/*\n\\ 01ae.+-', max_size=20))
def test_a_text_that_is_no_configuration_is_refused_with_its_place(text: str) -> None:
    found, refused = outcome(lambda: parsed_object(text, "x.json"), ConfigError)

    place = r"x\.json: (line \d+, column \d+: |expected an object|\S+ is not a JSON number)"
    assert re.match(place, refused) if refused else isinstance(found, dict)


names = st.text("ABC_", min_size=1, max_size=5)


@bounded
@given(st.dictionaries(names, words.filter(lambda word: "\0" not in word), max_size=4), st.data())
def test_what_is_filled_in_is_filled_in_once_and_nowhere_but_in_values(
    env: Mapping[str, str], data: st.DataObject
) -> None:
    tricky = {
        name: data.draw(st.just(value) | names.map("{{env:{}}}".format) | st.just('", "a": "'))
        for name, value in env.items()
    }
    pieces = data.draw(
        st.lists(st.sampled_from([*env, "UNSET"]) | words.filter(lambda word: "{" not in word), max_size=5)
    )
    text = "".join(f"{{env:{piece}}}" if piece in env or piece == "UNSET" else piece for piece in pieces)
    expected = "".join(tricky.get(piece, "") if piece in env or piece == "UNSET" else piece for piece in pieces)
    content = json.dumps({"{env:A}": [text, 1], "deep": {"key": text}})
    reader = Reader(Path("/nowhere"), {**tricky, "MIMOCODE_CONFIG_CONTENT": content}, SETTINGS)

    layer = next(layer for layer in reader.layers() if layer.source == "MIMOCODE_CONFIG_CONTENT")

    assert layer.data == {"{env:A}": [expected, 1], "deep": {"key": expected}}
    assert layer.written == json.loads(content)


SETTINGS = read({"HOME": "/nowhere", "MIMOCODE_HOME": "/nowhere/mimocode"})


keys = st.sampled_from(["model", "permission", "instructions", "agent", "bash", "edit", "*", "plugin"])
layers = st.recursive(
    st.sampled_from(["ask", "allow", "deny", 1, None]),
    lambda some: (
        st.dictionaries(keys, some, max_size=3) | st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True)
    ),
)
configurations = st.dictionaries(keys, layers, max_size=4)


@bounded
@given(configurations, configurations)
def test_a_stronger_configuration_lies_upon_a_weaker_one(low: dict[str, Any], high: dict[str, Any]) -> None:
    both = merged(low, high)

    assert merged(low, {}) == low
    assert merged({}, high) == high
    assert list(both)[: len(low)] == list(low)
    assert set(both) == {*low, *high}
    assert [both[key] for key in low if key not in high] == [low[key] for key in low if key not in high]
    again = merged(both, high)  # which may spell `"ask"` out as `{"*": "ask"}`, once
    assert merged(again, high) == again
    for key in low.keys() & high.keys():
        if isinstance(low[key], dict) and isinstance(high[key], dict):
            assert both[key].keys() == low[key].keys() | high[key].keys()
    for key, value in high.items():
        if not isinstance(value, dict | list):
            assert both[key] == value or key == "permission"


# ── ids ──────────────────────────────────────────────────────────────────────────────────────────────────


@bounded
@given(st.integers(0, 300 * 24 * 3600 * 1000), st.sampled_from(["msg", "prt", "evt"]))
def test_ids_come_after_those_of_a_process_before_whatever_its_clock_said(ahead_ms: int, prefix: ids.Prefix) -> None:
    before, kept = ids.ascending(prefix), ids._last
    stamp = int(before.partition("_")[2][:12], 16) + (ahead_ms << 12)
    theirs = f"{prefix}_{stamp & ((1 << 48) - 1):012x}{'z' * 14}"
    try:
        ids.follow(theirs)
        ours = ids.ascending(prefix)
        gone_on = (int(ours.partition("_")[2][:12], 16) - stamp) & ((1 << 48) - 1)
        assert 0 < gone_on < 1 << 47
    finally:
        ids._last = kept


@bounded
@given(st.text(max_size=30))
def test_what_is_no_id_of_ours_moves_no_clock_backwards(text: str) -> None:
    kept = ids._last
    try:
        before = ids.ascending("msg")
        ids.follow(text)
        if re.match(r"\w*_[0-9a-f]{12}", text) is None:
            assert ids.ascending("msg") > before
    finally:
        ids._last = max(kept, ids.now_ms() << 12)


# ── patches ──────────────────────────────────────────────────────────────────────────────────────────────

lines = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"), max_size=6)
files = st.lists(lines.filter(str.strip), max_size=12, unique_by=str.strip)


@bounded
@given(files, st.data(), st.integers(0, 2), st.sampled_from(["\n", "\r\n"]))
def test_a_patch_of_the_difference_makes_of_one_file_the_other(
    old: list[str], data: st.DataObject, around: int, ending: str
) -> None:
    new = [line for line in old if data.draw(st.integers(0, 3))]
    for line in data.draw(st.lists(lines.filter(str.strip), max_size=3)):
        new.insert(data.draw(st.integers(0, len(new))), line)
    hunks = [
        hunk_of(old, new, group) for group in difflib.SequenceMatcher(None, old, new, False).get_grouped_opcodes(around)
    ]
    # Lines that are only added need a place: the one above them.
    if any(not hunk.old for hunk in hunks):
        hunks = [hunk_of(old, new, difflib.SequenceMatcher(None, old, new, False).get_opcodes())]
    text = rendered([Update("f", None, hunks)])

    (found,) = parse(text) if hunks else (Update("f", None, []),)

    assert isinstance(found, Update)
    assert applied(whole(old, ending), found.hunks, "f") == whole(new, ending if len(old) > 0 else "\n")


def whole(of: list[str], ending: str) -> str:
    return "".join(f"{line}{ending}" for line in of)


def hunk_of(old: list[str], new: list[str], group: Any) -> Hunk:
    marked: list[tuple[str, str]] = []
    for kind, a, b, c, d in group:
        if kind == "equal":
            marked += [(" ", line) for line in old[a:b]]
        else:
            marked += [*(("-", line) for line in old[a:b]), *(("+", line) for line in new[c:d])]
    return Hunk("", marked)


def rendered(operations: list[Operation]) -> str:
    told = ["*** Begin Patch"]
    for one in operations:
        match one:
            case Add():
                told += [f"*** Add File: {one.path}", *(f"+{line}" for line in one.text.split("\n")[:-1])]
            case Delete():
                told += [f"*** Delete File: {one.path}"]
            case Update():
                told += [f"*** Update File: {one.path}", *([f"*** Move to: {one.move}"] if one.move else [])]
                for hunk in one.hunks:
                    told += [f"@@ {hunk.above}".strip(), *(f"{mark}{line}" for mark, line in hunk.lines)]
                    told += ["*** End of File"] if hunk.at_end else []
    return "\n".join([*told, "*** End Patch"])


paths = st.text("ab/. é", min_size=1, max_size=8).filter(lambda path: path == path.strip())
hunks = st.builds(
    Hunk,
    above=st.sampled_from(["", "def f():"]),
    lines=st.lists(st.tuples(st.sampled_from("+-"), lines), min_size=1, max_size=4),
    at_end=st.booleans(),
)
operations = (
    st.builds(Add, paths, st.lists(lines, max_size=3).map(lambda some: whole(some, "\n")))
    | st.builds(Delete, paths)
    | st.builds(Update, paths, st.none() | paths, st.lists(hunks, min_size=1, max_size=3))
)


@bounded
@given(st.lists(operations, min_size=1, max_size=4))
def test_a_patch_is_read_as_it_was_written(wanted: list[Operation]) -> None:
    assert parse(rendered(wanted)) == wanted


@bounded
@given(st.text("*+-@ \nabBeginEdPatchAdFil:", max_size=60), st.booleans())
def test_a_text_that_is_no_patch_is_refused_in_words(text: str, framed: bool) -> None:
    found, refused = outcome(lambda: parse(f"*** Begin Patch\n{text}\n*** End Patch" if framed else text), ToolFailed)

    assert "patch" in refused if refused else found


# ── event streams ────────────────────────────────────────────────────────────────────────────────────────


@bounded
@given(st.lists(st.tuples(st.none() | st.text("0123456789a", max_size=4), words), max_size=5), st.data())
def test_a_stream_says_what_was_sent_wherever_it_is_cut(
    sent: list[tuple[str | None, str]], data: st.DataObject
) -> None:
    ending, stream, expected, last = data.draw(st.sampled_from(["\n", "\r\n"])), "", list[Frame](), ""
    for named, text in sent:
        pieces = re.split(r"\r\n|\r|\n", text)
        stream += data.draw(
            st.sampled_from(["", f": beat{ending}", f"retry: 5{ending}", f"{ending}", f"event: x{ending}"])
        )
        stream += "" if named is None else f"id: {named}{ending}"
        stream += "".join(f"data: {piece}{ending}" for piece in pieces) + ending
        last = last if named is None else named
        expected.append(Frame(last, "\n".join(pieces)))
    raw = stream.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    frames = Frames()

    got = [one for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True) for one in frames.feed(raw[a:b])]

    assert got == expected


# ── headers ──────────────────────────────────────────────────────────────────────────────────────────────

addresses = st.ip_addresses().map(str)
ports = st.none() | st.integers(0, 65535)


def hop(address: str, port: int | None) -> str:
    shown = f"[{address}]" if ":" in address else address
    return shown if port is None else f"{shown}:{port}"


def scope(**headers: str) -> dict[str, Any]:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "scheme": "http", "client": ("10.0.0.7", 1), "headers": raw}


@bounded
@given(st.lists(st.tuples(addresses, ports), min_size=1, max_size=4), st.booleans(), st.sampled_from(["http", "https"]))
def test_both_families_of_headers_name_the_same_client(
    hops: list[tuple[str, int | None]], spaces: bool, proto: str
) -> None:
    """The one nearest to us that is no proxy of ours: what stands before it the client may have made up."""
    ours = proxies(["10.0.0.0/8"])
    shown = [hop(*one) for one in hops]
    comma = ", " if spaces else ","
    by_x = ours.seen(scope(x_forwarded_for=comma.join(shown), x_forwarded_proto=proto))
    by_rfc = ours.seen(scope(forwarded=comma.join(f'For="{one}";proto={proto}' for one in shown)))

    strangers = [address for address, _ in hops if not ours.has(address)]
    expected = strangers[-1] if strangers else hops[0][0]
    mapped = ip_address(expected)
    assert by_x == by_rfc
    assert by_x.scheme == proto
    assert by_x.address == str(getattr(mapped, "ipv4_mapped", None) or mapped)


@bounded
@given(st.text(st.characters(max_codepoint=255), max_size=40), st.text(st.characters(max_codepoint=255), max_size=40))
def test_whatever_is_forwarded_names_an_address_or_is_refused(x_for: str, forwarded: str) -> None:
    ours = proxies(["10.0.0.0/8"])
    for told in ({"x_forwarded_for": x_for}, {"forwarded": forwarded}, {"x_forwarded_proto": x_for}):
        seen, refused = outcome(lambda told=told: ours.seen(scope(**told)), Ambiguous)
        if refused is None:
            assert ip_address(seen.address)
            assert seen.scheme in ("http", "https")
        else:
            assert "Forwarded" in refused


@bounded
@given(st.text(st.characters(max_codepoint=255), max_size=30))
def test_a_stranger_says_nothing_about_itself_by_headers(text: str) -> None:
    alien = {
        **scope(x_forwarded_for="1.2.3.4", forwarded="for=1.2.3.4", x_forwarded_host=text),
        "client": ("8.8.8.8", 1),
    }

    assert proxies(["10.0.0.0/8"]).seen(alien).address == "8.8.8.8"


hosts = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20})", fullmatch=True) | addresses


@bounded
@given(hosts, ports)
def test_the_name_of_a_host_is_what_stands_before_its_port(host: str, port: int | None) -> None:
    assert name_of(hop(host, port)) == host


@bounded
@given(
    st.text(max_size=30)
    | st.tuples(st.sampled_from(["localhost", "127.0.0.1"]), st.text("@./:#?\\ %[]x0", max_size=6)).map("".join)
)
def test_a_host_that_is_taken_for_ours_is_written_as_ours(host: str) -> None:
    """By the strictest reading there is: the name alone, or with a port of digits."""
    if Reach("127.0.0.1").misdirected(host) is None:
        assert re.fullmatch(r"(?i:localhost|127\.0\.0\.1|\[::1\])(:\d*)?", host, re.ASCII)


# ── scripts of rehearsals ────────────────────────────────────────────────────────────────────────────────

spoken = st.text("ab:<>#-{} é", min_size=1, max_size=10).filter(
    lambda text: text == text.strip() and not re.search(r"<<\w+$", text)
)
actions = (
    spoken.map(lambda text: (f"text: {text}", Say(text)))
    | st.integers(0, 9999).map(lambda ms: (f"delay: {ms}ms", Delay(ms / 1000)))
    | st.sampled_from(["stop", "length"]).map(lambda reason: (f"finish: {reason}", Finish(reason)))
    | st.integers(400, 599).map(lambda status: (f"error: {status} no", Fail(status, "no")))
    | objects.map(lambda value: (f"call: bash {json.dumps(value)}", CallTool("bash", json.dumps(value), value)))
)


@bounded
@given(
    st.lists(st.lists(actions, min_size=1, max_size=1), min_size=1, max_size=4), st.sampled_from(["", "# note\n", "\n"])
)
def test_a_script_is_read_as_it_was_written(steps: list[list[tuple[str, Any]]], between: str) -> None:
    source = f"\n{between}---\n".join("\n".join(line for line, _ in step) for step in steps)

    found = reading.parse(source)

    assert [list(step.actions) for step in found.steps] == [[action for _, action in step] for step in steps]


@bounded
@given(
    st.text(max_size=40)
    | st.lists(
        st.tuples(st.sampled_from([*reading.VERBS, "---", "x"]), st.text(" :<<E{}0159ms=", max_size=8)).map(": ".join),
        max_size=4,
    ).map("\n".join)
)
def test_a_text_that_is_no_script_is_refused_with_its_line(source: str) -> None:
    script, refused = outcome(lambda: reading.parse(source), Invalid)

    if refused is not None:
        assert re.match(r"script, line \d+: ", refused)
    else:
        delays = [one.seconds for step in script.steps for one in step.actions if isinstance(one, Delay)]
        assert all(math.isfinite(one) and one >= 0 for one in delays)
