"""A replay that says more than there is is named, but not for what has expired, nor for what is on its way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from projections.audit.auditor import AUDIT_SETTINGS, Auditor, AuditRequest
from projections.audit.facts import read_replays
from projections.audit.window import DAY_MS, Window
from projections.query.readers import Readers
from projections.read_side import now_ms
from runtime.clickhouse import Client, EmbeddedClickHouse
from schemas.ids import new_id
from tests.clickhouse_fixture import engine
from tests.clickhouse_fixture import writer as empty_writer
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import Projections, Stages

__all__ = ["empty_writer", "engine"]

pytestmark = pytest.mark.stack


@pytest.fixture
def writer(empty_writer: Client) -> Client:
    empty_writer.command("ALTER TABLE replays DROP PARTITION ALL")
    return empty_writer


@pytest.fixture
def readers(engine: EmbeddedClickHouse) -> Iterator[Readers]:
    pool = Readers(engine, 1, AUDIT_SETTINGS)
    pool.start()
    yield pool
    pool.close()


def replay(writer: Client, sent: int) -> str:
    """One that is over, and says that it made so many deliveries."""
    replay_id = new_id()
    writer.command(
        "INSERT INTO replays (replay_id, created_at, state, sent)"  # noqa: S608 - the test's own
        f" VALUES ('{replay_id}', now64(3) - INTERVAL 20 DAY, 'DONE', {sent})"
    )
    return replay_id


async def test_deliveries_that_went_with_the_time_of_their_event_are_known_by_their_attempts(
    writer: Client, readers: Readers
) -> None:
    replay_id = replay(writer, 2)
    columns = "INSERT INTO attempts (replay_id, delivery_id, kind, status, started_at) VALUES"
    attempted = "now64(3) - INTERVAL 19 DAY"
    window = Window(now_ms() - 30 * DAY_MS, now_ms())
    writer.command(f"{columns} ('{replay_id}', 'one', 'attempt', 'SUCCESS', {attempted})")
    (offender,) = await readers.run(lambda client: read_replays(client, window))
    assert (offender.kind, offender.id) == ("replay_incomplete", replay_id)
    assert "2 deliveries, and there are 1" in offender.what
    writer.command(f"{columns} ('{replay_id}', 'other', 'outcome', 'FAILED', {attempted})")
    assert await readers.run(lambda client: read_replays(client, window)) == []


async def test_a_replay_whose_end_is_stored_before_its_deliveries_is_looked_at_again(
    kafka: RunningKafka, tmp_path: Path, writer: Client, readers: Readers
) -> None:
    settings = Projections(kafka, tmp_path).settings
    late, lost = replay(writer, 1), replay(writer, 1)

    async def store_late(progress: str) -> None:
        """Stores what was on its way, as soon as the audit has missed it."""
        if progress.startswith("looking again at 2 replays"):
            writer.command(
                "INSERT INTO deliveries (replay_id, delivery_id, event_id, status, created_at)"  # noqa: S608 - the test's own
                f" VALUES ('{late}', 'd', 'e', 'PENDING', now64(3) - INTERVAL 40 DAY)"
            )

    async with Stages(settings):
        request = AuditRequest(since_ms=now_ms() - 30 * DAY_MS)
        report = await Auditor(settings, readers, now_ms).audit(request, store_late)
    assert [item.id for item in report.findings.kept if item.kind == "replay_incomplete"] == [lost]
