"""One rebuild, step by step: fill, take over what Kafka does not keep, exchange, catch up."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from projections.rebuild import ledger
from projections.rebuild.carry import ERRORS, ORIGINS, Gaps, carry, highest_offsets
from projections.rebuild.exchange import create_fresh, drop_fresh, exchange, identities
from projections.rebuild.kafka_log import KafkaLog
from projections.rebuild.ledger import Rebuild
from projections.writer.batch import Batch
from projections.writer.rows import PROJECTIONS
from projections.writer.store import store
from projections.writer.take import take
from runtime.clickhouse import ClickHouse, Client

T = TypeVar("T")

Prepare = Callable[[Client], None]

FEW_RECORDS = 5_000
"""What may be left when the writer is halted: a quarter of a second of work."""

MAX_ROUNDS = 20
"""Of catching up while the writer goes on; each is shorter than the one before, unless more comes than can be read."""

NOTE_S = 1.0
"""How often it is told how far a rebuild is."""


class HistoryError(Exception):
    """Kafka's log is not the one that the tables were made of: a rebuild would lose rows."""


class Work:
    """Does one rebuild; its thread and its clients are its own.

    Args:
        clickhouse: where the tables are.
        log: reads the streams, and is stopped with this.
        prepare: makes every table in a database that is empty.
        gate: halts this process's writer.
        rebuild: what is to be done, or goes on.
    """

    def __init__(
        self, clickhouse: ClickHouse, log: KafkaLog, prepare: Prepare, gate: asyncio.Lock, rebuild: Rebuild
    ) -> None:
        self._clickhouse = clickhouse
        self._log = log
        self._prepare = prepare
        self._gate = gate
        self.rebuild = rebuild
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="rebuild")
        self._projections = {projection.stream.name: projection for projection in PROJECTIONS}
        self._noted_s = 0.0
        self._carried: dict[str, int] = {}
        self._client: Client = None
        self._fresh: Client = None

    async def open(self) -> None:
        """Opens the client of the tables that are read.

        Raises:
            ClickHouseError, OSError: ClickHouse is away.
        """
        self._client = await self._do(self._clickhouse.open_writer)

    async def close(self) -> None:
        """Waits for the statement that runs, and closes what is open."""
        try:
            await self._log.stop()
        finally:
            for client in (self._fresh, self._client):
                if client is not None:
                    await self._do(client.close)  # the engine ends with its last client
            self._thread.shutdown()

    async def fill(self) -> None:
        """Makes the new tables, up to where they can be exchanged.

        Raises:
            ClickHouseError, OSError: ClickHouse is away, or refuses.
            KafkaError, StreamMissingError: so does Kafka.
            HistoryError: it would lose rows.
        """
        fresh = self._clickhouse.fresh
        await self._do(create_fresh, self._client, fresh)
        self._fresh = await self._do(self._clickhouse.open_writer, fresh)
        await self._do(self._prepare, self._fresh)
        highest = await self._do(highest_offsets, self._client)
        await self._log.start()
        self._check(highest)
        for _ in range(MAX_ROUNDS):
            await self._read(self._fresh)
            await self._log.look()
            if self._log.left <= FEW_RECORDS:
                break
        for table in ORIGINS:
            if table != ERRORS:
                await self._carry(table, self._log.gaps)
        self._carried = {stream: len(gaps) for stream, gaps in self._log.gaps.items()}

    async def swap(self) -> None:
        """Reads the rest while this process's writer is halted, and exchanges the tables.

        Raises:
            ClickHouseError, OSError, KafkaError: as `fill`; once the exchange is told of, `finish` goes on.
        """
        async with self._gate:
            await self._log.look()
            await self._read(self._fresh)
            await self._carry_rest()
            self.rebuild.tables = await self._do(identities, self._fresh, self._clickhouse.fresh, ORIGINS)
            self.rebuild.offsets = self._log.positions
            self.rebuild.state = "SWAPPING"
            await self._note()
            await self._exchange()

    async def resume(self) -> None:
        """Goes on with an exchange that was cut off.

        Raises:
            ClickHouseError, OSError, KafkaError, StreamMissingError: as `fill`; call it again on another object.
        """
        await self._exchange()
        await self._log.start(self.rebuild.offsets)

    async def finish(self) -> None:
        """Reads what other processes may have put into the old tables before they saw the new ones, and tidies up.

        Raises:
            ClickHouseError, OSError, KafkaError, StreamMissingError: as `fill`; `resume` goes on.
        """
        await self._log.look()
        await self._read(self._client)
        self.rebuild.state = "DONE"
        await self._note()
        await self.tidy()

    async def fail(self, reason: str) -> None:
        """Tells why there will be no exchange, and drops what was made for it.

        Raises:
            ClickHouseError, OSError: ClickHouse is away; the next start does it.
        """
        self.rebuild.state, self.rebuild.reason = "FAILED", reason
        await self._note()
        await self.tidy()

    async def tidy(self) -> None:
        """Drops the other database: what a failed rebuild has made, or the tables of before.

        Raises:
            ClickHouseError, OSError: ClickHouse is away; the next start does it.
        """
        await self._do(drop_fresh, self._client, self._clickhouse.fresh)

    def _check(self, highest: dict[tuple[str, int], int]) -> None:
        for (stream, partition), offset in highest.items():
            end = self._log.ends.get((stream, partition), 0)
            if offset >= end:
                raise HistoryError(
                    f"the tables have a record {offset} of {stream}/{partition}, which ends at {end} in Kafka: "
                    "the stream was made again, and what it had before would be lost"
                )

    async def _read(self, client: Client) -> None:
        batch = Batch(time.monotonic())
        while self._log.left:
            for source, records in (await self._log.read()).items():
                projection = self._projections[self._log.stream(source)]
                for record in records:
                    take(batch, projection, source, record, time.monotonic())
                self.rebuild.records += len(records)
            if batch.full or not self._log.left:
                await self._do(store, client, batch)
                batch = Batch(time.monotonic())
            await self._note_at_times()

    async def _carry_rest(self) -> None:
        """What Kafka has dropped since; and all errors: those that are made of no record may come at any time."""
        new = {stream: gaps[self._carried.get(stream, 0) :] for stream, gaps in self._log.gaps.items()}
        for table in ORIGINS:
            await self._carry(table, self._log.gaps if table == ERRORS else new)

    async def _carry(self, table: str, gaps: Gaps) -> None:
        parts = carry(self._client, table, self._clickhouse.fresh, gaps)
        while (count := await self._do(next, parts, None)) is not None:
            self.rebuild.carried += count
            await self._note_at_times()

    async def _exchange(self) -> None:
        await self._do(exchange, self._client, self._clickhouse.fresh, self.rebuild.tables)

    async def _note_at_times(self) -> None:
        if time.monotonic() - self._noted_s >= NOTE_S:
            await self._note()

    async def _note(self) -> None:
        self._noted_s = time.monotonic()
        self.rebuild.records_total = max(self.rebuild.records_total, self.rebuild.records + self._log.left)
        await self._do(ledger.write, self._client, self.rebuild)

    async def _do(self, action: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, action, *args)
