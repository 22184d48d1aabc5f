"""Records become rows that ClickHouse stores; a delivery's state only moves forward; one bad row costs no other."""

import json
import random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from projections.rebuild.carry import ORIGINS
from projections.writer.batch import Batch, Place
from projections.writer.cells import EARLIEST_MS, LATEST_MS, moment
from projections.writer.rows import PROJECTIONS, Projection, Row, StoredRecord
from projections.writer.states import delivery_version
from projections.writer.store import insert_entries, store
from projections.writer.whole_numbers import HELD, INT64, UINT16, UINT32, UINT64, check_columns
from runtime.clickhouse import Client
from schemas.attempt import Attempt, AttemptKind, AttemptStatus, encode_attempt
from schemas.delivery import Delivery, encode_delivery
from schemas.event import Event, encode_event
from schemas.headers import MalformedRecordError
from schemas.streams import ATTEMPTS, DELIVERIES, EVENTS, Stream
from tests import strategies
from tests.clickhouse_fixture import Count, count, engine, writer
from tests.projections_fixture import make_attempt, make_delivery, make_event

__all__ = ["count", "engine", "writer"]

TYPES = {"UInt16": UINT16, "UInt32": UINT32, "UInt64": UINT64, "Int64": INT64}

PROJECTION_OF = {projection.stream: projection for projection in PROJECTIONS}


def record(value: bytes | None, offset: int = 0, headers: Any = ()) -> StoredRecord:
    return SimpleNamespace(partition=3, offset=offset, value=value, headers=headers)


def rows_of(stream: Stream, value: bytes | None, offset: int = 0, headers: Any = ()) -> list[Row]:
    return list(PROJECTION_OF[stream].rows(record(value, offset, headers)))


def place(offset: int, stream: Stream = ATTEMPTS) -> Place:
    return Place(TopicPartition(f"hooklog.{stream.name}", 3), stream.name, offset, 1_790_000_000_000)


def batch_of(*rows: tuple[int, list[Row]]) -> Batch:
    batch = Batch(0)
    for offset, made in rows:
        batch.add(place(offset), made, 0)
    return batch


STATUSES = st.sampled_from(["PENDING", "RETRYING", "FAILED", "CANCELLED", "SUCCESS"])
RANK = {"PENDING": 1, "RETRYING": 2, "FAILED": 3, "CANCELLED": 3, "SUCCESS": 4}
STATES = st.tuples(STATUSES, st.integers(0, 60_000), st.integers(0, 2**44 - 1))


@given(STATES, STATES)
def test_a_version_orders_by_state_then_attempts_then_offset(left: Any, right: Any) -> None:
    in_words = (RANK[left[0]], *left[1:]) < (RANK[right[0]], *right[1:])
    assert (delivery_version(*left) < delivery_version(*right)) == in_words
    assert delivery_version(*left) < 2**64


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda item: item.stream.name)
@given(value=st.binary(max_size=200) | st.none(), headers=st.lists(st.tuples(st.text(max_size=9), st.binary())))
def test_bytes_that_are_no_record_are_malformed_and_nothing_worse(
    projection: Projection, value: bytes | None, headers: Any
) -> None:
    with pytest.raises(MalformedRecordError):
        projection.rows(record(value, headers=headers))


@pytest.mark.parametrize("time_ms", [0, -5, 1_790_000_000, 10**17])
def test_a_time_outside_this_century_is_malformed(time_ms: int) -> None:
    attempt = make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS, started_ms=time_ms)
    with pytest.raises(MalformedRecordError, match="no time"):
        rows_of(ATTEMPTS, encode_attempt(attempt))


@pytest.mark.stack
@pytest.mark.parametrize("seed", range(3))
def test_a_delivery_ends_in_the_same_state_whatever_the_order_and_repetition(
    writer: Client, count: Count, seed: int
) -> None:
    event = make_event()
    first = make_delivery(event)
    again = first.next_attempt(event.received_ms + 5_000, "http_500")
    made = [
        *(
            (offset, rows_of(DELIVERIES, b"", offset, encode_delivery(item)))
            for offset, item in ((0, first), (7, again))
        ),
        *((offset, rows_of(ATTEMPTS, encode_attempt(item), offset)) for offset, item in enumerate(story(first))),
    ]
    shuffler = random.Random(seed)
    for _ in range(3):
        shuffler.shuffle(made)
        for part in (made[:2], made[2:]):
            store(writer, batch_of(*part))
    state = writer.query("SELECT status, attempts, last_status_code FROM deliveries FINAL").result_rows
    assert state == [("SUCCESS", 3, 200)]
    assert count("attempts") == 3


def story(delivery: Delivery) -> list[Attempt]:
    retrying = [make_attempt(delivery, n, AttemptStatus.RETRYING, response_status_code=500) for n in (1, 2)]
    return [*retrying, make_attempt(delivery, 3, AttemptStatus.SUCCESS, response_status_code=200)]


@pytest.mark.stack
def test_a_cancelled_delivery_counts_only_the_requests_that_were_made(writer: Client) -> None:
    delivery = make_delivery(make_event())
    outcome = make_attempt(
        delivery, 3, AttemptStatus.CANCELLED, kind=AttemptKind.OUTCOME, reason="subscription_deleted"
    )
    store(writer, batch_of((0, rows_of(ATTEMPTS, encode_attempt(outcome)))))
    rows = writer.query(
        "SELECT status, attempts, reason, toYear(completed_at) > 2000 FROM deliveries FINAL"
    ).result_rows
    assert rows == [("CANCELLED", 2, "subscription_deleted", True)]


