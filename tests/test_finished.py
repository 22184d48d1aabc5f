"""Which attempts are finished, read back from a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from processors.deliver import finished
from processors.deliver.finished import FinishedAttempts
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.attempt import Attempt, AttemptKind, AttemptStatus, encode_attempt
from schemas.streams import ATTEMPTS, StreamNames
from tests.kafka_fixture import RunningKafka

PARTITIONS = 2
DEADLINE_S = 30.0

pytestmark = pytest.mark.stack


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def attempt(number: int, *, kind: AttemptKind = AttemptKind.ATTEMPT, until_ms: int = 0) -> Attempt:
    return Attempt(
        kind=kind,
        delivery_id=f"d{number}",
        event_id="e",
        subscription_id="s",
        topic_id="t",
        source_id="s",
        event_type="push",
        generation=0,
        attempt=1,
        received_ms=0,
        started_ms=0,
        until_ms=until_ms,
    )


class Attempts:
    """The attempts stream."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = StreamNames(settings.kafka_prefix)
        self._appender = Appender(settings.bootstrap, self.names)

    async def append(self, records: list[Attempt], partition: int = 0) -> None:
        await self._appender.start()
        await self._appender.append_all(
            [Outgoing(ATTEMPTS, encode_attempt(record), b"s", partition=partition) for record in records]
        )
        await self._appender.stop()
        self._appender = Appender(self.settings.bootstrap, self.names)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[FinishedAttempts]:
        reading = FinishedAttempts(self.settings.bootstrap, self.names(ATTEMPTS), PARTITIONS)
        await reading.start()
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield reading
        finally:
            await reading.stop()


@pytest.fixture
async def attempts(kafka: RunningKafka, tmp_path: Path) -> Attempts:
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=PARTITIONS, data_dir=tmp_path
    )
    await create_streams(settings)
    return Attempts(settings)


async def test_an_empty_stream_is_loaded_at_once(attempts: Attempts) -> None:
    async with attempts.reader() as reading:
        await reading.load(0, now_ms())
        assert not reading.has(0, ("d1", 1))


async def test_what_was_recorded_before_an_assignment_is_known_after_load(attempts: Attempts) -> None:
    await attempts.append([attempt(number) for number in range(1_000)])
    async with attempts.reader() as reading:
        await reading.load(0, now_ms())
        assert all(reading.has(0, (f"d{number}", 1)) for number in range(1_000))
        assert not reading.has(0, ("d1", 2))
        assert not reading.has(1, ("d1", 1))


async def test_a_late_record_of_another_worker_is_seen_while_the_partition_is_watched(attempts: Attempts) -> None:
    async with attempts.reader() as reading:
        await reading.load(0, now_ms())
        await attempts.append([attempt(7)])
        while not reading.has(0, ("d7", 1)):
            await asyncio.sleep(0.01)


async def test_a_lease_holds_until_its_outcome_is_recorded(attempts: Attempts) -> None:
    until_ms = now_ms() + 60_000
    await attempts.append([attempt(1, kind=AttemptKind.LEASE, until_ms=until_ms)])
    async with attempts.reader() as reading:
        await reading.load(0, now_ms())
        assert reading.lease_until_ms(0, ("d1", 1)) == until_ms
        assert not reading.has(0, ("d1", 1))
        await attempts.append([attempt(1)])
        while not reading.has(0, ("d1", 1)):
            await asyncio.sleep(0.01)
        assert reading.lease_until_ms(0, ("d1", 1)) == 0


async def test_a_lease_after_its_outcome_changes_nothing(attempts: Attempts) -> None:
    await attempts.append([attempt(1), attempt(1, kind=AttemptKind.LEASE, until_ms=now_ms() + 60_000)])
    async with attempts.reader() as reading:
        await reading.load(0, now_ms())
        assert reading.has(0, ("d1", 1))
        assert reading.lease_until_ms(0, ("d1", 1)) == 0


async def test_a_partition_that_comes_back_is_read_on_from_where_it_was_left(attempts: Attempts) -> None:
    async with attempts.reader() as reading:
        for round_number in range(3):
            await attempts.append([attempt(round_number * 100 + number) for number in range(100)])
            await reading.load(0, now_ms())
            assert reading.has(0, (f"d{round_number * 100 + 99}", 1))


async def test_memory_is_bounded_and_keeps_the_newest(attempts: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished, "MAX_KEYS", 50)
    async with attempts.reader() as reading:
        for number in range(200):
            reading.add(0, (f"d{number}", 1))
        assert reading.has(0, ("d199", 1))
        assert reading.has(0, ("d150", 1))
        assert not reading.has(0, ("d149", 1))


async def test_ends_are_bounded_by_themselves_so_that_no_flood_of_parkings_drives_them_out(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished, "MAX_KEYS", 50)
    monkeypatch.setattr(finished, "MAX_ENDS", 10)
    async with attempts.reader() as reading:
        for number in range(12):
            reading.add(0, (f"d{number}", 2), ends=True)
        for number in range(200):
            reading.add(0, (f"p{number}", 1, number))
        assert [reading.ended(0, f"d{number}") for number in (1, 2, 11)] == [False, True, True]
        assert not reading.ended(0, "p199")
        assert not reading.ended(1, "d11")


async def test_an_end_is_known_after_load_and_a_retry_a_parking_or_a_lease_is_none(attempts: Attempts) -> None:
    told = [
        replace(attempt(1), status=AttemptStatus.SUCCESS),
        replace(attempt(2, kind=AttemptKind.OUTCOME), status=AttemptStatus.CANCELLED),
        attempt(3),
        replace(attempt(4, kind=AttemptKind.PARKED), status=AttemptStatus.FAILED),
        attempt(5, kind=AttemptKind.LEASE, until_ms=now_ms()),
    ]
    await attempts.append(told)
    async with attempts.reader() as reading:
        await reading.load(0, now_ms())
        assert [reading.ended(0, f"d{number}") for number in range(1, 6)] == [True, True, False, False, False]
