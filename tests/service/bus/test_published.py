"""How one event is spelled for each kind of stream: as the types in `wire.event`, which the OpenAPI document shows."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimocode.bus.published import Published
from mimocode.turn.ports import Place
from mimocode.wire.event import (
    Body,
    Event,
    FileEdited,
    Form,
    GlobalEvent,
    InstanceDisposed,
    PartDelta,
    SecondEvent,
    ServerConnected,
    SessionIdle,
)

_TYPES: dict[Form, type[Event | GlobalEvent | SecondEvent]] = {
    "plain": Event,
    "wrapped": GlobalEvent,
    "second": SecondEvent,
}
_texts = st.text(st.characters(codec="utf-8"), max_size=20)
_places = st.none() | st.builds(Place, directory=_texts, project=_texts, turn=st.integers(0, 5))
_bodies = st.one_of(
    st.builds(ServerConnected),
    st.builds(FileEdited, file=_texts),
    st.builds(
        PartDelta, sessionID=_texts, messageID=_texts, partID=_texts, field=st.just("text"), delta=_texts
    ),
)  # fmt: skip


def _data(frame: bytes) -> bytes:
    first, *rest = frame.split(b"\n")
    assert first.startswith(b"data: ")
    assert rest in ([b"", b""], [rest[0], b"", b""])
    return first.removeprefix(b"data: ")


def _as_types_say(form: Form, place: Place | None, body: Body, seq: int | None, told: dict[str, Any]) -> object:
    """The event by its type; the id is the one that was told."""
    properties = body.plain()
    match form:
        case "plain":
            return {"id": told["id"], "type": body.type, "properties": properties}
        case "wrapped":
            payload = {"id": told["payload"]["id"], "type": body.type, "properties": properties}
            where = {} if place is None else {"directory": place.directory, "project": place.project}
            return {**where, "payload": payload}
        case "second":
            durable = {"aggregateID": getattr(body, "sessionID", None), "seq": seq, "version": 1}
            return {
                "id": told["id"],
                "type": body.type,
                **({"durable": durable} if seq is not None and durable["aggregateID"] is not None else {}),
                **({} if place is None else {"location": {"directory": place.directory}}),
                "data": properties,
            }


@given(place=_places, body=_bodies, seq=st.none() | st.integers(1, 2**53), form=st.sampled_from(list(_TYPES)))
def test_a_frame_is_what_its_type_says(place: Place | None, body: Body, seq: int | None, form: Form) -> None:
    frame = Published(place, body, seq).frame(form)
    told = json.loads(_data(frame))

    assert told == _as_types_say(form, place, body, seq, told)
    assert _TYPES[form].model_validate(told).plain() == told
    assert frame.endswith(b"\n\n" if seq is None else b"\nid: %d\n\n" % seq)


@given(place=_places, body=_bodies, seq=st.none() | st.integers(1, 2**53))
def test_what_was_lightened_is_told_in_the_same_bytes(place: Place | None, body: Body, seq: int | None) -> None:
    published = Published(place, body, seq)
    before = [published.frame(form) for form in _TYPES]

    published.lighten()

    assert published.body is None
    assert [published.frame(form) for form in _TYPES] == before


def test_what_was_lightened_before_anybody_listened_is_told_as_well() -> None:
    published = Published(None, SessionIdle(sessionID="ses_1"), 7)

    published.lighten()
    published.lighten()

    assert json.loads(_data(published.frame("plain")))["properties"] == {"sessionID": "ses_1"}


def test_one_event_has_one_id_whoever_is_told() -> None:
    published = Published(None, SessionIdle(sessionID="ses_1"))

    plain, wrapped, second = (json.loads(_data(published.frame(form))) for form in _TYPES)

    assert plain["id"] == wrapped["payload"]["id"] == second["id"]


@pytest.mark.parametrize("form", list(_TYPES))
def test_a_name_that_is_no_text_is_told_with_question_marks(form: Form) -> None:
    published = Published(Place("/w/\udcff", "p\udcff"), FileEdited(file="/w/\udcff"))

    assert b"/w/?" in published.frame(form)
    assert json.loads(_data(published.frame(form)))


def test_that_a_directory_is_disposed_of_is_remembered_without_the_event() -> None:
    published = Published(None, InstanceDisposed(directory="/w"))
    published.lighten()

    assert published.disposes
    assert not published.is_for("/w", "second")
    assert published.is_for("/w", "plain")
