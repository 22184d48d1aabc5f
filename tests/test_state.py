"""What a delivery has become stays so: forks are cut, rows only move forward, and an event is for who was there."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from processors.dispatch.agent import Dispatcher
from processors.dispatch.dedup import Deduplicator
from processors.dispatch.findings import Findings
from processors.dispatch.index import SubscriptionIndex
from processors.metrics import WorkerMetrics
from processors.operations.tell import Operations
from projections.writer.batch import Batch, Place
from projections.writer.rows import PROJECTIONS, Row
from projections.writer.store import store
from rules.match import BEFORE, newest_creation
from rules.view import FILTER_ERROR, FILTERED, Verdict
from runtime.clickhouse import Client
from runtime.kafka import Appender, Outgoing
from schemas.attempt import AttemptKind, AttemptStatus, encode_attempt
from schemas.config import SubscriptionSpec
from schemas.delivery import decode_delivery, encode_delivery
from schemas.dispatch import Dispatch, decode_dispatch
from schemas.event import encode_event
from schemas.headers import rfc3339
from schemas.stored import Record
from schemas.streams import ATTEMPTS, DELIVERIES, DISPATCHES, EVENTS, INTAKE, RETRY_TIERS, Stream, StreamNames
from tests.clickhouse_fixture import engine, writer
from tests.oracle.http import get
from tests.oracle.kafka_reader import Rec, read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.projections_fixture import make_attempt, make_delivery, make_event
from tests.test_gone import Bench, bench
from tests.test_spine import arrived, rows

__all__ = ["bench", "engine", "writer"]

pytestmark = pytest.mark.stack

PUSH = b'{"ref":"refs/heads/main"}'
NAMES = StreamNames("hooklog.")


# Forks: a branch of a delivery that travels on by itself after another one has ended it.


async def delivery_of(stack: Stack, event_id: str) -> Rec:
    """The record of the event's one delivery."""
    found = await read_stream(stack.bootstrap, NAMES(DELIVERIES))
    (record,) = [rec for rec in found if rec.header("ce_id") == event_id]
    return record


async def send_branch(stack: Stack, record: Rec, stream: Stream, **changes: Any) -> None:
    """Appends another attempt of a delivery, as a worker did that was cut off before it could record its own."""
    delivery = replace(decode_delivery(record.value, record.headers), **changes)
    appender = Appender(stack.bootstrap, NAMES)
    await appender.start()
    await appender.append_surely(
        Outgoing(stream, record.value, record.key, encode_delivery(delivery), partition=record.partition)
    )
    await appender.stop()


async def forks_cut(stack: Stack) -> int:
    text = (await get(stack.ports["processors"], "/metrics")).body.decode()
    (count,) = re.findall(r"^hooklog_forks_cut_total (\S+)$", text, re.MULTILINE)
    return int(float(count))


async def until_cut(stack: Stack, count: int) -> None:
    async def enough() -> bool:
        return await forks_cut(stack) >= count

    await until(f"{count} forks cut", enough)


