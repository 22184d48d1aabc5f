"""Records survive their codecs whatever they hold, and reading never fails in a way nobody expects."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.attempt import Attempt, decode_attempt, encode_attempt
from schemas.delivery import Delivery, decode_delivery, encode_delivery
from schemas.dispatch import Dispatch, decode_dispatch, encode_dispatch
from schemas.event import Event, decode_event, encode_event
from schemas.headers import MalformedRecordError, epoch_ms, rfc3339
from schemas.ids import RECORD_ID, delivery_id, new_id, ulid_time_ms
from schemas.operation import Operation, decode_operation, encode_operation
from schemas.outcome import Outcome, decode_outcome, encode_outcome
from schemas.rejection import Rejection, decode_rejection, encode_rejection
from schemas.replay import decode_replay_record
from schemas.stored import decode_record
from schemas.values import MAX_DEPTH, is_too_deep
from tests import strategies as draw
from tests.golden import cases
from tests.golden.codecs import ALL, unseal

VALUE_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "attempt": decode_attempt,
    "dispatch": decode_dispatch,
    "rejection": decode_rejection,
    "outcome": decode_outcome,
    "replay": decode_replay_record,
    "operation": decode_operation,
    "sources": lambda value: decode_record("sources", value, unseal),
    "topics": lambda value: decode_record("topics", value, unseal),
    "subscriptions": lambda value: decode_record("subscriptions", value, unseal),
}


@given(draw.events)
def test_an_event_comes_back_as_it_was_with_every_byte_of_its_body(event: Event) -> None:
    assert decode_event(event.body, encode_event(event)) == event


@given(draw.deliveries)
def test_a_delivery_comes_back_as_it_was(delivery: Delivery) -> None:
    assert decode_delivery(delivery.body, encode_delivery(delivery)) == delivery


@pytest.mark.parametrize(
    ("value", "changes"),
    [
        (b"body", {}),
        (b"", {"hl-body-ref": b"1"}),
        (b"", {"hl-body-ref": b"-1/1"}),
        (b"", {"hl-body-bytes": b"2097153"}),
        (b"", {"hl-body-digest": None}),
    ],
)
def test_a_reference_that_is_none_makes_a_delivery_unreadable(value: bytes, changes: dict[str, bytes | None]) -> None:
    headers = dict[str, bytes | None](encode_delivery(cases.DELIVERIES["delivery_of_a_large_body"])) | changes
    with pytest.raises(MalformedRecordError):
        decode_delivery(value, [(name, raw) for name, raw in headers.items() if raw is not None])


@given(draw.attempts)
def test_an_attempt_comes_back_as_it_was(attempt: Attempt) -> None:
    assert decode_attempt(encode_attempt(attempt)) == attempt


@given(draw.dispatches)
def test_a_dispatch_comes_back_as_it_was(dispatch: Dispatch) -> None:
    assert decode_dispatch(encode_dispatch(dispatch)) == dispatch


@given(draw.rejections)
def test_a_rejection_comes_back_as_it_was(rejection: Rejection) -> None:
    assert decode_rejection(encode_rejection(rejection)) == rejection


@given(draw.outcomes)
def test_an_outcome_comes_back_as_it_was(outcome: Outcome) -> None:
    assert decode_outcome(encode_outcome(outcome)) == outcome


@given(draw.operations)
def test_an_operation_comes_back_as_it_was_also_one_of_a_kind_that_nobody_knows_yet(operation: Operation) -> None:
    assert decode_operation(encode_operation(operation)) == operation


@given(draw.events, st.lists(st.tuples(st.text("abc", min_size=1), st.binary()), max_size=5))
def test_an_events_unknown_headers_are_kept_in_order_with_repeats(
    event: Event, unknown: list[tuple[str, bytes]]
) -> None:
    headers = [*encode_event(event), *unknown]
    assert list(decode_event(event.body, headers).extra) == [*event.extra, *unknown]


@pytest.mark.parametrize("kind", VALUE_DECODERS)
@given(value=st.binary() | draw.JSON.map(lambda document: json.dumps(document).encode()))
@example(value=b"")
@example(value=b"null")
@example(value=b"[]")
@example(value=b'"\xff"')
@example(value=b'{"kind":"\xff\xfe"}')
def test_any_value_is_read_or_is_a_malformed_record(kind: str, value: bytes) -> None:
    with contextlib.suppress(MalformedRecordError):
        VALUE_DECODERS[kind](value)


@pytest.mark.parametrize("kind", VALUE_DECODERS)
@pytest.mark.parametrize("around", [b"%b", b'{"x":%b}', b'{"record":{"x":%b}}', b'{"auth_config":{"x":%b}}'])
def test_nesting_without_end_is_a_malformed_record(kind: str, around: bytes) -> None:
    with pytest.raises(MalformedRecordError):
        VALUE_DECODERS[kind](around % (b"[" * 200_000 + b"]" * 200_000))


@pytest.mark.parametrize("name", [name for name in ALL if name not in {*cases.EVENTS, *cases.DELIVERIES}])
@given(data=st.data())
def test_a_record_with_one_field_replaced_is_read_or_is_a_malformed_record(name: str, data: st.DataObject) -> None:
    codec, item = ALL[name]
    document = json.loads(codec.write(item)[1])
    field = data.draw(st.sampled_from(sorted(document)))
    document[field] = data.draw(draw.JSON)
    with contextlib.suppress(MalformedRecordError):
        read = codec.read(([], json.dumps(document).encode()))
        codec.write(read)  # what was read as good can be written
        assert type(getattr(read, "version", 0)) is type(getattr(read, "generation", 0)) is int


@pytest.mark.parametrize("name", [*cases.EVENTS, *cases.DELIVERIES])
@given(data=st.data())
def test_a_header_replaced_or_lost_is_read_or_is_a_malformed_record(name: str, data: st.DataObject) -> None:
    codec, item = ALL[name]
    headers, value = codec.write(item)
    index = data.draw(st.integers(0, len(headers) - 1))
    other = data.draw(st.none() | st.binary() | draw.TEXT.map(str.encode) | st.integers().map(lambda n: b"%d" % n))
    headers[index : index + 1] = [] if other is None else [(headers[index][0], other)]
    with contextlib.suppress(MalformedRecordError):
        read = codec.read((headers, value))
        codec.write(read)


@given(value=st.binary(), headers=draw.RECORD_HEADERS)
def test_a_record_without_our_headers_is_no_event_and_no_delivery(
    value: bytes, headers: list[tuple[str, bytes]]
) -> None:
    with pytest.raises(MalformedRecordError):
        decode_event(value, headers)
    with pytest.raises(MalformedRecordError):
        decode_delivery(value, headers)


def test_a_tombstone_is_no_record_of_any_stream_that_has_none() -> None:
    for decode in (decode_attempt, decode_dispatch, decode_rejection, decode_outcome, decode_operation):
        with pytest.raises(MalformedRecordError):
            decode(None)


@given(draw.TIME_MS)
def test_a_time_comes_back_to_the_millisecond(moment_ms: int) -> None:
    assert epoch_ms(rfc3339(moment_ms)) == moment_ms


@given(st.text())
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59.999999-23:59")
def test_any_text_is_a_time_with_a_zone_or_is_malformed(text: str) -> None:
    with contextlib.suppress(MalformedRecordError):
        assert isinstance(epoch_ms(text), int)


ID_PARTS = st.tuples(draw.TEXT, draw.TEXT, draw.POSITION, draw.NUMBER, draw.TEXT)


@given(ID_PARTS, ID_PARTS)
@example(("a", "bc", 1, 0, ""), ("ab", "c", 1, 0, ""))
@example(("a", "b", 11, 0, ""), ("a", "b", 1, 10, ""))
def test_delivery_ids_are_equal_for_equal_parts_and_for_no_others(
    one: tuple[str, str, int, int, str], other: tuple[str, str, int, int, str]
) -> None:
    assert delivery_id(*one) == delivery_id(*one)
    assert (delivery_id(*one) == delivery_id(*other)) == (one == other)


def test_a_delivery_id_never_changes_for_the_same_parts() -> None:
    # Written down: were it to change, every delivery in flight during the upgrade would be made twice.
    assert delivery_id("e", "s", 1) == "61384ad3f393f085c7b2f1ba66f849c9"


def test_new_ids_are_valid_record_ids_that_carry_their_time() -> None:
    made = [new_id() for _ in range(1_000)]
    assert len(set(made)) == len(made)
    assert all(RECORD_ID.fullmatch(text) and ulid_time_ms(text) for text in made)
    assert ulid_time_ms("not-a-ulid") is None


@given(st.integers(0, 2 * MAX_DEPTH), st.data())
def test_a_value_is_too_deep_when_it_has_more_levels_than_are_taken(levels: int, data: st.DataObject) -> None:
    value: Any = data.draw(st.none() | st.integers() | st.text(max_size=3))
    for _ in range(levels):
        value = data.draw(st.sampled_from([[1, value], {"a": 1, "b": value}]))
    assert is_too_deep(value) is (levels > MAX_DEPTH)
