"""What happens to Hooklog itself is told to whoever subscribes to it, once each, and never of itself."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from standardwebhooks import Webhook

from tests.oracle.http import get
from tests.oracle.kafka_reader import Rec, produce, read_stream
from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Sender
from tests.oracle.sink import Entry
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.test_spine import rows

pytestmark = pytest.mark.stack

OPERATIONS = "hooklog.operations"
IN_TIME_S = 60


@pytest.fixture
async def guests(stack: Stack) -> AsyncIterator[list[str]]:
    """Subscriptions that must not outlive their test: they get what other tests do."""
    ids: list[str] = []
    yield ids
    for record_id in ids:
        await stack.admin("DELETE", f"/api/v1/subscriptions/{record_id}")


async def told(receiver: Receiver, path: str, kind: str, subject_id: str) -> Entry:
    """The one request at a path that tells of this."""

    async def look() -> list[Entry]:
        entries = [(entry, json.loads(body_of(entry))) for entry in await receiver.at(path)]
        return [entry for entry, body in entries if (body["kind"], body["subject_id"]) == (kind, subject_id)]

    found: list[Entry] = await until(f"{kind} of {subject_id} at {path}", look, IN_TIME_S)
    (entry,) = found
    return entry


async def refuse(stack: Stack, key: str) -> None:
    """Produces a config record that nobody can take."""
    await produce(stack.bootstrap, "hooklog.config.subscriptions", key.encode(), b'{"topic_id":"t"}')


async def operations(stack: Stack, **wanted: object) -> list[dict[str, Any]]:
    """What the stream holds with these values."""
    records = [json.loads(record.value or b"") for record in await read_stream(stack.bootstrap, OPERATIONS)]
    return [item for item in records if all(item[name] == value for name, value in wanted.items())]


async def events(stack: Stack) -> list[Rec]:
    """The events that were made of operations."""
    return [
        record
        for record in await read_stream(stack.bootstrap, "hooklog.events")
        if record.header("hl-topic") == OPERATIONS
    ]


async def all_relayed(stack: Stack) -> None:
    """Returns when everything that is on the stream has been looked at."""
    async with AIOKafkaConsumer(
        bootstrap_servers=stack.bootstrap, group_id="hooklog.operations", enable_auto_commit=False
    ) as consumer:
        places = [TopicPartition(OPERATIONS, number) for number in range(8)]

        async def behind() -> bool:
            ends = await consumer.end_offsets(places)
            committed = [await consumer.committed(place) or 0 for place in places]
            return all(offset >= ends[place] for offset, place in zip(committed, places, strict=True))

        await until("everything relayed", behind, IN_TIME_S, every_s=0.2)


async def test_a_dead_letter_a_refused_record_and_a_410_arrive_signed_and_are_listed_and_all_topics_have_none(
    stack: Stack, receiver: Receiver, team: Team, guests: list[str]
) -> None:
    subscription = await team.subscribe(OPERATIONS, receiver.url("/ok/operations"))
    every = await team.subscribe("*", receiver.url("/ok/every-topic"))
    guests += [subscription["id"], every["id"]]
    topic = await team.github_topic()
    dead = await team.subscribe(topic, receiver.url("/dead/told"), retry={"delays_s": [1]})
    gone = await team.subscribe(topic, receiver.url("/gone/told"), retry={"delays_s": [60]})
    sent = await Sender([stack.ports["ingest"]], topic, SECRET).send_one("push", b'{"n":1}')
    await refuse(stack, "refused-and-told")

    expected: dict[tuple[str, str], dict[str, Any]] = {
        ("dead_letter", dead["id"]): {"reason": "http_500", "attempts": 2, "event_type": "push"},
        ("subscription.disabled", gone["id"]): {"reason": "the endpoint answered 410 Gone"},
        ("config.refused", "refused-and-told"): {"code": "invalid", "field": "target_url"},
    }
    for (kind, subject_id), detail in expected.items():
        entry = await told(receiver, "/ok/operations", kind, subject_id)
        body, headers = json.loads(body_of(entry)), dict(entry.headers)
        Webhook(subscription["secret"]).verify(body_of(entry), headers)
        assert headers["webhook-id"] == body["operation_id"]
        assert detail.items() <= body["detail"].items()
        assert subject_id in body["message"]
        (row,) = await rows(stack, "operations", 1, kind=kind, subject_id=subject_id)
        assert (row["operation_id"], json.loads(row["detail"])) == (body["operation_id"], body["detail"])
        listed = await stack.run("operations", "--json", "--kind", kind, "--subject", subject_id)
        (shown,) = [json.loads(line) for line in listed.splitlines()]
        assert (shown["operation_id"], shown["detail"]) == (body["operation_id"], body["detail"])
        (dispatch,) = await rows(stack, "dispatches", 1, event_id=body["operation_id"])
        assert (dispatch["matched"], dispatch["event_type"], dict(dispatch["skipped"])) == (1, kind, {})

    letter = await told(receiver, "/ok/operations", "dead_letter", dead["id"])
    assert json.loads(body_of(letter))["event_id"] == sent.event_id
    assert {entry.webhook_id for entry in await receiver.at("/ok/every-topic")} == {sent.event_id}


async def test_records_that_cannot_be_read_and_an_endpoint_that_is_left_alone_are_told_of(
    stack: Stack, receiver: Receiver, team: Team
) -> None:
    for stream in ("events", "deliveries", "retry.1s", "park.5s"):
        await produce(stack.bootstrap, f"hooklog.{stream}", b"k", b"no record of ours")
    await rows(stack, "operations", 1, kind="record.unreadable", subject_id="events")
    found = await rows(stack, "operations", 3, kind="record.unreadable", subject_id="deliveries")
    assert all("cannot be read: header" in row["message"] for row in found)

    topic = await team.github_topic()
    dead = await team.subscribe(topic, receiver.url("/dead/left-alone"), retry={"delays_s": [1] * 9})
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    for number in range(20):
        await sender.send_one("push", b'{"n":%d}' % number)
    (opened,) = await rows(stack, "operations", 1, kind="breaker.opened", subject_id=dead["id"])
    assert opened["topic_id"] == topic
    metrics = (await get(stack.ports["processors"], "/metrics")).body.decode()
    assert 'hooklog_operations_total{kind="breaker.opened"} ' in metrics
    await stack.admin("DELETE", f"/api/v1/subscriptions/{dead['id']}")


async def test_operations_go_the_ordinary_road_with_types_filter_transform_and_format(
    stack: Stack, receiver: Receiver, team: Team, guests: list[str]
) -> None:
    wanting: dict[str, Any] = {"event_types": ["config.*"], "filter": "event.subject_id == 'chosen'"}
    plain = await team.subscribe(
        OPERATIONS,
        receiver.url("/fail/1/chosen"),
        **wanting,
        transform="{'text': event.message}",
        retry={"delays_s": [1]},
    )
    cloud = await team.subscribe(OPERATIONS, receiver.url("/ok/cloud-operations"), **wanting, format="cloudevents")
    guests += [plain["id"], cloud["id"]]
    for key in ("other", "chosen"):
        await refuse(stack, key)

    async def twice() -> list[Entry]:
        entries = await receiver.at("/fail/1/chosen")
        return entries if len(entries) == 2 else []

    first, again = await until("a second attempt", twice, IN_TIME_S)
    assert (first.answered, again.answered, first.webhook_id) == (500, 200, again.webhook_id)
    assert "chosen was refused" in json.loads(body_of(again))["text"]

    async def wrapped() -> list[Entry]:
        return await receiver.at("/ok/cloud-operations")

    (entry,) = await until("a CloudEvent", wrapped, IN_TIME_S)
    event = json.loads(body_of(entry))
    assert (event["type"], event["source"], event["topic"]) == ("config.refused", "hooklog", OPERATIONS)
    assert event["data"]["operation_id"] == event["id"] == entry.webhook_id


async def test_endpoints_of_operations_that_are_dead_or_gone_are_recorded_and_never_told_of_themselves(
    stack: Stack, receiver: Receiver, team: Team, guests: list[str]
) -> None:
    dead = await team.subscribe(OPERATIONS, receiver.url("/dead/itself"), retry={"delays_s": [1]})
    gone = await team.subscribe(OPERATIONS, receiver.url("/gone/itself"))
    guests += [dead["id"], gone["id"]]
    await refuse(stack, "told-to-nobody")

    (refused,) = await rows(stack, "operations", 1, subject_id="told-to-nobody")
    letters = await rows(stack, "operations", 2, kind="dead_letter", event_id=refused["operation_id"])
    (ended,) = await rows(stack, "operations", 1, kind="subscription.disabled", subject_id=gone["id"])
    assert {row["subject_id"] for row in letters} == {dead["id"], gone["id"]}
    assert {row["topic_id"] for row in (*letters, ended)} == {OPERATIONS}

    await all_relayed(stack)
    made = [json.loads(record.value or b"") for record in await events(stack)]
    assert refused["operation_id"] in {item["operation_id"] for item in made}
    assert OPERATIONS not in {item["topic_id"] for item in made}
    about = [item for item in await operations(stack, topic_id=OPERATIONS) if item["subject_id"] in guests]
    assert len(about) == len([*letters, ended])
    assert len(await receiver.at("/dead/itself")) == 2 * len(await receiver.at("/gone/itself")) == 2


async def test_an_operation_is_told_once_under_one_id_whenever_the_worker_is_killed(
    stack: Stack, receiver: Receiver, team: Team, guests: list[str]
) -> None:
    subscription = await team.subscribe(
        OPERATIONS,
        receiver.url("/outage/killed"),
        filter="event.subject_id.startsWith('killed-')",
        retry={"delays_s": [1] * 30},
        circuit_breaker=False,
    )
    guests.append(subscription["id"])
    for number in range(3):
        key = f"killed-{number}"
        await refuse(stack, key)

        async def on_the_stream(key: str = key) -> list[Any]:
            return await operations(stack, subject_id=key)

        await until(f"the operation of {key}", on_the_stream, IN_TIME_S)
        await stack.kill9("processors")
        await stack.ready("processors")
    await until("requests", lambda: receiver.at("/outage/killed"), IN_TIME_S)
    await stack.call("GET", "/mend/killed", port=receiver.port)

    async def taken() -> list[Entry]:
        entries = [entry for entry in await receiver.at("/outage/killed") if entry.answered == 200]
        return entries if len(entries) >= 3 else []

    entries = await until("all three", taken, IN_TIME_S)
    assert sorted(json.loads(body_of(entry))["subject_id"] for entry in entries) == ["killed-0", "killed-1", "killed-2"]
    assert all(json.loads(body_of(entry))["operation_id"] == entry.webhook_id for entry in entries)
    await rows(stack, "deliveries", 3, subscription_id=subscription["id"], status="SUCCESS")


async def test_an_event_of_an_operation_that_a_killed_worker_makes_again_is_dispatched_once(
    stack: Stack, receiver: Receiver, team: Team, guests: list[str]
) -> None:
    subscription = await team.subscribe(
        OPERATIONS, receiver.url("/ok/made-again"), filter="event.subject_id == 'made-again'"
    )
    guests.append(subscription["id"])
    await refuse(stack, "made-again")
    made = await told(receiver, "/ok/made-again", "config.refused", "made-again")
    (record,) = [item for item in await events(stack) if item.header("ce_id") == made.webhook_id]
    async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap) as producer:
        await producer.send_and_wait(
            "hooklog.events", record.value, key=record.key, headers=list(record.headers), partition=record.partition
        )
    of_event = {"event_id": made.webhook_id}
    first, again = await rows(stack, "dispatches", 2, "ORDER BY event_offset", **of_event)
    assert (first["matched"], first["duplicate"]) == (1, False)
    assert (again["matched"], again["duplicate_of"]) == (0, f"{record.partition}/{record.offset}")
    await rows(stack, "deliveries", 1, **of_event)


async def test_ids_that_begin_as_hooklogs_own_are_refused_and_the_operations_need_no_topic(
    stack: Stack, receiver: Receiver, team: Team, guests: list[str]
) -> None:
    source = {"id": "hooklog.mine", "auth_type": "none"}
    answer = await stack.call("POST", "/api/v1/sources", source)
    assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "id")
    topic = {"id": OPERATIONS, "source_id": "anything"}
    assert (await stack.call("PUT", f"/api/v1/topics/{OPERATIONS}", topic)).status == 422
    assert (await stack.call("POST", f"/api/v1/topics/{OPERATIONS}/check", topic)).status == 422
    await produce(stack.bootstrap, "hooklog.config.topics", OPERATIONS.encode(), b'{"source_id":"anything"}')
    (row,) = await rows(stack, "config_changes", 1, kind="topics", id=OPERATIONS, result="refused")
    assert (row["field"], "Hooklog's own" in row["reason"]) == ("id", True)

    subscription = await team.subscribe(OPERATIONS, receiver.url("/ok/unused"), event_types=["none"])
    guests.append(subscription["id"])
    assert "warnings" not in subscription
    misspelt = await team.subscribe("hooklog.operation", receiver.url("/ok/unused"))
    guests.append(misspelt["id"])
    assert misspelt["warnings"][0]["code"] == "dangling_reference"

    assert OPERATIONS not in {row["id"] for row in (await stack.admin("GET", "/api/v1/topics?limit=500"))["data"]}
    found = await stack.admin("GET", f"/api/v1/subscriptions?topic_id={OPERATIONS}")
    assert subscription["id"] in {row["id"] for row in found["data"]}
    assert (await stack.call("DELETE", f"/api/v1/topics/{OPERATIONS}")).status == 404
    assert (await stack.call("GET", f"/api/v1/subscriptions/{subscription['id']}")).status == 200
    assert (await stack.call("POST", f"/api/v1/ingest/{OPERATIONS}", {})).status == 404
