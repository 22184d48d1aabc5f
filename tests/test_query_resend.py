"""A delivery can be made again: the same bytes to the same target, once, and never when nobody wants it."""

import asyncio
import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace

from projections.query.resend import DAY_MS, PAYLOAD_KEPT_MS, REFERRED_MS, replay_ids, stored_event, target_of
from projections.query.shown import epoch_ms_of
from rules.retry import end_ms_of
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.delivery import MAX_INLINE_BODY_BYTES, BodyRef, Delivery, decode_delivery
from schemas.event import Event
from schemas.ids import delivery_id, derived_id, new_id, ulid_time_ms
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult, encode_outcome
from schemas.retry import RetrySpec
from schemas.streams import OUTCOMES
from tests.clickhouse_fixture import engine, writer
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import Rec, read_stream
from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Sender
from tests.oracle.stack import Stack
from tests.oracle.stack import until as until_true
from tests.oracle.team import SECRET, Team
from tests.projections_fixture import Projections, Stages, make_delivery, make_event, projections, until

__all__ = ["engine", "projections", "writer"]

pytestmark = pytest.mark.stack

BODY = bytes(range(256)) * 3
TRACE = "00-df40acbda11806b2ef0b447f6db08692-836b9a229f4d424a-01"


@dataclass
class Resends:
    """Asks for resends, and reads what came of them."""

    projections: Projections

    def ask(self, delivery: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """Status and document of an answer."""
        headers = {} if key is None else {"Idempotency-Key": key}
        status, body = self.projections.get(f"/api/v1/deliveries/{delivery}/retry", {}, headers=headers)
        return status, json.loads(body)

    def made(self, delivery: str, key: str | None = None) -> dict[str, Any]:
        """The answer to a resend that is made."""
        status, document = self.ask(delivery, key)
        assert status == 202, document
        return document

    async def records(self, event: Event) -> list[Rec]:
        """The deliveries of an event in the stream."""
        settings = self.projections.settings
        stream = await read_stream(settings.kafka_bootstrap, f"{settings.kafka_prefix}deliveries")
        return [record for record in stream if record.header("ce_id") == event.event_id]

    def until_readable(self, *deliveries: str) -> None:
        """Returns when they are in the table."""
        for item in deliveries:
            path = f"/api/v1/logs/deliveries/{item}"
            until(lambda path=path: self.projections.get(path)[0] == 200, "the delivery")  # type: ignore[misc]


@pytest.fixture
def resends(projections: Projections) -> Resends:
    projections.until_ready()
    return Resends(projections)


async def stored(projections: Projections, subscription_id: str, **changes: Any) -> tuple[Event, Delivery]:
    """An event with its delivery, which both can be read."""
    event = make_event(**{"body": BODY, "content_type": "application/x-thing", "traceparent": TRACE} | changes)
    delivery = make_delivery(event, subscription_id)
    async with Stages(projections.settings) as stages:
        await stages.event(event)
        await stages.delivery(delivery)
    await asyncio.to_thread(
        until, lambda: projections.get(f"/api/v1/logs/events/{event.event_id}")[0] == 200, "the event"
    )
    await asyncio.to_thread(Resends(projections).until_readable, delivery.delivery_id)
    return event, delivery


async def change(projections: Projections, subscription_id: str, action: OutcomeAction, **changes: Any) -> None:
    """A change of the subscription's config, which can be read."""
    outcome = Outcome(
        kind="subscriptions",
        id=subscription_id,
        intake_offset=9,
        at_ms=make_event().received_ms,
        result=OutcomeResult.APPLIED,
        action=action,
        version=9,
        **changes,
    )
    async with Stages(projections.settings) as stages:
        await stages.raw(OUTCOMES, encode_outcome(outcome))
    query = f"SELECT 1 AS n FROM config_changes WHERE id = '{subscription_id}' AND action = '{action}'"  # noqa: S608
    await asyncio.to_thread(until, lambda: projections.sql(query), "the change")


async def test_a_resend_is_a_new_delivery_with_the_same_bytes_in_the_same_partition(
    projections: Projections, resends: Resends
) -> None:
    event, delivery = await stored(projections, "plain")
    await change(projections, "plain", OutcomeAction.CREATED, generation=7, record={"is_active": True})
    answer = await asyncio.to_thread(resends.made, delivery.delivery_id)
    assert answer == {
        "delivery_id": delivery_id(event.event_id, "plain", 7, 0, answer["replay_id"]),
        "replay_id": answer["replay_id"],
        "retried": delivery.delivery_id,
        "event_id": event.event_id,
        "subscription_id": "plain",
        "status": "PENDING",
    }
    first, second = await resends.records(event)
    assert (second.value, second.key, second.partition) == (BODY, b"plain", first.partition)
    expected = {"hl-delivery-id": answer["delivery_id"], "hl-replay-id": answer["replay_id"], "traceparent": TRACE}
    expected |= {"content-type": "application/x-thing", "ce_id": event.event_id}
    same = ("ce_time", "ce_type", "ce_source", "hl-topic", "hl-generation", "hl-config-version", "hl-target")
    assert {name: second.header(name) for name in expected} == expected
    assert [second.header(name) for name in same] == [first.header(name) for name in same]
    assert second.header("hl-attempt") == "1"
    await asyncio.to_thread(resends.until_readable, answer["delivery_id"])
    path = f"/api/v1/logs/deliveries?replay_id={answer['replay_id']}"
    (row,) = json.loads((await asyncio.to_thread(projections.get, path))[1])["data"]
    assert (row["status"], row["delivery_id"], row["attempts"]) == ("PENDING", answer["delivery_id"], 0)


async def test_a_large_body_is_referred_to_while_its_event_is_sure_to_stand_there(
    projections: Projections, resends: Resends
) -> None:
    body = os.urandom(MAX_INLINE_BODY_BYTES + 1)
    old_ms = make_event().received_ms - REFERRED_MS - DAY_MS
    old = {"received_ms": old_ms, "event_id": derived_id(old_ms, "old")}
    cases: list[tuple[str, dict[str, Any], bytes]] = [("recent", {}, b""), ("old", old, body)]
    for name, changes, value in cases:
        event, delivery = await stored(projections, f"large-{name}", body=body, **changes)
        answer = await asyncio.to_thread(resends.made, delivery.delivery_id)
        made = {record.header("hl-delivery-id"): record for record in await resends.records(event)}
        record = made[answer["delivery_id"]]
        assert record.value == value
        ref = decode_delivery(record.value, record.headers).body_ref
        if name == "old":
            assert ref is None
            continue
        settings = projections.settings
        events = await read_stream(settings.kafka_bootstrap, f"{settings.kafka_prefix}events")
        (place,) = [(item.partition, item.offset) for item in events if item.header("ce_id") == event.event_id]
        assert ref == BodyRef.of_large(body, *place)


async def test_a_repetition_with_the_same_key_makes_no_other_delivery(
    projections: Projections, resends: Resends
) -> None:
    event, delivery = await stored(projections, "keyed")
    # At once, before the first one can be read, and afterwards.
    answers = await asyncio.gather(
        *(asyncio.to_thread(resends.made, delivery.delivery_id, "key 'a\\") for _ in range(3))
    )
    new = answers[0]["delivery_id"]
    await asyncio.to_thread(resends.until_readable, new)
    before = await resends.records(event)
    answers.append(await asyncio.to_thread(resends.made, delivery.delivery_id, "key 'a\\"))
    assert all(answer == answers[0] for answer in answers)
    assert len(await resends.records(event)) == len(before)
    assert {record.header("hl-delivery-id") for record in before} == {delivery.delivery_id, new}
    # It can be answered again when the subscription is gone, and another key is another resend.
    other = await asyncio.to_thread(resends.made, delivery.delivery_id, "key b")
    await change(projections, "keyed", OutcomeAction.DELETED)
    again = await asyncio.to_thread(resends.made, delivery.delivery_id, "key 'a\\")
    assert len({delivery.delivery_id, other["delivery_id"], again["delivery_id"]}) == 3
    assert again == answers[0]


@pytest.mark.parametrize(
    ("code", "action", "changes"),
    [
        ("subscription_deleted", OutcomeAction.DELETED, {}),
        ("subscription_recreated", OutcomeAction.CREATED, {"generation": 8, "record": {"is_active": True}}),
        ("subscription_inactive", OutcomeAction.UPDATED, {"generation": 7, "record": {"is_active": False}}),
    ],
)
async def test_what_a_subscription_does_not_want_any_more_is_not_sent_again(
    projections: Projections, resends: Resends, code: str, action: OutcomeAction, changes: dict[str, Any]
) -> None:
    event, delivery = await stored(projections, code)
    await change(projections, code, action, **changes)
    status, problem = await asyncio.to_thread(resends.ask, delivery.delivery_id)
    assert (status, problem["code"]) == (409, code)
    assert len(await resends.records(event)) == 1


async def test_what_cannot_be_sent_again_says_why(projections: Projections, resends: Resends) -> None:
    for wrong in ("none", "' OR 1=1", "%00"):
        path = wrong.replace(" ", "%20").replace("'", "%27")
        assert (await asyncio.to_thread(resends.ask, path))[1]["code"] == "not_found"
    event = make_event()
    foreign = replace(make_delivery(event, "foreign"), delivery_id="ours-it-is-not")
    early = make_delivery(event, "early")
    async with Stages(projections.settings) as stages:
        await stages.delivery(foreign)
        await stages.delivery(early)
    await asyncio.to_thread(resends.until_readable, foreign.delivery_id, early.delivery_id)
    assert (await asyncio.to_thread(resends.ask, foreign.delivery_id))[1]["code"] == "target_unknown"
    status, problem = await asyncio.to_thread(resends.ask, early.delivery_id)
    assert (status, problem["detail"]) == (503, "the event is not stored yet")
    status, problem = await asyncio.to_thread(resends.ask, early.delivery_id, "k" * 256)
    assert (status, problem["errors"][0]["field"]) == (422, "header.idempotency-key")
    assert (await asyncio.to_thread(projections.get, f"/api/v1/deliveries/{early.delivery_id}/retry", {}, "no"))[
        0
    ] == 401


async def test_a_resend_is_not_promised_while_kafka_is_away(
    projections: Projections, resends: Resends, kafka: RunningKafka
) -> None:
    event, delivery = await stored(projections, "away")
    await asyncio.to_thread(kafka.kill)
    try:
        status, problem = await asyncio.to_thread(resends.ask, delivery.delivery_id, "again")
    finally:
        await asyncio.to_thread(kafka.start)
    assert (status, problem["code"]) == (503, "unavailable")
    answer: dict[str, Any] = {}

    async def sent() -> bool:
        status, document = await asyncio.to_thread(resends.ask, delivery.delivery_id, "again")
        answer.update(document)
        return status == 202

    await until_true("the resend", sent, within_s=60)
    made = {record.header("hl-delivery-id") for record in await resends.records(event)}
    assert made == {delivery.delivery_id, answer["delivery_id"]}


def test_a_payload_that_is_not_kept_any_more_is_gone(writer: Client) -> None:
    event = make_event()
    moment = f"{event.received_ms / 1000:.3f}"
    row = {"event_id": event.event_id, "topic_id": "orders", "received_at": moment, "payload": "", "payload_bytes": 3}
    writer.raw_insert("events", insert_block=json.dumps(row).replace(f'"{moment}"', moment).encode(), fmt="JSONEachRow")
    kept = next(iter(writer.query("SELECT received_at AS created_at, * FROM events").named_results()))
    assert epoch_ms_of(kept["created_at"]) == event.received_ms
    for gone, now_ms in ((kept, event.received_ms), (kept | {"event_id": "x"}, event.received_ms + PAYLOAD_KEPT_MS)):
        with pytest.raises(ProblemError) as refused:
            stored_event(writer, gone, now_ms)
        assert (refused.value.status, refused.value.code) == (410, "payload_expired")


def test_a_key_makes_a_ulid_of_the_day_that_the_day_after_still_knows() -> None:
    now_ms = 1_795_542_652_488
    today, yesterday = replay_ids("a", "key", now_ms)
    assert (ulid_time_ms(today) or 0) == (now_ms // DAY_MS + 1) * DAY_MS - 1
    assert end_ms_of(now_ms - 3 * DAY_MS, today, RetrySpec(max_age_s=1)) > now_ms
    assert replay_ids("a", "key", now_ms + DAY_MS)[1] == today
    assert replay_ids("a", "key", now_ms - DAY_MS)[0] == yesterday
    others = [replay_ids(*asked, now_ms)[0] for asked in (("b", "key"), ("a", "other"), ("akey", ""), ("", "akey"))]
    assert len({today, *others}) == 5
    assert replay_ids("a", None, now_ms) != replay_ids("a", None, now_ms)
    assert derived_id(5, "a", "b") != derived_id(5, "ab")


def test_the_target_of_a_delivery_is_read_from_its_id() -> None:
    row: dict[str, Any] = {"event_id": new_id(), "subscription_id": "billing", "generation": 7, "replay_id": new_id()}
    for target in (0, 3, 255):
        made = delivery_id(row["event_id"], "billing", 7, target, row["replay_id"])
        assert target_of(row | {"delivery_id": made}) == target


async def test_a_failed_delivery_is_delivered_when_it_is_sent_again(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/fail/1/resend"), retry={"delays_s": []})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", BODY)

    async def states(*wanted: str) -> list[dict[str, Any]]:
        page = await stack.query(f"/api/v1/logs/deliveries?event_id={sent.event_id}")
        found: list[dict[str, Any]] = page["data"]
        return found if sorted(row["status"] for row in found) == sorted(wanted) else []

    (failed,) = await until_true("a failure", lambda: states("FAILED"))
    port = stack.ports["projections"]
    answer = await stack.admin("POST", f"/api/v1/deliveries/{failed['delivery_id']}/retry", {}, port)
    rows = await until_true("a success", lambda: states("FAILED", "SUCCESS"))
    (again,) = (row for row in rows if row["status"] == "SUCCESS")
    assert (again["delivery_id"], again["replay_id"]) == (answer["delivery_id"], answer["replay_id"])
    first, second = await receiver.at("/fail/1/resend")
    assert (first.webhook_id, second.webhook_id) == (sent.event_id, sent.event_id)
    assert body_of(first) == body_of(second) == BODY
    totals = await stack.query(f"/api/v1/stats/overview?topic_id={topic}")
    assert (totals["matched"], totals["replayed"], totals["attempts"], totals["success_rate"]) == (1, 1, 2, 0.5)
    task = await stack.query(f"/api/tasks/{sent.event_id}")
    assert (task["status"], task["deliveries"]) == ("SUCCESS", {"FAILED": 1, "SUCCESS": 1})
