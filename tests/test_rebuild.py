"""Every table is made again from Kafka, whatever the tables have been through, and whatever Kafka keeps."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from cli.exits import USAGE
from projections.app import USERS_CONFIG
from projections.rebuild.carry import ORIGINS
from schemas.attempt import AttemptStatus
from schemas.streams import ATTEMPTS, EVENTS, Stream
from tests.cli_fixture import CommandLine
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import expire
from tests.projections_fixture import ADMIN_KEY, Projections, Stages, make_attempt, make_delivery, make_event, until

pytestmark = pytest.mark.stack

PATH = "/api/v1/projections/rebuild"

KILLS = 2
"""At random; what comes of each statement of an exchange is told by `test_rebuild_exchange.py`."""

Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture
def projections(kafka: RunningKafka, tmp_path: Path) -> Iterator[Projections]:
    service = Projections(kafka, tmp_path)
    service.start()
    yield service
    service.kill()


async def append(projections: Projections, deliveries: int, poison: int = 0) -> None:
    """Deliveries with two attempts each, and records that are none."""
    async with Stages(projections.settings) as stages:
        for number in range(deliveries):
            event = make_event()
            delivery = make_delivery(event, f"s{number % 7}")
            await stages.event(event)
            await stages.delivery(delivery)
            retried = make_attempt(delivery, 1, AttemptStatus.RETRYING, response_status_code=500)
            await stages.attempts([retried, make_attempt(delivery, 2, AttemptStatus.SUCCESS)])
        for _ in range(poison):
            await stages.raw(ATTEMPTS, b'{"no":"attempt"}')


def tables(projections: Projections) -> Tables:
    """Every row that readers see, but for when it was written."""
    return {
        table: projections.sql(f"SELECT * EXCEPT _ingested_at FROM {table} FINAL ORDER BY ALL")  # noqa: S608 - our own
        for table in ORIGINS
    }


def until_stored(projections: Projections, deliveries: int) -> Tables:
    """The tables, as soon as all of so many deliveries is there."""
    for table, rows in (("events", 1), ("deliveries", 1), ("attempts", 2)):
        projections.until_count(table, rows * deliveries)
    query = "SELECT count() AS n FROM deliveries FINAL WHERE status = 'SUCCESS'"
    until(lambda: projections.sql(query) == [{"n": deliveries}], "the last states")
    return tables(projections)


def begin(projections: Projections) -> dict[str, Any]:
    status, body = projections.get(PATH, {})
    assert status == 202, body
    document: dict[str, Any] = json.loads(body)
    return document


def last(projections: Projections) -> dict[str, Any] | None:
    status, body = projections.get(PATH)
    return json.loads(body) if status == 200 else None


def until_ended(projections: Projections, rebuild_id: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found = last(projections)
        assert found is None or found["rebuild_id"] == rebuild_id
        return found if found and found["state"] in {"DONE", "FAILED"} else None

    return until(ended, "the end of the rebuild")


def rebuilt(projections: Projections) -> dict[str, Any]:
    ended = until_ended(projections, begin(projections)["rebuild_id"])
    assert ended["state"] == "DONE", ended
    return ended


def damage(projections: Projections, *statements: str) -> None:
    """Runs statements on the tables while the service is down."""
    program = (
        "import sys; from pathlib import Path; from runtime.clickhouse import EmbeddedClickHouse;"
        "client = EmbeddedClickHouse(Path(sys.argv[1]), Path(sys.argv[2])).open_writer();"
        "[client.command(statement, settings={'mutations_sync': 1}) for statement in sys.argv[3:]]; client.close()"
    )
    assert projections.stop() == 0
    folder = projections.settings.data_dir / "clickhouse"
    subprocess.run([sys.executable, "-c", program, str(folder), str(USERS_CONFIG), *statements], check=True)
    projections.start()
    projections.until_ready()


async def forget(projections: Projections, stream: Stream, before: int) -> None:
    """Kafka drops the first records of every partition."""
    settings = projections.settings
    for partition in range(settings.partitions):
        place = TopicPartition(f"{settings.kafka_prefix}{stream.name}", partition)
        await expire(settings.bootstrap, place, before)


async def test_the_rebuilt_tables_are_the_old_ones_and_what_comes_meanwhile_is_in_them(
    projections: Projections,
) -> None:
    await append(projections, 300, poison=3)
    before = await asyncio.to_thread(until_stored, projections, 300)
    assert len(before["projection_errors"]) == 3
    assert last(projections) is None
    rebuild_id = begin(projections)["rebuild_id"]
    await append(projections, 100)
    ended = await asyncio.to_thread(until_ended, projections, rebuild_id)
    assert (ended["state"], ended["carried"], ended["requested_by"]) == ("DONE", 0, "admin")
    after = await asyncio.to_thread(until_stored, projections, 400)
    for table, rows in before.items():
        kept = {json.dumps(row) for row in after[table]}
        assert all(json.dumps(row) in kept for row in rows), table
    assert projections.get(PATH, {})[0] == 202


async def test_damage_is_mended_and_rows_whose_records_kafka_has_dropped_are_kept(
    projections: Projections, tmp_path: Path
) -> None:
    await append(projections, 200, poison=2)
    before = await asyncio.to_thread(until_stored, projections, 200)
    await forget(projections, ATTEMPTS, 60)
    await forget(projections, EVENTS, 20)
    still = "(_partition, _offset) IN (SELECT _partition, max(_offset) FROM {0} GROUP BY _partition)"
    await asyncio.to_thread(
        damage,
        projections,
        f"ALTER TABLE attempts DELETE WHERE {still.format('attempts')}",
        f"ALTER TABLE events UPDATE payload = 'forged' WHERE {still.format('events')}",
        "ALTER TABLE deliveries DELETE WHERE status = 'SUCCESS' AND _offset >= 60",
    )
    assert await asyncio.to_thread(tables, projections) != before
    hooklog = CommandLine(
        tmp_path,
        {
            "HOOKLOG_QUERY_URL": f"http://127.0.0.1:{projections.settings.query_port}",
            "HOOKLOG_ADMIN_KEY": ADMIN_KEY,
        },
    )
    assert hooklog("projections", "rebuild").code == USAGE
    ended = await asyncio.to_thread(hooklog.ok, "projections", "rebuild", "--yes", "--json")
    assert ended.object["state"] == "DONE"
    assert ended.object["carried"] >= 2 * 60 + 2 * 20
    assert await asyncio.to_thread(tables, projections) == before


async def test_a_kill_at_any_moment_of_a_rebuild_leaves_complete_tables(projections: Projections) -> None:
    await append(projections, 300)
    before = await asyncio.to_thread(until_stored, projections, 300)
    chance = random.Random(11)
    states = set()
    for _ in range(KILLS):
        begin(projections)
        await asyncio.sleep(chance.uniform(0, 1.2))  # what is tried: any moment
        await asyncio.to_thread(projections.kill)
        projections.start()
        await asyncio.to_thread(projections.until_ready)
        assert await asyncio.to_thread(tables, projections) == before
        left = projections.sql("SELECT name FROM system.databases WHERE name = 'hooklog_rebuild'")
        assert left == []
        found = last(projections)
        states.add(found["state"] if found else None)
    assert states <= {"DONE", "FAILED"}
    await asyncio.to_thread(rebuilt, projections)
    assert await asyncio.to_thread(tables, projections) == before
