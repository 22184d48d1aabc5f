"""An audit finds and names what was lost and what is there twice, wherever; and of a clean history it says so."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from schemas.attempt import AttemptKind, AttemptStatus
from schemas.streams import EVENTS
from tests.audit_fixture import SUBSCRIPTIONS, History, appender_of
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import DEADLINE_S, Projections, make_attempt, make_delivery, make_event

pytestmark = pytest.mark.stack

HOUR_MS = 3_600_000
STREAMS = {"config_changes": "config.outcomes"}

DELETE = """
import sys
from pathlib import Path
from projections.app import USERS_CONFIG
from runtime.clickhouse import EmbeddedClickHouse

engine = EmbeddedClickHouse(Path(sys.argv[1]) / "clickhouse", USERS_CONFIG)
engine.create_database()
client = engine.open_writer()
for statement in sys.argv[2:]:
    client.command(statement)
client.close()
"""


@pytest.fixture
def projections(kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projections]:
    service = Projections(kafka, tmp_path_factory.mktemp("projections"))
    service.start()
    service.until_ready()
    yield service
    assert service.stop() == 0


@pytest.fixture
async def history(projections: Projections) -> AsyncIterator[History]:
    appender = appender_of(projections.settings)
    await appender.start()
    yield History(appender)
    await appender.stop()


def audit(projections: Projections, query: str = "") -> dict[str, Any]:
    status, body = projections.get(f"/api/v1/audit{query}")
    assert status == 200, body
    report: dict[str, Any] = json.loads(body)
    return report


def found(report: dict[str, Any]) -> set[tuple[str, str]]:
    assert all(item["what"] and item["do"] for item in report["offenders"])
    assert report["offenders_total"] == len(report["offenders"])
    return {(item["kind"], item["id"]) for item in report["offenders"]}


async def report_of(projections: Projections, query: str = "") -> dict[str, Any]:
    return await asyncio.to_thread(audit, projections, query)


async def test_a_clean_history_is_ok_with_the_numbers_that_were_written(
    projections: Projections, history: History
) -> None:
    for _ in range(20):
        event, _ = await history.whole()
    await history.resent(event, SUBSCRIPTIONS[0])
    await history.duplicate()
    await history.rejection()
    report = await report_of(projections)
    assert report["ok"], report
    assert {name: report[name] for name in history.written} == history.written
    assert {name: report[name] for name in ("failed", "cancelled", "pending", "unreadable")} == dict.fromkeys(
        ("failed", "cancelled", "pending", "unreadable"), 0
    )
    assert report["told"] == {"rejected": 1, "unrecorded_rejections": 3}
    attempts = history.written["attempts"]
    assert report["streams"]["attempts"] == {"records": 2 * attempts, "rows": attempts}  # each has a lease
    assert (await report_of(projections, "?until=-1h"))["accepted"] == 0


async def test_what_is_lost_or_there_twice_in_the_streams_is_named_and_nothing_else(
    projections: Projections, history: History
) -> None:
    expected = {(kind, await plant(history)) for kind, plant in PLANTED.items()}
    harmless = await plant_harmless(history)
    report = await report_of(projections)
    assert found(report) == expected
    assert not report["ok"]
    assert report["told"] == harmless
    assert report["offenders_by_kind"] == dict.fromkeys(sorted(PLANTED), 1)
    short = await report_of(projections, "?limit=1")
    assert (len(short["offenders"]), short["offenders_total"]) == (1, len(PLANTED))


async def plant_undispatched(history: History) -> str:
    """An event that dispatch has passed over."""
    event, partition, _ = await history.event()
    while (after := await history.event())[1] != partition:
        await history.dispatch(*after, matched=0)
    await history.dispatch(*after, matched=0)
    return event.event_id


async def plant_delivery_missing(history: History) -> str:
    """A delivery record that was dropped."""
    event, partition, offset = await history.event()
    await history.delivered(make_delivery(event, SUBSCRIPTIONS[0]), 1)
    await history.dispatch(event, partition, offset)
    return event.event_id


async def plant_delivery_unmatched(history: History) -> str:
    """A delivery that nobody matched."""
    event, _ = await history.whole()
    await history.delivered(make_delivery(event, "nobody"), 1)
    return event.event_id


async def plant_dispatched_twice(history: History) -> str:
    """A second dispatch, with another result."""
    event, partition, offset = await history.event()
    await history.dispatch(event, partition, offset, matched=1)
    await history.delivered(make_delivery(event, SUBSCRIPTIONS[0]), 1)
    await history.dispatch(event, partition, offset, matched=0, duplicate=True, duplicate_of="0/0")
    await history.dispatch(event, partition, offset, matched=1)
    return event.event_id


async def plant_event_missing(history: History) -> str:
    """A dispatch of an event that was never accepted."""
    event = make_event()
    await history.dispatch(event, 0, 0, matched=0)
    return event.event_id


async def plant_attempt_missing(history: History) -> str:
    """A success at the second attempt, and no first one."""
    event, partition, offset = await history.event()
    delivery = make_delivery(event)
    place = await history.delivery(delivery)
    await history.attempt(make_attempt(delivery, 2, AttemptStatus.SUCCESS), place)
    await history.dispatch(event, partition, offset, matched=1)
    return str(delivery.delivery_id)


async def plant_overdue(history: History) -> str:
    """A retry that was due an hour ago."""
    delivery, place = await retrying(history)
    due_ms = delivery.received_ms + HOUR_MS
    await history.attempt(make_attempt(delivery, 1, AttemptStatus.RETRYING, next_attempt_ms=due_ms), place)
    return str(delivery.delivery_id)


async def plant_replay_of_nothing(history: History) -> str:
    """A delivery made again, of an event that nobody knows."""
    event = make_event()
    await history.resent(event, SUBSCRIPTIONS[0])
    return event.event_id


PLANTED: dict[str, Callable[[History], Any]] = {
    "undispatched": plant_undispatched,
    "delivery_missing": plant_delivery_missing,
    "delivery_unmatched": plant_delivery_unmatched,
    "dispatched_twice": plant_dispatched_twice,
    "event_missing": plant_event_missing,
    "attempt_missing": plant_attempt_missing,
    "overdue": plant_overdue,
    "replay_of_nothing": plant_replay_of_nothing,
}


async def retrying(history: History) -> tuple[Any, int]:
    """A delivery of two hours ago, and its partition."""
    event, partition, offset = await history.event(received_ms=make_event().received_ms - 2 * HOUR_MS)
    delivery = make_delivery(event)
    place = await history.delivery(delivery)
    await history.dispatch(event, partition, offset, matched=1)
    return delivery, place


async def plant_harmless(history: History) -> dict[str, int]:
    """What looks wrong and is not: it is told, at most."""
    delivery, place = await retrying(history)  # due long ago, but put aside since
    due_ms = delivery.received_ms + HOUR_MS
    await history.attempt(make_attempt(delivery, 1, AttemptStatus.RETRYING, next_attempt_ms=due_ms), place)
    parked = {"kind": AttemptKind.PARKED, "next_attempt_ms": due_ms + 2 * HOUR_MS, "reason": "breaker_open"}
    await history.attempt(make_attempt(delivery, 2, AttemptStatus.RETRYING, **parked), place)

    _, (_, second) = await history.whole()  # a request that a crash repeated
    await history.attempt(make_attempt(second, 2, AttemptStatus.SUCCESS), place)

    event, partition, offset = await history.event()  # joined again after a crash, with fewer subscriptions by then
    await history.delivered(make_delivery(event, SUBSCRIPTIONS[0]), 1)
    await history.dispatch(event, partition, offset, matched=1)
    await history.dispatch(event, partition, offset, matched=0, config_version=10)

    await history.appender.append(EVENTS, b"no event", key=b"k", partition=partition, timeout_s=30)
    await history.dispatch(make_event(event_id=""), partition, offset + 1, matched=0, error="ce_id is missing")
    await history.event(event_id="waiting")  # nobody has come to it yet
    return {"in_flight": 1, "projection_errors": 1, "repeated_attempts": 1, "made_before": 1}


async def test_a_row_that_is_gone_from_a_table_and_one_that_is_too_many_are_named(
    projections: Projections, history: History
) -> None:
    gone = [await history.whole(event_id=f"gone-{number}") for number in range(3)]
    rejection = await history.rejection()
    others = await history.others()
    kept = [(await history.whole(event_id=f"kept-{number}"))[0] for number in range(8)][-1]
    assert (await report_of(projections))["ok"]
    deleted = {
        "events": f"event_id = '{gone[0][0].event_id}'",
        "dispatches": f"event_id = '{gone[1][0].event_id}'",
        "deliveries": f"delivery_id = '{gone[2][1][0].delivery_id}'",
        "attempts": f"delivery_id = '{gone[2][1][1].delivery_id}' AND attempt = 1",
        "rejections": f"rejection_id = '{rejection.rejection_id}'",
        **others,
    }
    statements = [
        f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2" for table, where in deleted.items()
    ]
    columns = "delivery_id, event_id, status, created_at"
    chosen = f"SELECT 'extra', event_id, 'PENDING', received_at FROM events WHERE event_id = '{kept.event_id}'"  # noqa: S608 - the test's own
    statements += [
        "INSERT INTO events (event_id, received_at, _partition, _offset) SELECT 'extra', now64(3), 0, 1000000",
        f"INSERT INTO deliveries ({columns}) {chosen}",
    ]
    places = await rows_of(projections, deleted)
    await asyncio.to_thread(change, projections, statements)
    report = await report_of(projections)
    assert {item for item in found(report) if item[0] == "row_missing"} == {
        ("row_missing", f"{STREAMS.get(table, table)}[{place['_partition']}]/{place['_offset']}")
        for table, place in places.items()
        if table != "deliveries"
    }
    assert {item for item in found(report) if item[0] != "row_missing"} == {
        ("event_missing", gone[0][0].event_id),
        ("undispatched", gone[1][0].event_id),
        ("delivery_unmatched", gone[1][0].event_id),
        ("delivery_missing", gone[2][0].event_id),
        ("delivery_row_missing", gone[2][1][0].delivery_id),
        ("attempt_missing", gone[2][1][1].delivery_id),
        ("row_extra", "events[0]/1000000"),
        ("delivery_unmatched", kept.event_id),
    }


async def test_rows_that_have_expired_are_not_missed(projections: Projections, history: History) -> None:
    await history.whole(received_ms=make_event().received_ms - 91 * 24 * HOUR_MS)
    await history.whole()
    await report_of(projections)  # which waits until they are stored
    times = {"events": "received_at", "dispatches": "received_at", "deliveries": "created_at", "attempts": "started_at"}
    expired = "ALTER TABLE {} DELETE WHERE {} < now() - INTERVAL 90 DAY SETTINGS mutations_sync = 2"
    await asyncio.to_thread(change, projections, [expired.format(*item) for item in times.items()])
    report = await report_of(projections)
    assert report["ok"], report


async def rows_of(projections: Projections, wanted: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Where the rows stand."""
    queries = {
        table: f"SELECT _partition, _offset FROM {table} FINAL WHERE {where}"  # noqa: S608 - the test's own
        for table, where in wanted.items()
    }
    return {table: (await asyncio.to_thread(projections.sql, query))[0] for table, query in queries.items()}


def change(projections: Projections, statements: list[str]) -> None:
    """Changes the tables behind the service's back."""
    assert projections.stop() == 0
    command = [sys.executable, "-c", DELETE, str(projections.settings.data_dir), *statements]
    subprocess.run(command, check=True, timeout=DEADLINE_S)
    projections.start()
    projections.until_ready()
