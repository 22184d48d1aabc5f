"""When the broker is asked where the tables end, and when the worker knows: on a real broker, in a real group."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from processors.batchfed.app import BatchApp
from processors.config.newest import NewestConfig
from processors.ownership import Ownership
from runtime.kafka import Appender, Outgoing
from runtime.keyring import Keyring
from runtime.settings import Settings
from runtime.streams import create_streams
from runtime.tables import ConfigTables
from schemas.config import SourceSpec
from schemas.stored import Record, encode_record
from schemas.streams import EVENTS, INTAKE, TABLES, Stream, StreamNames
from tests.kafka_fixture import RunningKafka, nothing_lost

pytestmark = pytest.mark.stack

KEYRING = Keyring.parse(f"a:{base64.b64encode(b'k' * 32).decode()}")
DEADLINE_S = 60.0


@dataclass
class Bench:
    """A member of the group that writes the tables, and what it has asked the broker."""

    app: BatchApp
    ownership: Ownership
    tables: ConfigTables
    newest: NewestConfig
    appender: Appender
    asked: list[str]

    async def questions(self) -> int:
        """How many the next catching up takes."""
        before = len(self.asked)
        async with asyncio.timeout(DEADLINE_S):
            await self.newest.catch_up()
        return len(self.asked) - before

    async def another_writes(self, name: str) -> None:
        """As an owner does that was there before, or comes later."""
        record = Record(SourceSpec(id="s", name=name, auth_type="github", secret="hush"), 1, 0, "", "")
        await self.appender.append_surely(Outgoing(TABLES["sources"], encode_record(record, KEYRING.seal), b"s"))


def counting(tables: ConfigTables) -> list[str]:
    ends: Any = tables._ends
    client = ends._consumer._client
    sent: list[str] = []
    send = client.send

    async def counted(node: int, request: Any, **more: Any) -> Any:
        if type(request).__name__.startswith("Offset"):
            sent.append("ends")
        return await send(node, request, **more)

    client.send = counted
    return sent


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def member(kafka: RunningKafka, folder: Path, *streams: Stream) -> AsyncIterator[Bench]:
    """One that reads some streams; the streams whose owner writes the tables may be among them."""
    settings = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=1)
    await create_streams(settings)
    names = StreamNames(settings.kafka_prefix)
    app = BatchApp(
        f"{settings.kafka_prefix}workers",
        bootstrap=settings.bootstrap,
        partitions=1,
        session_timeout_s=10,
        data_dir=folder,
        on_lost=nothing_lost,
    )

    async def read(stream: Any) -> None:
        async for _ in stream.noack().events():
            pass

    app.agent(app.batch_topic(*map(names, streams)), name="reader")(read)
    ownership = Ownership(app, 10)
    tables, appender = ConfigTables(kafka.bootstrap, names, KEYRING), Appender(kafka.bootstrap, names)
    newest = NewestConfig(tables, app, ownership, names)
    await appender.start()
    await tables.start()
    await app.start()
    try:
        await until(lambda: app.consumer.assignment() >= {TP(names(stream), 0) for stream in streams})
        await until(lambda: app.consumer.flowing)
        yield Bench(app, ownership, tables, newest, appender, counting(tables))
    finally:
        await app.stop()
        await tables.stop()
        await appender.stop()


@pytest.fixture
async def owner(kafka: RunningKafka, tmp_path: Path) -> AsyncIterator[Bench]:
    async with member(kafka, tmp_path, *INTAKE.values()) as bench:
        yield bench


async def test_the_writer_of_the_tables_asks_once_and_then_knows_that_they_are_the_newest(owner: Bench) -> None:
    await owner.another_writes("before")
    assert await owner.questions() == 1
    source = owner.tables.source("s")
    assert source
    assert source.spec.name == "before"
    assert [await owner.questions() for _ in range(3)] == [0, 0, 0]


async def test_it_asks_while_it_is_writing_them(owner: Bench) -> None:
    await owner.questions()
    with owner.newest.changing():
        assert await owner.questions() == 1
    assert await owner.questions() == 0


async def test_it_asks_when_others_may_write_them(owner: Bench) -> None:
    await owner.questions()
    owner.app.consumer.last_beat_s -= 9  # of a session of ten: no heartbeat came through
    assert await owner.questions() == 1
    owner.ownership.fence()
    assert await owner.questions() == 1


async def test_it_asks_again_in_every_assignment(owner: Bench) -> None:
    await owner.questions()
    owner.app.consumer_generation_id += 1  # as after a rebalance, which may have left others time to write
    assert [await owner.questions() for _ in range(2)] == [1, 0]


async def test_a_worker_that_does_not_write_them_always_asks(kafka: RunningKafka, tmp_path: Path) -> None:
    some_of_them = list(INTAKE.values())[:-1]
    async with member(kafka, tmp_path, EVENTS, *some_of_them) as bench:
        assert [await bench.questions() for _ in range(3)] == [1, 1, 1]
        await bench.another_writes("meanwhile")
        await bench.questions()
        source = bench.tables.source("s")
        assert source
        assert source.spec.name == "meanwhile"