@pytest.mark.stack
@pytest.mark.parametrize("body", [b"", b"\x00", b'"\\\n', b"\xff\xfe\x80", "\u2028é😀".encode(), b'{"a":"\\ud800"}'])
def test_a_payload_comes_back_byte_for_byte(writer: Client, body: bytes) -> None:
    event: Event = make_event(body=body, extra=(("x-odd", b"\xff\x00"),), request_headers=(("X-É", "\u00ff\u0000"),))
    store(writer, batch_of((0, rows_of(EVENTS, body, headers=encode_event(event)))))
    rows = writer.query("SELECT payload, payload_bytes FROM events", column_formats={"payload": "bytes"}).result_rows
    assert rows == [(body, len(body))]


@pytest.mark.stack
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=strategies.events)
def test_every_event_that_can_be_read_is_stored(writer: Client, event: Event) -> None:
    event = msgspec.structs.replace(event, received_ms=1_790_000_000_000)
    assert store(writer, batch_of((0, rows_of(EVENTS, event.body, headers=encode_event(event))))) == []


@pytest.mark.stack
def test_rows_that_clickhouse_refuses_are_found_and_every_other_one_is_stored(writer: Client, count: Count) -> None:
    batch = batch_of(
        *(
            (
                offset,
                rows_of(ATTEMPTS, encode_attempt(make_attempt(make_delivery(make_event()), 1, AttemptStatus.FAILED))),
            )
            for offset in range(300)
        )
    )
    entries = batch.tables["attempts"]
    for bad, cell in ((17, b'"error":"\\ud800"'), (250, b'"attempt":-1')):
        entries[bad] = entries[bad]._replace(json=b"{%b}" % cell)
    refused = store(writer, batch)
    assert sorted(item.offset for item in refused) == [17, 250]
    assert count("attempts") == 298
    errors = writer.query(
        "SELECT stream, table_name, _offset, code, record FROM projection_errors FINAL ORDER BY _offset"
    )
    assert errors.result_rows == [
        ("attempts", "attempts", 17, "refused", '{"error":"\\ud800"}'),
        ("attempts", "attempts", 250, "refused", '{"attempt":-1}'),
    ]


@pytest.mark.stack
def test_an_insert_without_rows_does_nothing(writer: Client) -> None:
    assert insert_entries(writer, "attempts", []) == []


def test_a_batch_forgets_what_belongs_to_others_now() -> None:
    batch = Batch(0)
    other = Place(TopicPartition("hooklog.events", 1), "events", 8, 0)
    batch.add(place(4), [Row("attempts", b"{}")], 0)
    batch.add(other, [Row("events", b"{}")], 0)
    batch.drop({place(4).source})
    assert (batch.rows, batch.bytes, batch.offsets) == (1, 2, {other.source: 9})
    assert [entry.place for entry in batch.tables["events"]] == [other]


@pytest.mark.stack
def test_every_millisecond_is_stored_as_it_is(writer: Client) -> None:
    chance = random.Random(12)
    times_ms = [EARLIEST_MS, LATEST_MS - 1, *(chance.randrange(EARLIEST_MS, LATEST_MS) for _ in range(20_000))]
    writer.command("CREATE TABLE times (n UInt32, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY n")
    rows = [msgspec.json.encode({"n": n, "at": moment(time_ms)}) for n, time_ms in enumerate(times_ms)]
    writer.raw_insert("times", insert_block=b"\n".join(rows), fmt="JSONEachRow")
    stored = writer.query("SELECT toUnixTimestamp64Milli(at) FROM times ORDER BY n").result_rows
    writer.command("DROP TABLE times")
    assert [time_ms for (time_ms,) in stored] == times_ms


@pytest.mark.stack
def test_every_whole_number_that_a_record_gives_is_held_against_its_column(writer: Client) -> None:
    ours = {"_partition", "_offset", "_version", "attempts", "last_status_code"}
    columns = writer.query(
        "SELECT DISTINCT name, type FROM system.columns WHERE database = currentDatabase()"
        " AND table IN {tables:Array(String)} AND match(type, '^U?Int')",
        parameters={"tables": list(ORIGINS)},
    ).result_rows
    assert {name: TYPES[kind] for name, kind in columns if name not in ours} == HELD


@pytest.mark.parametrize("field", ["attempt", "response_status_code", "duration_ms", "generation", "config_version"])
@pytest.mark.parametrize("number", [-(1 << 64), (1 << 63) + 1, 1 << 64])
def test_a_number_that_its_column_cannot_hold_is_malformed(field: str, number: int) -> None:
    value = encode_attempt(make_attempt(make_delivery(make_event()), 1, AttemptStatus.SUCCESS))
    document = json.loads(value) | {field: number}
    with pytest.raises(MalformedRecordError):
        rows_of(ATTEMPTS, json.dumps(document).encode())
    with pytest.raises(MalformedRecordError, match="out of range"):
        check_columns({field: number})
