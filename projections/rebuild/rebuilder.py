"""Rebuilds, one at a time: begins one, goes on with one that was cut off, and clears away what a dead one left."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

from projections.rebuild import ledger
from projections.rebuild.kafka_log import KafkaLog, StreamMissingError
from projections.rebuild.ledger import Known, Rebuild
from projections.rebuild.work import HistoryError, Prepare, Work
from runtime.clickhouse import CLICKHOUSE_ERRORS, ClickHouse, Client
from schemas.ids import new_id

log = structlog.get_logger(__name__)

T = TypeVar("T")

RETRY_S = 1.0
"""An exchange that has begun is finished, however long Kafka or ClickHouse are away."""

CLAIM_S = 2.0
"""Who begins together with another process sees it after so long: longer than an insert takes."""

FAILURES = (*CLICKHOUSE_ERRORS, KafkaError, StreamMissingError, HistoryError)


class RebuildRunningError(Exception):
    """Somebody rebuilds: follow that one."""


class Rebuilder:
    """The rebuilds of this process.

    Args:
        clickhouse: where the tables are.
        open_log: makes a reader of the streams.
        prepare: makes every table in a database that is empty.
        gate: halts this process's writer.
        alone: whether no other process can reach the tables, as with the embedded engine.
    """

    def __init__(
        self,
        clickhouse: ClickHouse,
        open_log: Callable[[], KafkaLog],
        prepare: Prepare,
        gate: asyncio.Lock,
        *,
        alone: bool,
    ) -> None:
        self._clickhouse = clickhouse
        self._begun: Callable[[Rebuild], Work] = lambda rebuild: Work(clickhouse, open_log(), prepare, gate, rebuild)
        self._alone = alone
        self._owner = ledger.new_owner()
        self._beginning = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None

    async def settle(self) -> None:
        """Before tables are read: goes on with an exchange that was cut off, and drops what a dead rebuild left."""
        while True:
            try:
                if await self._settled():
                    return
            except FAILURES as error:
                log.warning("rebuild_unsettled", error=str(error)[:500])
            await asyncio.sleep(RETRY_S)  # also while another process exchanges tables

    async def begin(self, requested_by: str) -> Rebuild:
        """Begins a rebuild, which goes on by itself.

        Raises:
            RebuildRunningError: there is one.
            ClickHouseError, OSError: ClickHouse is away.
        """
        async with self._beginning:
            if self._running is not None and not self._running.done():
                raise RebuildRunningError("a rebuild is running here")
            rebuild = Rebuild(new_id(), self._owner, requested_by)
            work = self._begun(rebuild)
            try:
                await work.open()
                await self._claim(rebuild)
            except BaseException:
                await work.close()
                raise
            self._running = asyncio.create_task(self._run(work))
            return rebuild

    async def stop(self) -> None:
        """Breaks off what runs; the next start clears it away, or finishes its exchange."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _settled(self) -> bool:
        """Whether no exchange is under way."""
        unended = await self._unended()
        if unended and self._held(unended[0]):
            return unended[0].rebuild.state == "RUNNING"
        return all([await self._end(known.rebuild) for known in unended])

    async def _unended(self) -> list[Known]:
        """Those that are open, first what another process works on; else the last, which may have left something."""
        known = await self._ask(ledger.known)
        unended = [one for one in known if one.rebuild.state in ledger.OPEN] or known[:1]
        return sorted(unended, key=self._held, reverse=True)

    async def _claim(self, rebuild: Rebuild) -> None:
        for known in await self._unended():
            if self._held(known):
                raise RebuildRunningError(f"the rebuild {known.rebuild.rebuild_id} is running")
            if not await self._end(known.rebuild):
                raise RebuildRunningError(f"the exchange of {known.rebuild.rebuild_id} is being finished")
        await self._write(rebuild)
        if not self._alone:
            await asyncio.sleep(CLAIM_S)
            held = [known.rebuild.rebuild_id for known in await self._ask(ledger.known) if known.held]
            if held and min(held) != rebuild.rebuild_id:
                rebuild.state, rebuild.reason = "FAILED", f"{min(held)} began at the same moment"
                await self._write(rebuild)
                raise RebuildRunningError(f"the rebuild {min(held)} is running")

    async def _run(self, work: Work) -> None:
        rebuild = work.rebuild
        log.info("rebuild_began", rebuild_id=rebuild.rebuild_id, requested_by=rebuild.requested_by)
        try:
            await work.fill()
            await work.swap()
            await work.finish()
        except FAILURES as error:
            log.warning("rebuild_failed", rebuild_id=rebuild.rebuild_id, state=rebuild.state, error=str(error)[:500])
            if rebuild.state == "RUNNING":
                with contextlib.suppress(*CLICKHOUSE_ERRORS):  # the next start tells it
                    await work.fail(str(error)[:1_000] or type(error).__name__)
        finally:
            await work.close()
        if rebuild.state == "SWAPPING":
            await self.settle()
        log.info("rebuild_ended", rebuild_id=rebuild.rebuild_id, state=rebuild.state, records=rebuild.records)

    async def _end(self, rebuild: Rebuild) -> bool:
        """Ends a rebuild that nobody works on; not if another process does so now."""
        if rebuild.state == "SWAPPING" and not await self._taken_over(rebuild):
            return False
        work = self._begun(rebuild)
        try:
            await work.open()
            if rebuild.state == "SWAPPING":
                log.info("rebuild_resumed", rebuild_id=rebuild.rebuild_id)
                await work.resume()
                await work.finish()
            elif rebuild.state == "RUNNING":
                await work.fail("the process that did it has ended")
            else:
                await work.tidy()
        finally:
            await work.close()
        return True

    async def _taken_over(self, rebuild: Rebuild) -> bool:
        rebuild.owner = self._owner
        await self._write(rebuild)
        if self._alone:
            return True
        await asyncio.sleep(CLAIM_S)
        known = await self._latest()
        return known is not None and known.rebuild.owner == self._owner

    def _held(self, known: Known) -> bool:
        """Whether another process works on it."""
        return not self._alone and known.held and known.rebuild.owner != self._owner

    async def _latest(self) -> Known | None:
        return await self._ask(ledger.latest)

    async def _write(self, rebuild: Rebuild) -> None:
        await self._ask(lambda client: ledger.write(client, rebuild))

    async def _ask(self, ask: Callable[[Client], T]) -> T:
        return await asyncio.to_thread(self._asked, ask)

    def _asked(self, ask: Callable[[Client], T]) -> T:
        client = self._clickhouse.open_writer()
        try:
            return ask(client)
        finally:
            client.close()
