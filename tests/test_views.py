"""Each view tells what an independent count of the same records tells."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace

from projections.writer.rows import Row, attempt_rows, delivery_rows, dispatch_rows, event_rows, rejection_rows
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.attempt import Attempt, AttemptKind, encode_attempt
from schemas.delivery import encode_delivery
from schemas.dispatch import encode_dispatch
from schemas.event import encode_event
from schemas.headers import Headers
from schemas.rejection import encode_rejection
from tests.clickhouse_fixture import engine
from tests.query_books import Books, write_books

__all__ = ["engine"]

HOUR_MS = 3_600_000
ENDS = {"SUCCESS", "FAILED", "CANCELLED"}


@dataclass(frozen=True)
class Record:
    """A record as it stands in Kafka."""

    offset: int
    value: bytes | None
    headers: Headers = ()
    partition: int = 0


@pytest.fixture(scope="module")
def writer(engine: EmbeddedClickHouse) -> Iterator[Client]:
    client = engine.open_writer()
    yield client
    client.close()


@pytest.fixture(scope="module")
def books(writer: Client) -> Books:
    """Records of the last hours, each stored twice."""
    written = write_books(seed=31, count=200)
    faulty = [
        replace(event, schema_fault=f"/n: {number % 3}") if number % 4 == 0 else event
        for number, event in enumerate(written.events)
    ]
    written.events = faulty
    written.rejections = [
        replace(item, code="schema_mismatch" if number % 2 else item.code)
        for number, item in enumerate(written.rejections)
    ]
    for _ in range(2):
        store(writer, rows_of(written))
    return written


def rows_of(books: Books) -> Iterable[Row]:
    for offset, event in enumerate(books.events):
        yield from event_rows(Record(offset, event.body, encode_event(event)))
    for offset, dispatch in enumerate(books.dispatches.values()):
        yield from dispatch_rows(Record(offset, encode_dispatch(dispatch)))
    for offset, delivery in enumerate(books.deliveries):
        yield from delivery_rows(Record(offset, delivery.body, encode_delivery(delivery)))
    for offset, attempt in enumerate(books.attempts):
        yield from attempt_rows(Record(offset, encode_attempt(attempt)))
    for offset, rejection in enumerate(books.rejections):
        yield from rejection_rows(Record(offset, encode_rejection(rejection)))


def store(client: Client, rows: Iterable[Row]) -> None:
    tables: dict[str, list[bytes]] = defaultdict(list)
    for row in rows:
        tables[row.table].append(row.json)
    for table, lines in tables.items():
        client.raw_insert(table, insert_block=b"\n".join(lines), fmt="JSONEachRow")


def ask(client: Client, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in client.query(query).named_results()]


def requests(books: Books) -> list[Attempt]:
    return [item for item in books.attempts if item.kind is AttemptKind.ATTEMPT]


def nearest_rank(values: Sequence[int], share: float) -> int:
    return sorted(values)[math.ceil(share * len(values)) - 1]


def ms(row: dict[str, Any], name: str) -> int:
    moment: datetime = row[name]
    return round(moment.timestamp() * 1000)


def test_failing_endpoints_are_those_with_failures_and_since_when(writer: Client, books: Books) -> None:
    by_endpoint: dict[str, list[Attempt]] = defaultdict(list)
    for item in requests(books):
        by_endpoint[item.subscription_id].append(item)
    shown = {row["subscription_id"]: row for row in ask(writer, "SELECT * FROM failing_endpoints")}
    assert set(shown) == {name for name, items in by_endpoint.items() if any(i.status != "SUCCESS" for i in items)}
    for name, row in shown.items():
        items = by_endpoint[name]
        bad = [item for item in items if item.status != "SUCCESS"]
        assert (row["attempts"], row["failures"]) == (len(items), len(bad))
        assert row["failure_share"] == pytest.approx(len(bad) / len(items))
        mended_ms = max((item.started_ms for item in items if item.status == "SUCCESS"), default=0)
        since = [item.started_ms for item in bad if item.started_ms > mended_ms]
        assert ms(row, "failing_since") == min(since, default=0)
        last_ms = max(item.started_ms for item in bad)
        assert ms(row, "last_failed_at") == last_ms
        assert row["last_status_code"] in {i.response_status_code for i in bad if i.started_ms == last_ms}


def test_slowest_endpoints_have_their_percentiles_by_nearest_rank(writer: Client, books: Books) -> None:
    durations: dict[str, list[int]] = defaultdict(list)
    for item in requests(books):
        durations[item.subscription_id].append(item.duration_ms)
    shown = ask(writer, "SELECT * FROM slowest_endpoints")
    assert [row["p95_ms"] for row in shown] == sorted((row["p95_ms"] for row in shown), reverse=True)
    for row in shown:
        times = durations.pop(row["subscription_id"])
        assert (row["attempts"], row["slowest_ms"], row["timeouts"]) == (len(times), max(times), 0)
        assert [row["p50_ms"], row["p95_ms"], row["p99_ms"]] == [nearest_rank(times, at) for at in (0.5, 0.95, 0.99)]
    assert not durations


def test_the_timeline_of_an_event_has_a_row_for_each_thing_that_happened(writer: Client, books: Books) -> None:
    shown = Counter((row["event_id"], row["what"]) for row in ask(writer, "SELECT event_id, what FROM event_timeline"))
    expected: Counter[tuple[str, str]] = Counter((event.event_id, "received") for event in books.events)
    expected.update((event_id, "dispatched") for event_id in books.dispatches)
    expected.update((item.event_id, str(item.kind)) for item in books.attempts)
    expected.update((item.event_id, "completed") for item in books.deliveries if books.states[item.delivery_id] in ENDS)
    expected.update((item.rejection_id, "rejected") for item in books.rejections)
    assert shown == expected


def test_the_retry_funnel_counts_deliveries_by_the_attempt_that_they_came_to(writer: Client, books: Books) -> None:
    groups: dict[tuple[str, str, int], list[Attempt]] = defaultdict(list)
    for item in requests(books):
        groups[item.subscription_id, item.topic_id, item.attempt].append(item)
    shown = ask(writer, "SELECT * FROM retry_funnel")
    assert {(row["subscription_id"], row["topic_id"], row["attempt"]) for row in shown} == set(groups)
    for row in shown:
        items = groups[row["subscription_id"], row["topic_id"], row["attempt"]]
        states = Counter(str(item.status) for item in items)
        assert row["deliveries"] == len({item.delivery_id for item in items})
        assert row["succeeded"] == states["SUCCESS"]
        assert row["given_up"] == states["FAILED"] + states["CANCELLED"]
        assert row["success_share"] == pytest.approx(row["succeeded"] / row["deliveries"])


def test_latency_is_from_accepted_to_delivered_without_replays(writer: Client, books: Books) -> None:
    last = {item.delivery_id: item for item in books.attempts}
    took: dict[tuple[int, str, str], list[tuple[int, int]]] = defaultdict(list)
    for item in books.deliveries:
        if books.states[item.delivery_id] == "SUCCESS" and not item.replay_id:
            end = last[item.delivery_id]
            group = (item.received_ms // HOUR_MS * HOUR_MS, item.subscription_id, item.topic_id)
            took[group].append((end.started_ms + end.duration_ms - item.received_ms, end.attempt))
    shown = ask(writer, "SELECT * FROM delivery_latency")
    assert len(shown) == len(took)
    for row in shown:
        ends = took[ms(row, "hour"), row["subscription_id"], row["topic_id"]]
        times = [time for time, _ in ends]
        assert (row["delivered"], row["at_once"]) == (len(ends), sum(attempt == 1 for _, attempt in ends))
        assert [row["p50_ms"], row["p95_ms"], row["p99_ms"]] == [nearest_rank(times, at) for at in (0.5, 0.95, 0.99)]
        assert row["slowest_ms"] == max(times)


def test_drift_counts_what_was_marked_and_what_was_refused(writer: Client, books: Books) -> None:
    expected = Counter((e.topic_id, e.event_type, e.schema_fault, True) for e in books.events if e.schema_fault)
    expected.update((r.topic_id, "", r.reason, False) for r in books.rejections if r.code == "schema_mismatch")
    shown = ask(writer, "SELECT * FROM schema_drift")
    assert {(r["topic_id"], r["event_type"], r["fault"], r["taken"]): r["events"] for r in shown} == expected
    marked = {event.event_id: event for event in books.events} | {r.rejection_id: r for r in books.rejections}
    assert all(marked[row["last_id"]].received_ms == ms(row, "last_at") for row in shown)
    assert all(row["first_at"] <= row["last_at"] for row in shown)


def test_the_event_log_has_every_request_once_with_its_state(writer: Client, books: Books) -> None:
    shown = {row["event_id"]: row["status"] for row in ask(writer, "SELECT event_id, status FROM event_log")}
    (count,) = ask(writer, "SELECT count() AS n FROM event_log")
    expected = {event.event_id: "RECEIVED" for event in books.events} | dict.fromkeys(books.dispatches, "QUEUED")
    expected |= {item.rejection_id: "FAILED_VALIDATION" for item in books.rejections}
    assert shown == expected
    assert count == {"n": len(expected)}
