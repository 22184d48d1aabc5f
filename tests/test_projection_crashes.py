"""What is in Kafka is in the tables, whatever becomes of Kafka or is thrown at the service."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from schemas.attempt import Attempt, AttemptStatus, encode_attempt
from schemas.delivery import Delivery
from schemas.streams import ATTEMPTS, DELIVERIES, EVENTS, OUTCOMES
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import expire
from tests.projections_fixture import Projections, Stages, make_attempt, make_delivery, make_event, until

pytestmark = pytest.mark.stack

SUBSCRIPTIONS = 20


@pytest.fixture
def projections(kafka: RunningKafka, tmp_path: Path) -> Iterator[Projections]:
    service = Projections(kafka, tmp_path)
    yield service
    service.kill()


def load(seed: int, deliveries: int) -> list[Attempt]:
    """Attempts of many deliveries, each delivery's in order."""
    chance = random.Random(seed)
    attempts: list[Attempt] = []
    for _ in range(deliveries):
        attempts += story(make_delivery(make_event(), f"s{chance.randrange(SUBSCRIPTIONS)}"), chance)
    return attempts


def story(delivery: Delivery, chance: random.Random) -> Iterator[Attempt]:
    for number in range(1, chance.randrange(3) + 1):
        yield make_attempt(delivery, number, AttemptStatus.RETRYING, response_status_code=500)
    last = chance.choice([AttemptStatus.SUCCESS, AttemptStatus.FAILED, AttemptStatus.RETRYING])
    yield make_attempt(delivery, 4, last, response_status_code=200)


async def test_a_broker_that_dies_and_a_stop_and_a_start_lose_nothing(
    kafka: RunningKafka, projections: Projections
) -> None:
    attempts = load(8, 200)
    projections.start()
    async with Stages(projections.settings) as stages:
        await stages.attempts(attempts[::3])
        await asyncio.to_thread(projections.until_ready)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        await stages.attempts(attempts[1::3])
        await asyncio.to_thread(projections.until_count, "attempts", len(attempts) - len(attempts[2::3]))
        assert await asyncio.to_thread(projections.stop) == 0
        await stages.attempts(attempts[2::3])
    projections.start()
    await asyncio.to_thread(projections.until_count, "attempts", len(attempts))


async def test_records_that_expire_unread_are_named_and_what_is_left_is_stored(projections: Projections) -> None:
    attempts = load(10, 40)
    projections.start()
    async with Stages(projections.settings) as stages:
        await stages.attempts([attempts[0]])
        await asyncio.to_thread(projections.until_count, "attempts", 1)
        assert await asyncio.to_thread(projections.stop) == 0
        values = [encode_attempt(attempt) for attempt in attempts[1:]]
        for value in values:
            await stages.raw(ATTEMPTS, value)
    stored = projections.settings
    await expire(stored.bootstrap, TopicPartition(f"{stored.kafka_prefix}{ATTEMPTS.name}", 0), 10)
    projections.start()
    lost = until(lambda: projections.sql("SELECT * FROM projection_errors FINAL"), "an error")
    assert [(row["code"], row["stream"], row["_partition"]) for row in lost] == [("records_expired", "attempts", 0)]
    await asyncio.to_thread(projections.until_count, "attempts", len(attempts) - (10 - lost[0]["_offset"]))


async def test_records_that_are_none_are_recorded_and_cost_no_other(projections: Projections) -> None:
    attempts = load(9, 50)
    poison = [b"", b"\xff\x00 no json", b'{"kind":"attempt"}', b'{"error":"\\ud800"}', None]
    projections.start()
    async with Stages(projections.settings) as stages:
        for value in poison:
            for stream in (ATTEMPTS, EVENTS, DELIVERIES, OUTCOMES):
                await stages.raw(stream, value)
        await stages.attempts(attempts)
        delivery = make_delivery(make_event())
        nul = make_attempt(delivery, 1, AttemptStatus.FAILED, response_body="a\x00b", error="\u2028")
        await stages.attempts([nul])
    await asyncio.to_thread(projections.until_count, "attempts", len(attempts) + 1)
    errors = projections.sql("SELECT stream, count() AS n FROM projection_errors FINAL GROUP BY stream ORDER BY stream")
    assert errors == [{"stream": name, "n": 5} for name in ("attempts", "config.outcomes", "deliveries", "events")]
    kept = projections.sql("SELECT record FROM projection_errors FINAL WHERE record LIKE '%no json' LIMIT 1 BY record")
    assert len(kept) == 1
    body = projections.sql("SELECT response_body AS b FROM attempts FINAL WHERE error != ''")
    assert body == [{"b": "a\x00b"}]
