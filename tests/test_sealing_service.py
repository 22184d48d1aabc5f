"""The hourly figures of the running service are exact, whatever ends it in the middle."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.attempt import Attempt, AttemptStatus
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import Projections, Stages, make_attempt, make_delivery, make_event, until

pytestmark = pytest.mark.stack

HOUR_MS = 3_600_000
KILLS = 4


@pytest.fixture
def projections(kafka: RunningKafka, tmp_path: Path) -> Iterator[Projections]:
    service = Projections(kafka, tmp_path)
    yield service
    service.kill()


def attempts_of(seed: int, count: int) -> list[Attempt]:
    """Attempts of the last days, two of each delivery."""
    chance = random.Random(seed)
    now_ms = time.time_ns() // 1_000_000
    made = []
    for _ in range(count):
        event = make_event(received_ms=now_ms - chance.randrange(1, 60) * HOUR_MS)
        delivery = make_delivery(event, f"s{chance.randrange(20)}")
        last = chance.choice((AttemptStatus.SUCCESS, AttemptStatus.FAILED))
        made += [make_attempt(delivery, 1, AttemptStatus.RETRYING), make_attempt(delivery, 2, last)]
    return made


def books(attempts: list[Attempt]) -> dict[tuple[int, str], tuple[int, int, int]]:
    hours = [(item.started_ms // HOUR_MS * 3_600, item.subscription_id) for item in attempts]
    made = Counter(hours)
    good = Counter(hour for hour, item in zip(hours, attempts, strict=True) if item.status == "SUCCESS")
    bad = Counter(hour for hour, item in zip(hours, attempts, strict=True) if item.status == "FAILED")
    return {hour: (count, good[hour], bad[hour]) for hour, count in made.items()}


def sealed(projections: Projections) -> dict[tuple[int, str], tuple[int, int, int]]:
    rows = projections.sql(
        "SELECT toUnixTimestamp(hour) AS hour, subscription_id, sum(attempts) AS made, sum(ended_success) AS good,"
        " sum(ended_failed) AS bad FROM stats_by_subscription FINAL GROUP BY hour, subscription_id"
    )
    return {(row["hour"], row["subscription_id"]): (row["made"], row["good"], row["bad"]) for row in rows}


async def test_kill_9_in_the_middle_of_sealing_and_writing_leaves_the_hourly_figures_exact(
    projections: Projections,
) -> None:
    attempts = attempts_of(11, 1_200)
    chance = random.Random(11)
    projections.start()
    async with Stages(projections.settings) as stages:
        for part in range(KILLS):
            await stages.attempts(attempts[part::KILLS])
            await asyncio.to_thread(until_killed_while_sealing, projections, chance)
            projections.start()
    await asyncio.to_thread(projections.until_count, "attempts", len(attempts))
    await asyncio.to_thread(until, lambda: sealed(projections) == books(attempts), "every hour as in the books")


def until_killed_while_sealing(projections: Projections, chance: random.Random) -> None:
    """A start seals; it is killed some hundredths of a second after it has begun to answer."""
    until(lambda: projections.sql("SELECT 1 AS one"), "an answer")
    deadline = time.monotonic() + chance.uniform(0, 0.4)
    while time.monotonic() < deadline:
        projections.sql("SELECT count() FROM stats_by_topic")
    projections.kill()
