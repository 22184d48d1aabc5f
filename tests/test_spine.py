"""One event, all the way, through the gateway as an operator runs it."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.oracle.kafka_reader import produce, read_stream
from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Sender, Sent, github_headers
from tests.oracle.sink import Entry
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team

pytestmark = pytest.mark.stack

PUSH = '{"ref":"refs/heads/main",  "after":"1f3e", "note":"naïve ☃\\u0007", "n":1.0}'.encode()
"""Spaces, escapes and a float that a parser and a serialiser would not give back."""


async def arrived(receiver: Receiver, path: str, count: int = 1, within_s: float = 20) -> list[Entry]:
    """The requests at a path, when there are `count` of them."""

    async def enough() -> list[Entry]:
        entries = await receiver.at(path)
        return entries if len(entries) >= count else []

    entries: list[Entry] = await until(f"{count} requests at {path}", enough, within_s)
    return entries


async def rows(stack: Stack, table: str, count: int, order: str = "", **wanted: object) -> list[dict[str, Any]]:
    """The rows of a table whose columns have these values, when there are `count` of them."""
    conditions = " AND ".join(f"{column} = {value!r}" for column, value in wanted.items())
    statement = f"SELECT * FROM {table} FINAL WHERE {conditions} {order}"  # noqa: S608 - values are the test's own

    async def enough() -> list[dict[str, Any]]:
        found = await stack.sql(statement)
        return found if len(found) == count else []

    found: list[dict[str, Any]] = await until(f"{count} rows: {statement}", enough)
    return found


async def test_a_signed_push_arrives_byte_for_byte_with_a_signature_that_verifies(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, receiver.url("/ok/push"), headers={"X-Team": "billing"})
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    sent = await sender.send_one("push", PUSH)
    assert sent.event_id

    (entry,) = await arrived(receiver, "/ok/push")
    headers = dict(entry.headers)
    assert body_of(entry) == PUSH
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == sent.event_id
    assert headers["x-team"] == "billing"
    assert headers["user-agent"].startswith("Hooklog/")
    assert "x-retry-attempt" not in headers
    assert "x-hub-signature-256" not in headers
    Webhook(subscription["secret"]).verify(PUSH, headers)


@pytest.mark.parametrize(
    ("name", "body"),
    [("binary", bytes(range(256))), ("empty", b""), ("large", b"x" * 1_000_000)],
)
async def test_any_body_arrives_byte_for_byte(
    stack: Stack, receiver: Receiver, team: Team, name: str, body: bytes
) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url(f"/ok/{name}"))
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", body)
    (entry,) = await arrived(receiver, f"/ok/{name}")
    assert body_of(entry) == body
    await rows(stack, "events", 1, event_id=sent.event_id)
    story = await stack.query(f"/api/v1/logs/events/{sent.event_id}")
    shown = story["event"]["payload"]
    decode = base64.b64decode if story["event"]["payload_encoding"] == "base64" else str.encode
    assert decode(shown) == body


async def test_a_failing_endpoint_is_tried_again_and_then_the_delivery_is_dead(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, receiver.url("/dead/a"), retry={"delays_s": [1, 2]})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)

    entries = await arrived(receiver, "/dead/a", 3)
    assert [dict(entry.headers).get("x-retry-attempt") for entry in entries] == [None, "1", "2"]
    assert {entry.webhook_id for entry in entries} == {sent.event_id}
    assert {body_of(entry) for entry in entries} == {PUSH}
    for entry in entries:
        Webhook(subscription["secret"]).verify(body_of(entry), dict(entry.headers))
    first, second, third = (entry.at for entry in entries)
    assert second - first >= 1  # never early
    assert third - second >= 2
    assert third - first < 10

    async def dead() -> list[Any]:
        stream = await read_stream(stack.bootstrap, "hooklog.dead")
        return [record for record in stream if record.header("ce_id") == sent.event_id]

    (letter,) = await until("a dead letter", dead)
    assert letter.value == PUSH
    assert letter.header("hl-subscription") == subscription["id"]
    assert letter.header("hl-reason") == "http_500"
    (row,) = await rows(stack, "deliveries", 1, event_id=sent.event_id, status="FAILED")
    assert (row["attempts"], row["last_status_code"], row["reason"]) == (3, 500, "http_500")


async def test_an_endpoint_that_recovers_gets_the_event(stack: Stack, receiver: Receiver, team: Team) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/fail/2/a"), retry={"delays_s": [1, 1, 1]})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    entries = await arrived(receiver, "/fail/2/a", 3)
    assert [entry.answered for entry in entries] == [500, 500, 200]
    await rows(stack, "deliveries", 1, event_id=sent.event_id, status="SUCCESS", attempts=3)


async def test_clickhouse_tells_exactly_what_happened(stack: Stack, receiver: Receiver, team: Team) -> None:
    topic = await team.github_topic()
    good = await team.subscribe(topic, receiver.url("/ok/rows"), event_types=["push"])
    bad = await team.subscribe(topic, receiver.url("/dead/rows"), event_types=["pu*"], retry={"delays_s": [1]})
    other = await team.subscribe(topic, receiver.url("/ok/other"), event_types=["issues"])
    off = await team.subscribe(topic, receiver.url("/ok/off"), is_active=False)
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)

    of_event = {"event_id": sent.event_id}
    attempts = await rows(stack, "attempts", 3, "ORDER BY started_at", **of_event)
    (event,) = await rows(stack, "events", 1, **of_event)
    (dispatch,) = await rows(stack, "dispatches", 1, **of_event)
    assert (event["topic_id"], event["event_type"], event["payload"]) == (topic, "push", PUSH.decode())
    assert SECRET not in json.dumps(event)
    assert dispatch["matched"] == 2
    assert {key: int(count) for key, count in dispatch["skipped"].items()} == {
        "event_type": 1,
        "subscription_inactive": 1,
    }
    assert {skip["subscription_id"] for skip in dispatch["skips"]} == {other["id"], off["id"]}
    assert {(row["subscription_id"], row["attempt"], row["status"]) for row in attempts} == {
        (good["id"], 1, "SUCCESS"),
        (bad["id"], 1, "RETRYING"),
        (bad["id"], 2, "FAILED"),
    }
    await rows(stack, "deliveries", 1, status="FAILED", **of_event)  # stored a moment after its attempt
    states = await rows(stack, "deliveries", 2, **of_event)
    assert {(row["subscription_id"], row["status"], row["attempts"]) for row in states} == {
        (good["id"], "SUCCESS", 1),
        (bad["id"], "FAILED", 2),
    }

    story = await stack.query(f"/api/v1/logs/events/{sent.event_id}")
    assert story["event"]["status"] == "QUEUED"
    assert story["dispatch"]["matched"] == 2
    assert {delivery["status"] for delivery in story["deliveries"]} == {"SUCCESS", "FAILED"}
    whats = [step["what"] for step in story["timeline"]]
    assert (whats[0], whats[1], whats.count("attempt")) == ("received", "dispatched", 3)


async def test_a_produced_subscription_takes_effect_within_a_second(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    document = {"topic_id": topic, "target_url": receiver.url("/ok/raw")}
    await produce(stack.bootstrap, "hooklog.config.subscriptions", b"raw", json.dumps(document).encode())
    produced = time.time()
    after: list[Sent] = []
    while not after or after[-1].answered - produced < 2:
        after.append(await sender.send_one("push", json.dumps({"n": len(after)}).encode()))
        await asyncio.sleep(0.02)
    late = {sent.event_id for sent in after if sent.began - produced >= 1}
    assert late

    async def all_late() -> bool:
        return late <= {entry.webhook_id for entry in await receiver.at("/ok/raw")}

    await until("every event from the first second on", all_late)


async def test_an_event_posted_right_after_a_201_is_always_delivered(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    await stack.add("ingest-2", "ingest")
    await stack.ready("ingest-2")
    sender = Sender([stack.ports["ingest-2"]], topic, SECRET)
    expected = set()
    for number in range(200):
        await team.subscribe(topic, receiver.url(f"/ok/right-after-{number}"), event_types=[f"type-{number}"])
        sent = await sender.send_one(f"type-{number}", b"{}")
        expected.add((f"/ok/right-after-{number}", sent.event_id))

    async def missing() -> bool:
        return expected <= {(entry.path, entry.webhook_id) for entry in await receiver.books()}

    await until("200 deliveries", missing)


async def test_a_refused_request_is_recorded_with_its_reason_and_without_its_secret(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/ok/never"))
    sent = await Sender([stack.ports["ingest"]], topic, "another secret").send_one("push", PUSH)
    assert sent.refused == [403]
    (row,) = await rows(stack, "rejections", 1, topic_id=topic)
    assert (row["response_status_code"], row["code"], row["payload"]) == (403, "signature_mismatch", PUSH.decode())
    signature = github_headers(PUSH, "another secret", "push", "d")["X-Hub-Signature-256"]
    assert signature.removeprefix("sha256=") not in json.dumps(row)
    logged = await stack.query(f"/api/v1/logs/events/{row['rejection_id']}")
    assert logged["event"]["status"] == "FAILED_VALIDATION"
    assert await receiver.at("/ok/never") == []


async def test_a_body_above_the_limit_is_refused_and_never_cut(stack: Stack, team: Team) -> None:
    topic = await team.github_topic(max_body_bytes=100)
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    assert (await sender.send_one("push", b"x" * 101)).refused == [413]
    assert (await sender.send_one("push", b"x" * 100)).event_id


async def test_an_unknown_topic_is_refused(stack: Stack) -> None:
    sender = Sender([stack.ports["ingest"]], "nobody-knows-it", SECRET)
    assert (await sender.send_one("push", PUSH)).refused == [404]


async def test_deleting_a_subscription_cancels_what_waits_for_it(stack: Stack, receiver: Receiver, team: Team) -> None:
    topic = await team.github_topic()
    subscription = await team.subscribe(topic, receiver.url("/dead/deleted"), retry={"delays_s": [2, 2]})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", PUSH)
    await arrived(receiver, "/dead/deleted")
    await stack.admin("DELETE", f"/api/v1/subscriptions/{subscription['id']}")
    (row,) = await rows(stack, "deliveries", 1, event_id=sent.event_id, status="CANCELLED")
    assert (row["reason"], row["attempts"]) == ("subscription_deleted", 1)
    assert len(await receiver.at("/dead/deleted")) == 1


async def test_a_slow_endpoint_delays_nobody_else(stack: Stack, receiver: Receiver, team: Team) -> None:
    topic = await team.github_topic()
    await team.subscribe(topic, receiver.url("/slow/4000/a"), max_in_flight=1)
    await team.subscribe(topic, receiver.url("/ok/fast"))
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    for number in range(20):
        await sender.send_one("push", b"%d" % number)
    last = time.time()
    entries = await arrived(receiver, "/ok/fast", 20)
    assert entries[-1].at - last < 2
