"""Heavy queries of many analysts delay neither the writer nor the query API, and who finds no place is told so."""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry

from projections.query.turns import HELD, MAX_WAITING, CrowdedError, Turns
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import ADMIN_KEY, Projections, Stages, make_event, until

pytestmark = pytest.mark.stack

ANALYSTS = 50
ROUNDS = 5
EVENTS_A_ROUND = 400
HEAVY = "SELECT sum(sipHash64(number)) FROM numbers(100000000000)"
WIDE = "SELECT groupArray(toString(number)) FROM numbers(1000000000)"


@pytest.fixture
def projections(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projections]:
    service = Projections(session_kafka, tmp_path_factory.mktemp("projections"))
    service.start()
    service.until_ready()
    yield service
    assert service.stop() == 0


@contextmanager
def crowd(service: Projections) -> Iterator[Counter[int]]:
    """Analysts who ask, one query after the other, until the end; the statuses that they got."""
    over, statuses = threading.Event(), Counter[int]()
    url = f"http://127.0.0.1:{service.settings.sql_port}/?max_execution_time=4"

    def ask(number: int) -> None:
        with httpx.Client(auth=("analyst", ADMIN_KEY), timeout=90, trust_env=False) as client:
            while not over.is_set():
                statuses[client.post(url, content=(HEAVY, WIDE)[number % 2]).status_code] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(ANALYSTS)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join(90)


def figures(service: Projections) -> dict[str, float]:
    text = service.get("/metrics")[1].decode()
    return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}


def stored(service: Projections) -> float:
    return figures(service).get('hooklog_projections_rows_total{table="events"}', 0.0)


def lag(service: Projections) -> float:
    return sum(value for name, value in figures(service).items() if name.startswith("hooklog_projections_lag_records"))


async def test_the_writer_and_the_query_api_keep_up_beside_fifty_heavy_queries(projections: Projections) -> None:
    took_s = []

    async def a_round(stages: Stages) -> None:
        wanted = stored(projections) + EVENTS_A_ROUND
        began = time.monotonic()
        await asyncio.gather(*(stages.event(make_event()) for _ in range(EVENTS_A_ROUND)))
        await asyncio.to_thread(until, lambda: stored(projections) == wanted, "the round")
        await asyncio.to_thread(until, lambda: lag(projections) == 0, "no lag")
        status, _ = await asyncio.to_thread(projections.get, "/api/v1/logs/events?limit=1")
        assert status == 200
        took_s.append(round(time.monotonic() - began, 2))

    async with Stages(projections.settings) as stages:
        await a_round(stages)
        with crowd(projections) as statuses:
            await asyncio.to_thread(
                until, lambda: figures(projections)["hooklog_sql_waiting"] > ANALYSTS / 2, "a crowd"
            )
            for _ in range(ROUNDS):
                await a_round(stages)  # stored while they go on asking: what is behind never grows beyond it
            assert figures(projections)["hooklog_sql_waiting"] > 0
    print(f"{EVENTS_A_ROUND} events took {took_s[0]} s alone, {took_s[1:]} beside analysts, who got {dict(statuses)}")
    assert set(statuses) <= {200, 408, 503}
    assert statuses[408] + statuses[200] > 0
    projections.until_count("events", (ROUNDS + 1) * EVENTS_A_ROUND)


async def test_who_finds_no_place_is_told_at_once_or_after_a_while() -> None:
    turns = Turns(CollectorRegistry(), held=1, max_waiting=1, max_wait_s=0.05)
    async with turns.turn():
        waiting = asyncio.create_task(_take(turns))
        await asyncio.sleep(0)
        with pytest.raises(CrowdedError, match="1 queries wait already"):
            await _take(turns)
        with pytest.raises(CrowdedError, match=r"within 0\.05 s"):
            await waiting
    await _take(turns)
    assert HELD < MAX_WAITING


async def _take(turns: Turns) -> None:
    async with turns.turn():
        pass
