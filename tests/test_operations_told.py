"""What is told of what happened: the same when it happens again, short, and never so much that it stops other work."""

import asyncio
import os
import signal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from processors.metrics import WorkerMetrics
from processors.operations import kinds
from processors.operations.relay import event_of
from processors.operations.tell import BURST, MAX_WAITING, Operations, record_of
from rules.breaker import BreakerState
from rules.failing import Warn
from runtime.kafka import Appender
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.attempt import Attempt, AttemptKind
from schemas.config import OPERATIONS_TOPIC, SubscriptionSpec
from schemas.delivery import Delivery
from schemas.event import decode_event, encode_event
from schemas.operation import Operation, OperationKind, decode_operation, encode_operation
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult
from schemas.stored import Record
from schemas.streams import DELIVERIES, OPERATIONS, StreamNames
from tests import strategies as draw
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import read_stream
from tests.projections_fixture import make_delivery, make_event

NOW_MS = 1_800_000_000_000
DEFAULTS: dict[str, Any] = {"kind": "subscriptions", "id": "s", "intake_offset": 7, "at_ms": NOW_MS}


def operation(kind: str, number: int = 0) -> Operation:
    return Operation(operation_id=f"{kind}-{number}", kind=kind, at_ms=NOW_MS, subject_kind="source", subject_id="s")


def attempt(delivery: Delivery, **changes: Any) -> Attempt:
    shared = {name: getattr(delivery, name) for name in Attempt.__struct_fields__ if hasattr(delivery, name)}
    made: dict[str, Any] = shared | {"started_ms": NOW_MS, "duration_ms": 5, "reason": "http_500"} | changes
    return Attempt(**made)


@given(draw.plain_deliveries, draw.NUMBER)
def test_a_dead_letter_has_one_id_however_often_its_delivery_is_given_up(delivery: Delivery, later_ms: int) -> None:
    first = kinds.dead_letter(delivery, attempt(delivery))
    again = kinds.dead_letter(delivery, attempt(delivery, started_ms=later_ms, reason="http_503"))
    other = kinds.dead_letter(replace(delivery, delivery_id=delivery.delivery_id + "x"), attempt(delivery))
    assert first.operation_id == again.operation_id != other.operation_id
    assert decode_operation(encode_operation(first)) == first


def test_a_dead_letter_says_how_many_attempts_were_made() -> None:
    delivery = replace(make_delivery(make_event()), attempt=3)
    tried = kinds.dead_letter(delivery, attempt(delivery))
    expired = kinds.dead_letter(delivery, attempt(delivery, kind=AttemptKind.OUTCOME, reason="expired"))
    assert (tried.detail["attempts"], expired.detail["attempts"]) == (3, 2)
    assert tried.message == "a delivery to billing was given up after 3 attempts: http_500"
    assert (tried.at_ms, tried.topic_id, tried.subject_id) == (NOW_MS + 5, "orders", "billing")


@given(st.sampled_from(OutcomeResult), st.sampled_from(["hooklog", "admin", ""]), st.booleans() | st.none(), draw.TEXT)
def test_an_outcome_is_told_when_it_is_a_refusal_or_an_end_that_nobody_asked_for(
    result: OutcomeResult, actor: str, active: bool | None, reason: str
) -> None:
    record = None if active is None or result is OutcomeResult.REFUSED else {"is_active": active}
    outcome = Outcome(**DEFAULTS, result=result, actor=actor, reason=reason, record=record)
    told = kinds.of_outcome(outcome, "t")
    if result is OutcomeResult.REFUSED:
        assert told is not None
        assert (told.kind, told.detail["reason"]) == (OperationKind.CONFIG_REFUSED, reason)
    elif actor == "hooklog" and active is False:
        assert told is not None
        assert (told.kind, told.topic_id) == (OperationKind.SUBSCRIPTION_DISABLED, "t")
    else:
        assert told is None
    assert told == kinds.of_outcome(outcome, "t")


def test_ids_tell_apart_what_has_the_same_offset_in_another_stream_or_at_another_time() -> None:
    def refused(**changes: Any) -> str:
        told = kinds.of_outcome(Outcome(**DEFAULTS | changes, result=OutcomeResult.REFUSED), "")
        assert told is not None
        return told.operation_id

    ids = [refused(), refused(kind="topics"), refused(intake_offset=8), refused(at_ms=NOW_MS + 1)]
    assert len(set(ids)) == len(ids)
    assert refused() == ids[0]


def test_a_change_by_people_is_not_told_of_as_an_end() -> None:
    deleted = Outcome(**DEFAULTS, result=OutcomeResult.APPLIED, action=OutcomeAction.DELETED, actor="hooklog")
    assert kinds.of_outcome(deleted, "") is None


