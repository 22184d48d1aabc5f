"""What is in Kafka is in the tables, exactly, whatever ends or is thrown at the service."""

import asyncio
import random
from collections import Counter
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


def load(seed: int, deliveries: int) -> tuple[list[Attempt], Counter[str]]:
    """Attempts of many deliveries, each delivery's in order, and how many deliveries end in which state."""
    chance = random.Random(seed)
    attempts: list[Attempt] = []
    states: Counter[str] = Counter()
    for _ in range(deliveries):
        delivery = make_delivery(make_event(), f"s{chance.randrange(SUBSCRIPTIONS)}")
        made = list(story(delivery, chance))
        states[made[-1].status] += 1
        attempts += made
    return attempts, states


def story(delivery: Delivery, chance: random.Random) -> Iterator[Attempt]:
    for number in range(1, chance.randrange(3) + 1):
        yield make_attempt(delivery, number, AttemptStatus.RETRYING, response_status_code=500)
    last = chance.choice([AttemptStatus.SUCCESS, AttemptStatus.FAILED, AttemptStatus.RETRYING])
    yield make_attempt(delivery, 4, last, response_status_code=200)


async def test_kill_9_in_the_middle_of_a_stream_loses_and_repeats_nothing(projections: Projections) -> None:
    attempts, states = load(7, 2_500)
    projections.start()
    async with Stages(projections.settings) as stages:
        for part in range(3):
            appending = asyncio.create_task(steadily(stages, attempts[part::3]))
            await asyncio.to_thread(until_growing, projections)
            await asyncio.to_thread(projections.kill)
            projections.start()
            await appending
    await asyncio.to_thread(projections.until_count, "attempts", len(attempts))
    stored = projections.sql("SELECT _partition AS p, _offset AS o FROM attempts FINAL")
    assert len({(row["p"], row["o"]) for row in stored}) == len(attempts)
    await asyncio.to_thread(until, lambda: states_of(projections) == dict(states), "every delivery in its last state")
    assert projections.sql("SELECT * FROM projection_errors FINAL") == []


def states_of(projections: Projections) -> dict[str, int]:
    rows = projections.sql("SELECT status, count() AS n FROM deliveries FINAL GROUP BY status")
    return {row["status"]: row["n"] for row in rows}


async def steadily(stages: Stages, attempts: list[Attempt]) -> None:
    """Appends over a second or two, so that a kill finds rows at every step of their way."""
    for start in range(0, len(attempts), 25):
        await stages.attempts(attempts[start : start + 25])
        await asyncio.sleep(0.05)  # the pace of the load


def until_growing(projections: Projections) -> None:
    """Returns just after an insert, while the next one is on its way."""
    query = "SELECT count() AS n FROM attempts"
    before = until(lambda: projections.sql(query), "an answer")
    until(lambda: projections.sql(query) not in ([], before), "growing")


async def test_a_broker_that_dies_and_a_stop_and_a_start_lose_nothing(
    kafka: RunningKafka, projections: Projections
) -> None:
    attempts, _ = load(8, 200)
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
    attempts, _ = load(10, 40)
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
    attempts, _ = load(9, 50)
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
