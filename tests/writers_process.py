"""Writers on an engine of their own, in a process that may be killed at any moment: `python -m tests.writers_process`.

One writer is there all the time; with `second`, another one comes and goes, so that partitions change hands. Inserts
fail at random, before they were applied or after it, as when an answer is lost.
"""

import asyncio
import random
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from projections.app import USERS_CONFIG
from projections.migrate import migrate
from projections.sealing.seal import seal
from projections.writer.metrics import WriterMetrics
from projections.writer.records import Records
from projections.writer.rows import PROJECTIONS
from projections.writer.writer import Writer
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.settings import Settings
from tests.kafka_fixture import nothing_lost

FAILS = 0.05
"""Of inserts, half of them applied all the same."""

SEAL_EVERY_S = 0.2


class Orders(msgspec.Struct):
    """What a process is to do."""

    folder: str
    bootstrap: str
    prefix: str
    seed: int
    second: bool


class LossyLink:
    """A client whose inserts may fail, or be stored without an answer."""

    def __init__(self, client: Client, chance: random.Random) -> None:
        self._client = client
        self._chance = chance

    def raw_insert(self, table: str, insert_block: bytes, fmt: str) -> None:
        """Inserts."""
        luck = self._chance.random()
        if luck < FAILS / 2:
            raise ConnectionResetError("before it was applied")
        self._client.raw_insert(table, insert_block=insert_block, fmt=fmt)
        if luck < FAILS:
            raise TimeoutError("applied, and no answer came")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class Writers:
    """The writers of one process."""

    def __init__(self, orders: Orders, engine: EmbeddedClickHouse) -> None:
        self._settings = Settings(
            kafka_bootstrap=orders.bootstrap, kafka_prefix=orders.prefix, partitions=2, session_timeout_s=6
        )
        self._engine = engine
        self._chance = random.Random(orders.seed)

    async def run(self, stopping: asyncio.Event, *, second: bool) -> None:
        """Writes until it is told to stop."""
        coming_and_going = asyncio.create_task(self._come_and_go(stopping)) if second else None
        await self._write("first", stopping)
        if coming_and_going is not None:
            await coming_and_going

    async def _come_and_go(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            going = asyncio.Event()
            writing = asyncio.create_task(self._write(None, going))
            await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=self._chance.uniform(0.3, 1.5))
            going.set()
            await writing

    async def _write(self, instance: str | None, stopping: asyncio.Event) -> None:
        client = self._engine.open_writer()
        streams = [projection.stream for projection in PROJECTIONS]
        writer = Writer(
            LossyLink(client, self._chance),
            lambda on_revoked: Records(self._settings, streams, on_revoked, nothing_lost, instance),
            WriterMetrics(CollectorRegistry()),
        )
        running = asyncio.create_task(writer.run())
        await stopping.wait()
        writer.stop()
        await running
        client.close()


async def seal_again_and_again(engine: EmbeddedClickHouse, stopping: asyncio.Event) -> None:
    """Far more often than a service does, so that kills find it at work."""
    client = engine.open_writer()
    while not stopping.is_set():
        await asyncio.to_thread(seal, client, 90)
        await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=SEAL_EVERY_S)
    client.close()


async def main(orders: Orders) -> None:
    """Writes until SIGTERM."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # nobody reads stdout to its end
    engine = EmbeddedClickHouse(Path(orders.folder), USERS_CONFIG)
    engine.create_database()
    anchor = engine.open_writer()
    migrate(anchor)
    stopping = asyncio.Event()
    sealing = asyncio.create_task(seal_again_and_again(engine, stopping))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await Writers(orders, engine).run(stopping, second=orders.second)
    await sealing
    anchor.close()


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Orders)))