@given(draw.RECORD_HEADERS, draw.TEXT)
def test_any_record_that_cannot_be_read_is_told_of_shortly(headers: list[tuple[str, bytes]], error: str) -> None:
    long = ("hl-topic", b"t" * 1_000_000)
    record: Any = SimpleNamespace(partition=3, offset=9, timestamp=NOW_MS, headers=[*headers, long])
    told = kinds.unreadable(DELIVERIES, record, error * 1_000)
    assert told == kinds.unreadable(DELIVERIES, record, error * 1_000)
    assert len(encode_operation(told)) < 50_000
    assert (told.subject_kind, told.subject_id, told.detail["offset"]) == ("stream", "deliveries", 9)


def test_warnings_of_one_run_of_failures_have_ids_of_their_own() -> None:
    spec = SubscriptionSpec(id="s", topic_id="t", target_url="https://example.com/")
    record = Record(spec=spec, version=4, generation=4, created_at="then", updated_at="then")
    told = [kinds.failing(record, Warn(percent, NOW_MS), since_ms=5, now_ms=NOW_MS) for percent in (50, 75, 50)]
    assert told[0].operation_id == told[2].operation_id != told[1].operation_id
    assert told[0].detail == {"percent": 50, "since_ms": 5, "disabled_from_ms": NOW_MS}


def test_a_breaker_that_closes_says_how_long_it_was_open() -> None:
    opened = kinds.breaker("s", "t", BreakerState.OPEN, NOW_MS)
    closed = kinds.breaker("s", "t", BreakerState.CLOSED, NOW_MS, open_s=90)
    assert (opened.kind, opened.detail) == (OperationKind.BREAKER_OPENED, {})
    assert (closed.kind, closed.detail) == (OperationKind.BREAKER_CLOSED, {"open_s": 90})


@given(draw.operations)
def test_the_event_of_an_operation_is_its_record_under_its_id(item: Operation) -> None:
    value = encode_operation(item)
    event = event_of(item, value, NOW_MS)
    assert decode_event(event.body, encode_event(event)) == event
    assert (event.body, event.event_id, event.dedup_id) == (value, item.operation_id, item.operation_id)
    assert (event.topic_id, event.event_type) == (OPERATIONS_TOPIC, item.kind)


def figure(metrics: WorkerMetrics, name: str, kind: str) -> float:
    return metrics.registry.get_sample_value(name, {"kind": kind}) or 0.0


def test_a_flood_of_one_kind_is_bounded_and_counted_and_stops_no_other_and_no_dead_letter() -> None:
    metrics, clock = WorkerMetrics(), [NOW_MS]
    desk = Operations(Appender("127.0.0.1:9", StreamNames("x.")), lambda: clock[0], metrics)
    flood = [operation(OperationKind.CONFIG_REFUSED, number) for number in range(10 * BURST)]
    assert desk.admitted(flood) == flood[:BURST]
    assert figure(metrics, "hooklog_operations_left_out_total", "config.refused") == 9 * BURST
    assert len(desk.admitted([operation(OperationKind.BREAKER_OPENED)])) == 1
    letters = [operation(OperationKind.DEAD_LETTER, number) for number in range(10 * BURST)]
    assert desk.admitted(letters) == letters
    clock[0] += 1_000
    assert len(desk.admitted(flood)) == 10


@pytest.mark.stack
async def test_what_waits_for_a_broker_that_is_away_is_bounded_and_dead_letters_are_not_left_out(
    kafka: RunningKafka,
) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=1)
    await create_streams(settings)
    names, metrics = StreamNames(settings.kafka_prefix), WorkerMetrics()
    appender = Appender(kafka.bootstrap, names)
    await appender.start()
    desk = Operations(appender, lambda: NOW_MS, metrics)
    await desk.tell(operation("first"))
    assert kafka.pid is not None
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        waiting = [operation("some", number) for number in range(MAX_WAITING)]
        beyond = [operation("more", number) for number in range(50)]
        letters = [operation(OperationKind.DEAD_LETTER, number) for number in range(50)]
        tasks = [asyncio.create_task(desk.tell(item)) for item in (*waiting, *beyond, *letters)]
        await asyncio.gather(*tasks[MAX_WAITING : MAX_WAITING + len(beyond)])  # at once: nothing of them is kept
        assert figure(metrics, "hooklog_operations_left_out_total", "more") == len(beyond)
    finally:
        os.kill(kafka.pid, signal.SIGCONT)
    await asyncio.gather(*tasks)
    await appender.stop()
    stored = [decode_operation(record.value) for record in await read_stream(kafka.bootstrap, names(OPERATIONS))]
    assert {item.operation_id for item in stored} == {
        item.operation_id for item in (operation("first"), *waiting, *letters)
    }
    assert figure(metrics, "hooklog_operations_total", "some") == MAX_WAITING


@given(draw.operations)
def test_operations_of_one_subject_stay_in_order(item: Operation) -> None:
    assert record_of(item).key == record_of(msgspec.structs.replace(item, kind="other")).key == item.subject_id.encode()
