"""A batch is cut into the exact bytes of its items, or refused."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.batch import MAX_ITEMS, NoBatchError, TooManyItemsError, array_items, line_items
from rules.cloud_events import batched_items
from rules.told import Item

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
BLANKS = st.text(" \t\r\n", max_size=3)
DOCUMENTS = st.tuples(JSON, st.sampled_from([None, 1, "\t"]), st.booleans()).map(
    lambda drawn: json.dumps(drawn[0], indent=drawn[1], ensure_ascii=drawn[2])
)


@given(st.lists(st.tuples(BLANKS, DOCUMENTS, BLANKS), max_size=8))
def test_the_elements_of_an_array_are_cut_out_byte_for_byte(elements: list[tuple[str, str, str]]) -> None:
    body = "[" + ",".join("".join(parts) for parts in elements) + "]"
    assert [item.body for item in array_items(body.encode())] == [text.encode() for _, text, _ in elements]


@given(st.lists(JSON.map(lambda value: json.dumps(value).encode()), max_size=8), st.sampled_from([b"\n", b"\r\n"]))
def test_the_lines_of_ndjson_are_cut_out_byte_for_byte(lines: list[bytes], end: bytes) -> None:
    assert [item.body for item in line_items(end.join(lines))] == lines
    assert [item.body for item in line_items(end.join([*lines, b" ", b""]))] == lines


@given(st.binary(max_size=60))
def test_no_body_makes_the_cutting_fail_in_another_way(body: bytes) -> None:
    line_items(body)
    for cut in (array_items, batched_items):
        try:
            cut(body)
        except NoBatchError:
            continue


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[1,]", b"[1] 2", b"[1", b"nonsense", b'{"items":[]}', b"[" * 500_000, b"\xef\xbb\xbf[]"]
)
def test_what_is_no_array_is_no_batch(body: bytes) -> None:
    with pytest.raises(NoBatchError):
        array_items(body)


def test_a_line_that_is_no_json_has_a_fault_and_the_others_have_none() -> None:
    found = line_items(b'{"a":1}\n{"a":\n{"a":2}')
    assert [bool(item.fault) for item in found] == [False, True, False]
    assert (found[1].body, found[1].fault_code) == (b'{"a":', "malformed")
    assert line_items(b"[" * 500_000)[0].fault


def test_a_batch_of_too_many_items_is_refused_as_a_whole() -> None:
    assert len(array_items(b"[" + b",".join([b"1"] * MAX_ITEMS) + b"]")) == MAX_ITEMS
    assert len(line_items(b"1\n" * MAX_ITEMS)) == MAX_ITEMS
    with pytest.raises(TooManyItemsError, match="501"):
        array_items(b"[" + b",".join([b"1"] * (MAX_ITEMS + 1)) + b"]")
    with pytest.raises(TooManyItemsError):
        line_items(b"1\n" * (MAX_ITEMS + 1))


def test_an_empty_batch_has_no_items() -> None:
    nothing: list[Item] = []
    assert array_items(b" [ ] ") == line_items(b"") == line_items(b"\r\n\n") == nothing


def test_the_events_of_a_cloudevents_batch_tell_their_type_and_id_or_have_a_fault() -> None:
    good = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": {"type": "inner"}}
    found = batched_items(orjson.dumps([good, good | {"id": ""}, "x"]))
    assert (found[0].told.event_type, found[0].told.dedup_id) == ("t", "/s 1") if found[0].told else False
    assert [item.fault_code for item in found] == ["", "cloudevent_invalid", "cloudevent_invalid"]
    assert "attribute id" in found[1].fault