async def test_a_delivery_that_has_ended_is_not_attempted_again_by_a_stale_branch_not_even_after_a_crash(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/ok/forked"))
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await rows(stack, "deliveries", 1, event_id=sent.event_id, status="SUCCESS")
    record, before = await delivery_of(stack, sent.event_id), await forks_cut(stack)
    await send_branch(stack, record, DELIVERIES, attempt=2)
    await send_branch(stack, record, RETRY_TIERS[0], attempt=5, due_ms=record.at_ms)
    await send_branch(stack, record, DELIVERIES, attempt=3, parks=4)
    await until_cut(stack, before + 3)
    await stack.kill9("processors")
    await send_branch(stack, record, DELIVERIES, attempt=4)
    await stack.ready("processors")
    await until_cut(stack, 1)
    assert len(await receiver.at("/ok/forked")) == 1
    await rows(stack, "deliveries", 1, event_id=sent.event_id, status="SUCCESS", attempts=1)


async def test_another_branch_of_a_delivery_waits_for_the_one_on_the_wire_and_is_cut_when_that_one_ends_it(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/slow/3000/branch"))
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await arrived(receiver, "/slow/3000/branch", 1)
    record, before = await delivery_of(stack, sent.event_id), await forks_cut(stack)
    await send_branch(stack, record, DELIVERIES, attempt=2)
    await send_branch(stack, record, DELIVERIES, attempt=3)
    await until_cut(stack, before + 2)
    await rows(stack, "deliveries", 1, event_id=sent.event_id, status="SUCCESS", attempts=1)
    assert len(await receiver.at("/slow/3000/branch")) == 1


async def test_a_dead_letter_and_a_cancelled_delivery_are_ends_too_and_a_retry_is_none(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    dead = await team.subscribe(topic, receiver.url("/dead/forked"), retry={"delays_s": [1]})
    off = await team.subscribe(topic, receiver.url("/dead/off"), retry={"delays_s": [4, 1]})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await arrived(receiver, "/dead/off", 1)
    await stack.admin("PATCH", f"/api/v1/subscriptions/{off['id']}", {"is_active": False})
    await rows(stack, "deliveries", 1, subscription_id=off["id"], status="CANCELLED", reason="subscription_inactive")
    await rows(stack, "deliveries", 1, subscription_id=dead["id"], status="FAILED", attempts=2)
    await stack.admin("PATCH", f"/api/v1/subscriptions/{off['id']}", {"is_active": True})
    before = await forks_cut(stack)
    for record in await read_stream(stack.bootstrap, NAMES(DELIVERIES)):
        if record.header("ce_id") == sent.event_id and record.header("hl-attempt") == "1":
            await send_branch(stack, record, DELIVERIES, attempt=3)
    await until_cut(stack, before + 2)
    assert len(await receiver.at("/dead/forked")) == 2
    assert len(await receiver.at("/dead/off")) == 1


# Generations: what was meant for a deleted subscription, or was sent before there was one.


async def test_what_waits_for_a_subscription_that_is_deleted_and_made_again_is_cancelled_and_never_sent_to_the_new_one(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    old = await team.subscribe(topic, receiver.url("/dead/old-owner"), retry={"delays_s": [3]})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await arrived(receiver, "/dead/old-owner", 1)
    await stack.admin("DELETE", f"/api/v1/subscriptions/{old['id']}")
    await team.subscribe(topic, receiver.url("/ok/new-owner"), id=old["id"])
    await rows(stack, "deliveries", 1, event_id=sent.event_id, status="CANCELLED", reason="subscription_deleted")
    assert await receiver.at("/ok/new-owner") == []
    assert len(await receiver.at("/dead/old-owner")) == 1


async def test_explain_says_that_an_event_had_come_before_the_subscription(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await rows(stack, "dispatches", 1, event_id=sent.event_id)
    late = await team.subscribe(topic, receiver.url("/ok/late"))
    await rows(stack, "config_changes", 1, id=late["id"])
    path = f"/api/v1/logs/events/{sent.event_id}/explain?subscription={late['id']}"
    said = await stack.query(path)
    assert (said["matched"], said["reason"]) == (False, "before_subscription")
    assert said["dispatch"]["appended_at"] < late["created_at"]
    assert said["dispatch"]["appended_at"].endswith("Z")
    assert "does not get it: the event had come before: it was created at" in await stack.run(
        "explain", sent.event_id, late["id"]
    )
    after = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await rows(stack, "deliveries", 1, event_id=after.event_id)
    path = f"/api/v1/logs/events/{after.event_id}/explain?subscription={late['id']}"
    assert (await stack.query(path))["matched"]


class Behind:
    """A dispatcher that reads the events only when it is told to."""

    def __init__(self, running: Bench, folder: Path, clocks_apart_ms: int = 0) -> None:
        self.bench = running
        self._dispatcher = Dispatcher(
            tables=running.tables,
            catch_up=running.tables.catch_up,
            index=SubscriptionIndex(running.tables.table("subscriptions")),
            dedup=Deduplicator(running.bootstrap, running.names(DISPATCHES), folder),
            appender=running.appender,
            operations=Operations(running.appender, lambda: 1, WorkerMetrics()),
            pass_on=self._nothing,
            now_ms=lambda: 1,
            metrics=WorkerMetrics(),
            clocks_apart_ms=clocks_apart_ms,
        )

    async def _nothing(self, *_: object) -> None:
        """Nobody delivers here."""

    async def post(self, body: bytes = b"{}") -> None:
        event = replace(make_event(), topic_id="t", body=body)
        await self.bench.appender.append_surely(Outgoing(EVENTS, body, b"k", encode_event(event), partition=0))

    async def delete(self) -> None:
        await self.bench.appender.append_surely(Outgoing(INTAKE["subscriptions"], None, b"s"))
        await self.bench.decide()

    async def dispatch(self) -> tuple[list[Dispatch], list[ConsumerRecord]]:
        """The dispatch records and the deliveries, when all events are dispatched."""
        await self._dispatcher.dispatch(await self.bench.read(EVENTS))
        told = [decode_dispatch(record.value) for record in await self.bench.read(DISPATCHES)]
        return told, await self.bench.read(DELIVERIES)


async def test_an_event_from_before_a_subscription_was_made_again_is_not_for_its_new_owner(
    bench: Bench, tmp_path: Path
) -> None:
    behind = Behind(bench, tmp_path)
    await bench.produce(target_url="https://example.com/old")
    await behind.post()
    await behind.delete()
    await bench.produce(target_url="https://example.com/new", filter="event.n == 1")
    await behind.post(b'{"n":1}')
    (before, after), deliveries = await behind.dispatch()
    # Its filter, of which the reason would be another, is asked first.
    assert (before.matched, before.skipped) == (0, {"filter_error": 1})
    assert (after.matched, after.skipped) == (1, {})
    (delivery,) = [decode_delivery(record.value, record.headers) for record in deliveries]
    assert (delivery.event_id, delivery.generation) == (after.event_id, bench.subscription().generation)


async def test_an_event_that_would_have_matched_is_counted_and_listed_with_its_reason(
    bench: Bench, tmp_path: Path
) -> None:
    behind = Behind(bench, tmp_path)
    await behind.post()
    await bench.produce()
    await behind.post()
    await bench.produce(target_url="https://example.com/moved")  # a change is no creation
    (before, after), deliveries = await behind.dispatch()
    assert (before.matched, before.skipped) == (0, {BEFORE: 1})
    assert [(skip.subscription_id, skip.reason) for skip in before.skips] == [("s", BEFORE)]
    assert (after.matched, after.skipped, len(deliveries)) == (1, {}, 1)


async def test_in_a_cluster_what_the_clocks_leave_in_doubt_is_delivered(bench: Bench, tmp_path: Path) -> None:
    behind = Behind(bench, tmp_path, clocks_apart_ms=60_000)
    await behind.post()
    await bench.produce()
    (told,), deliveries = await behind.dispatch()
    assert (told.matched, told.skipped, len(deliveries)) == (1, {}, 1)


MOMENTS = st.integers(0, 4_102_444_799_999)


@given(MOMENTS, MOMENTS, st.sampled_from([0, 2_000]))
def test_stamps_compare_as_the_times_do_and_what_is_equal_is_delivered(
    created_ms: int, appended_ms: int, apart_ms: int
) -> None:
    late = rfc3339(created_ms) > newest_creation(appended_ms, apart_ms)
    assert late == (created_ms > appended_ms + apart_ms)


def test_who_came_too_late_is_listed_after_failed_filters_and_before_all_others() -> None:
    document = {"topic_id": "t", "target_url": "https://example.com/"}
    findings = Findings()
    findings.skip(Verdict("event_type"), 200, lambda: [f"t{number}" for number in range(200)])
    findings.skip(FILTERED, 1, lambda: ["false"])
    findings.skip(Verdict(FILTER_ERROR, "why"), 1, lambda: ["failed"])
    for number in range(3):
        spec = SubscriptionSpec.model_validate(document | {"id": f"s{number}"})
        findings.matched.append(Record(spec, 1, 1, rfc3339(1_000 + number), ""))
    findings.only_created_by(rfc3339(1_001))
    assert [record.spec.id for record in findings.matched] == ["s0", "s1"]
    assert findings.skipped == {"event_type": 200, "filter": 1, "filter_error": 1, BEFORE: 1}
    assert [skip.subscription_id for skip in findings.listed()[:3]] == ["failed", "s2", "t0"]


# Rows: the state of a delivery in ClickHouse, whatever the order in which its records are read.

RANKS = {"PENDING": 1, "RETRYING": 2, "FAILED": 3, "CANCELLED": 3, "SUCCESS": 4}


class Said(NamedTuple):
    """What one record says of a delivery, and how many requests it tells of."""

    status: str
    attempts: int
    without_request: bool = False


STORIES = st.lists(
    st.builds(Said, st.sampled_from(["RETRYING", "FAILED", "SUCCESS"]), st.integers(1, 3))
    | st.builds(Said, st.sampled_from(["FAILED", "CANCELLED"]), st.integers(0, 3), st.just(value=True)),
    min_size=1,
    max_size=3,
)


def row_groups(story: Sequence[Said], delivery_id: str) -> list[list[Row]]:
    """The rows of a delivery's record, and of each of its attempts', as the writer makes them."""
    projections = {projection.stream: projection.rows for projection in PROJECTIONS}
    delivery = replace(make_delivery(EVENT), delivery_id=delivery_id)
    groups = [list(projections[DELIVERIES](_record(0, b"", encode_delivery(delivery))))]
    for offset, said in enumerate(story):
        kind = AttemptKind.OUTCOME if said.without_request else AttemptKind.ATTEMPT
        number = said.attempts + said.without_request
        attempt = make_attempt(delivery, number, AttemptStatus(said.status), kind=kind, reason=str(offset))
        groups.append(list(projections[ATTEMPTS](_record(offset, encode_attempt(attempt)))))
    return groups


EVENT = make_event()


def _record(offset: int, value: bytes, headers: Any = ()) -> Any:
    return ConsumerRecord("", 0, offset, 0, 0, None, value, None, 0, 0, tuple(headers))


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(STORIES)
def test_a_row_is_of_the_highest_state_in_whatever_order_the_records_are_stored(
    writer: Client, story: list[Said]
) -> None:
    orders = list(itertools.permutations(range(len(story) + 1)))
    groups = [row_groups(story, f"{number:032x}") for number in range(len(orders))]
    writer.command("ALTER TABLE deliveries DROP PARTITION ALL")
    for turn in range(len(story) + 1):  # one insert for each turn: the part of one is older than that of the next
        batch = Batch(0)
        for order, group in zip(orders, groups, strict=True):
            batch.add(Place(TopicPartition("attempts", 0), "attempts", turn, 0), group[order[turn]], 0)
        assert store(writer, batch) == []
    best = max(enumerate(story), key=lambda item: (RANKS[item[1].status], item[1].attempts, item[0]))
    expected = (best[1].status, best[1].attempts, str(best[0]))
    found = writer.query("SELECT status, attempts, reason, count() FROM deliveries FINAL GROUP BY ALL").result_rows
    assert found == [(*expected, len(orders))]
