"""Batches of one partition one after the other, those of different partitions side by side."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

from processors.tasks import Tasks

MAX_BATCHES = 16
"""Batches under way: two for each partition of a default stream, so that a slow ack of one holds up no other."""


class Turns:
    """Runs batches.

    Args:
        tasks: runs them.
    """

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._room = asyncio.Semaphore(MAX_BATCHES)
        self._turn: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def take(self, partition: int, work: Callable[[], Awaitable[None]]) -> None:
        """Starts a batch as soon as there is room; it runs after those of its partition that came before."""
        await self._room.acquire()
        self._tasks.spawn(self._run(partition, work))

    async def _run(self, partition: int, work: Callable[[], Awaitable[None]]) -> None:
        try:
            async with self._turn[partition]:  # asyncio's locks are fair: first come, first served
                await work()
        finally:
            self._room.release()
