"""A key makes one replay, also when the service is killed before its tables have it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from projections.query.readers import LOG_SETTINGS, Readers
from projections.query.replay_choice import Chooser
from projections.query.replay_request import ReplayRequest
from projections.query.replay_selection import CHOICE_SETTINGS
from projections.query.replays import MINUTE_MS, Replayer
from projections.query.stored_replays import StoredReplays
from projections.writer.records import GROUP
from projections.writer.rows import replay_rows
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.kafka import Appender
from runtime.log_range import LogRange
from runtime.problem import ProblemError
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.ids import new_id
from schemas.streams import REPLAYS, StreamNames
from tests.clickhouse_fixture import engine, writer
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import read_stream

__all__ = ["engine", "writer"]

NOW_MS = 1_770_000_000_000


@pytest.fixture
def pools(engine: EmbeddedClickHouse) -> Iterator[tuple[Readers, Readers]]:
    """Who reads lists, and who chooses."""
    both = Readers(engine, 1, LOG_SETTINGS), Readers(engine, 1, CHOICE_SETTINGS)
    for readers in both:
        readers.start()
    yield both
    for readers in both:
        readers.close()


class Writing:
    """The writer of projections, one step at a time."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client

    async def step(self) -> None:
        """Stores every replay, then commits."""
        name = StreamNames(self._settings.kafka_prefix)(REPLAYS)
        records: list[ConsumerRecord] = await read_stream(self._settings.bootstrap, name)
        block = b"\n".join(row.json for record in records for row in replay_rows(record))
        await asyncio.to_thread(self._client.raw_insert, "replays", insert_block=block, fmt="JSONEachRow")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            group_id=f"{self._settings.kafka_prefix}{GROUP}",
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            places = [TopicPartition(name, number) for number in range(self._settings.partitions)]
            consumer.assign(places)
            await consumer.commit(await consumer.end_offsets(places))
        finally:
            await consumer.stop()


async def test_a_key_makes_one_replay_also_after_a_kill_before_the_table_has_it(
    kafka: RunningKafka, pools: tuple[Readers, Readers], writer: Client, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path, kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=2
    )
    names = StreamNames(settings.kafka_prefix)
    await create_streams(settings)
    appender = Appender(kafka.bootstrap, names)
    await appender.start()
    logs, choosers = pools
    chooser = Chooser(choosers, LogRange(kafka.bootstrap, names, settings.partitions))

    def service(now_ms: int) -> Replayer:
        return Replayer(logs, StoredReplays(settings, 1.0), chooser, appender, lambda: now_ms)

    request = ReplayRequest(event_ids=[new_id()], mode="all")
    try:
        first = await service(NOW_MS).make(request, "admin", "nightly")
        again = service(NOW_MS + MINUTE_MS)  # as started anew: it remembers nothing
        with pytest.raises(ProblemError) as refused:
            await again.make(request, "admin", "nightly")
        assert refused.value.status == 503
        await Writing(settings, writer).step()
        assert (await again.make(request, "admin", "nightly"))["replay_id"] == first["replay_id"]
        other = await again.make(request, "admin", "weekly")
        assert other["replay_id"] != first["replay_id"]
    finally:
        await appender.stop()
    records = await read_stream(kafka.bootstrap, names(REPLAYS))
    assert {str(record.key, "ascii") for record in records if record.key} == {first["replay_id"], other["replay_id"]}
