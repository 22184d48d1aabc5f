"""A replay brings what came, byte for byte, also when Kafka keeps it no more; once, however often it is asked for."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.ids import new_id
from schemas.replay import Replay, encode_replay_record
from tests.oracle.http import Answer, NoAnswerError, send_json
from tests.oracle.kafka_reader import expire, produce, read_stream
from tests.oracle.receiver import Receiver, body_of
from tests.oracle.sender import Load, Sender
from tests.oracle.sink import Entry
from tests.oracle.stack import Stack, until
from tests.oracle.team import SECRET, Team
from tests.test_replays import ended, rows_of, sent_events

pytestmark = pytest.mark.stack

BODIES = [
    b'{"n": 1,   "text": "na\xc3\xafve"}',
    b"\xff\xfe\x00 no text at all \x80",
    b"",
    b'{"n": 2, "big": "%b"}' % (b"x" * 200_000),  # travels by reference while Kafka keeps it
    b'{"n": 3}',
]
BY_ITSELF = ("webhook-timestamp", "webhook-signature", "traceparent", "content-length")
"""Headers that differ between two deliveries of one event; the signature is over the time as well."""


@pytest.fixture(scope="module")
def sink() -> Iterator[Receiver]:
    """A receiver of its own, which keeps every body."""
    with Receiver(keep_bodies=True) as running:
        yield running


async def ask(stack: Stack, key: str | None = None, **fields: Any) -> Answer:
    """The answer to a request for a replay, with an idempotency key."""
    headers = {"Authorization": f"Bearer {stack.admin_key}"} | ({"Idempotency-Key": key} if key else {})
    return await send_json("POST", stack.ports["projections"], "/api/v1/replays", fields, headers)


async def arrived(sink: Receiver, path: str, count: int) -> list[Entry]:
    """The requests at a path, when there are so many."""

    async def enough() -> list[Entry] | None:
        found = await sink.at(path)
        return found if len(found) >= count else None

    entries: list[Entry] = await until(f"{count} requests at {path}", enough, 60)
    return entries


def seen(entries: list[Entry]) -> dict[str, tuple[bytes, list[tuple[str, str]]]]:
    """Body and headers by webhook id."""
    return {
        entry.webhook_id: (
            body_of(entry),
            sorted((name, value) for name, value in dict(entry.headers).items() if name.lower() not in BY_ITSELF),
        )
        for entry in entries
    }


async def expire_events(stack: Stack) -> None:
    """Deletes every record of the events stream, as retention does in time."""
    records = await read_stream(stack.bootstrap, "hooklog.events")
    for partition in {record.partition for record in records}:
        last = max(record.offset for record in records if record.partition == partition)
        await expire(stack.bootstrap, TopicPartition("hooklog.events", partition), last + 1)


async def test_events_that_kafka_has_lost_come_from_the_tables_with_the_same_bytes_and_headers(
    stack: Stack, team: Team, sink: Receiver
) -> None:
    topic = await team.github_topic()
    first = await team.subscribe(topic, sink.url("/ok/kept"), transform="", headers={"X-Team": "t"})
    told = await team.subscribe(
        topic, sink.url("/ok/kept-told"), transform="{'n': event.n, 'by': headers['x-github-event']}"
    )
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    ids = [(await sender.send_one("push", body)).event_id for body in BODIES]
    before = seen(await arrived(sink, "/ok/kept", len(BODIES)))
    told_before = seen(await arrived(sink, "/ok/kept-told", 3))
    await rows_of(stack, f"SELECT 1 FROM dispatches FINAL WHERE topic_id = '{topic}'", len(BODIES))  # noqa: S608 - ours
    await rows_of(
        stack,
        f"SELECT 1 FROM deliveries FINAL WHERE topic_id = '{topic}' AND completed_at > 0",  # noqa: S608 - ours
        2 * len(BODIES),
    )
    await expire_events(stack)

    counted = (await ask(stack, topic_id=topic, mode="all", dry_run=True)).json()
    assert (counted["total"], counted["from_tables"], counted["unavailable"]) == (10, 10, {})
    asked = (await ask(stack, topic_id=topic, mode="all")).json()
    done = await ended(stack, asked["replay_id"])
    assert (done["state"], done["total"], done["sent"], done["skipped"]) == ("DONE", 10, 10, {})
    again = await arrived(sink, "/ok/kept", 2 * len(BODIES))
    assert Counter(entry.webhook_id for entry in again) == Counter(ids * 2)
    assert seen(again[len(BODIES) :]) == before
    assert {name: body for name, (body, _) in before.items()} == dict(zip(ids, BODIES, strict=True))
    assert seen((await arrived(sink, "/ok/kept-told", 6))[3:]) == told_before
    assert first["id"] != told["id"]


async def test_where_chooses_as_a_filter_would_and_the_command_says_so_first(
    stack: Stack, team: Team, sink: Receiver
) -> None:
    topic = await team.github_topic()
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    for number in range(12):
        await sender.send_one("push", b'{"total": %d}' % number if number < 9 else b"{}")
    await rows_of(stack, f"SELECT 1 FROM dispatches FINAL WHERE topic_id = '{topic}'", 12)  # noqa: S608 - ours
    name = (await team.subscribe(topic, sink.url("/ok/where")))["id"]
    chosen = ("--topic", topic, "--to", name, "--where", "event.total > 3", "--since", "1h")
    counted = json.loads(await stack.run("replay", *chosen, "--dry-run", "--json"))
    assert (counted["total"], counted["events"], counted["subscriptions"]) == (5, 5, {name: 5})
    assert counted["where"]["looked_at"] == 12
    assert counted["where"]["failed"] == 3
    assert counted["where"]["failed_example"].endswith('Key not found in map : "total"')
    assert "5 deliveries would be made again, of 5 events" in await stack.run("replay", *chosen)
    assert await sink.at("/ok/where") == []  # nobody could be asked
    done = json.loads(await stack.run("replay", *chosen, "--yes", "--follow", "--json"))
    assert (done["sent"], done["total"], done["asked"]["where"]) == (5, 5, "event.total > 3")
    bodies = [body_of(entry) for entry in await arrived(sink, "/ok/where", 5)]
    assert sorted(json.loads(body)["total"] for body in bodies) == [4, 5, 6, 7, 8]


async def test_a_key_makes_one_replay_and_is_refused_for_another(stack: Stack, team: Team, sink: Receiver) -> None:
    topic = await team.github_topic()
    await sent_events(stack, topic, 5)
    name = (await team.subscribe(topic, sink.url("/ok/keyed")))["id"]
    fields = {"topic_id": topic, "to": name, "mode": "all"}
    key = f"nightly-{topic}"
    answers = await asyncio.gather(*(ask(stack, key, **fields) for _ in range(5)))
    assert {answer.status for answer in answers} == {202}
    (replay_id,) = {answer.json()["replay_id"] for answer in answers}
    other = await ask(stack, key, **fields, rate_per_s=7)
    assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")
    await ended(stack, replay_id)
    await stack.kill9("projections")
    await stack.ready("projections")
    assert (await ask(stack, key, **fields)).json()["replay_id"] == replay_id
    made = f"FROM deliveries FINAL WHERE subscription_id = '{name}'"
    await rows_of(stack, f"SELECT 1 {made} AND status = 'SUCCESS'", 5)
    assert await stack.sql(f"SELECT uniqExact(replay_id) AS n {made}") == [{"n": 1}]


async def test_a_replay_under_kills_of_both_services_sends_each_event_once_as_it_says(
    stack: Stack, team: Team, sink: Receiver
) -> None:
    topic = await team.github_topic()
    events = await sent_events(stack, topic, 300)
    await expire_events(stack)  # these are in the tables alone, and the next ones in Kafka
    sender = Sender([stack.ports["ingest"]], topic, SECRET)
    await sender.send_many(Load(300, ("push",), 1_000))
    events += [sent.event_id for sent in sender.books]
    await rows_of(stack, f"SELECT 1 FROM dispatches FINAL WHERE topic_id = '{topic}'", 600)  # noqa: S608 - ours
    name = (await team.subscribe(topic, sink.url("/ok/killed")))["id"]
    fields = {"topic_id": topic, "to": name, "mode": "all", "rate_per_s": 150}
    first = asyncio.create_task(_until_taken(stack, f"killed-{topic}", fields))
    await stack.kill9("projections")
    asked = await first
    assert asked["total"] == 600

    async def under_way() -> bool:
        return len(await sink.at("/ok/killed")) >= 100

    await until("100 requests", under_way, 60)
    await stack.kill9("processors")
    await stack.kill9("projections")
    await stack.ready("processors", "projections")
    await rows_of(stack, f"SELECT 1 FROM replays FINAL WHERE replay_id = '{asked['replay_id']}'", 1)  # noqa: S608 - ours
    done = await ended(stack, asked["replay_id"])
    assert (done["state"], done["sent"], done["skipped"]) == ("DONE", 600, {})
    made = f"FROM deliveries FINAL WHERE subscription_id = '{name}'"
    await rows_of(stack, f"SELECT 1 {made} AND status = 'SUCCESS'", 600)
    counted = await stack.sql(f"SELECT count() AS n, uniqExact(event_id) AS ids, uniqExact(replay_id) AS r {made}")
    assert counted == [{"n": 600, "ids": 600, "r": 1}]
    times = Counter(entry.webhook_id for entry in await sink.at("/ok/killed"))
    assert set(times) == set(events)
    assert times.total() - len(times) <= 20  # what its lane had in flight


async def _until_taken(stack: Stack, key: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Asks again until it is answered, as a client with a key may."""

    async def taken() -> dict[str, Any] | None:
        try:
            answer = await ask(stack, key, **fields)
        except NoAnswerError:
            return None
        document: dict[str, Any] = answer.json()
        return document if answer.status == 202 else None

    found: dict[str, Any] = await until("an answer", taken, 60)
    return found


async def test_a_replay_of_nothing_ends(stack: Stack, team: Team) -> None:
    asked = (await ask(stack, topic_id=await team.github_topic(), mode="all")).json()
    assert (asked["total"], asked["state"]) == (0, "PENDING")
    done = await ended(stack, asked["replay_id"], 30)
    assert (done["state"], done["total"], done["progress"]) == ("DONE", 0, 1.0)


async def test_a_replay_whose_chunks_are_gone_ends_and_says_so(stack: Stack) -> None:
    lost = Replay(
        replay_id=new_id(),
        asked={"mode": "all"},
        requested_by="admin",
        rate_per_s=9,
        total=3,
        items=2,
        skipped={"event_unknown": 1},
        updated_ms=time.time_ns() // 1_000_000,
    )
    await produce(stack.bootstrap, "hooklog.replays", lost.replay_id.encode(), encode_replay_record(lost))
    await rows_of(stack, f"SELECT 1 FROM replays FINAL WHERE replay_id = '{lost.replay_id}'", 1)  # noqa: S608 - ours
    done = await ended(stack, lost.replay_id)
    assert (done["state"], done["sent"]) == ("DONE", 0)
    assert done["skipped"] == {"event_unknown": 1, "replay_expired": 2}
