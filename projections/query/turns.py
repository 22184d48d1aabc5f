"""How many queries of people and scripts are there at a time: those that run, those that wait, and the answers held."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry, Counter, Gauge

HELD = 4
"""Answers that are computed or on their way: each may take `max_result_bytes`, 100 MB. Two run while two are sent."""

MAX_WAITING = 64
"""More than a dashboard has panels; behind as many queries of 20 s nobody would wait to the end."""

MAX_WAIT_S = 8.0
"""With the 20 s that a query may take, below the 30 s after which `hooklog sql` and most tools wait no longer."""


class CrowdedError(Exception):
    """Too many queries are there: ask again later."""


class Turns:
    """Lets queries in, one after the other, and turns away those for which there is no place.

    Args:
        registry: where the figures are shown.
        held: how many have their turn at a time.
        max_waiting: how many may wait for one.
        max_wait_s: how long.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        held: int = HELD,
        max_waiting: int = MAX_WAITING,
        max_wait_s: float = MAX_WAIT_S,
    ) -> None:
        self._free = asyncio.Semaphore(held)
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._waiting = 0
        waiting = Gauge("hooklog_sql_waiting", "SQL queries that wait for their turn.", registry=registry)
        waiting.set_function(lambda: self._waiting)
        self._turned_away = Counter(
            "hooklog_sql_turned_away", "SQL queries for which there was no place.", registry=registry
        )

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One query's, from its start until its answer is sent.

        Raises:
            CrowdedError: as many wait already, or it has waited too long.
        """
        await self._wait()
        try:
            yield
        finally:
            self._free.release()

    async def _wait(self) -> None:
        if self._waiting >= self._max_waiting:
            self._turned_away.inc()
            raise CrowdedError(f"{self._waiting} queries wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._free.acquire()
        except TimeoutError:
            self._turned_away.inc()
            raise CrowdedError(f"no query before this one ended within {self._max_wait_s:g} s") from None
        finally:
            self._waiting -= 1
