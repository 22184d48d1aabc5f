"""Asks Kafka whether the tables are current, for many at once and not too often."""

import asyncio

from runtime.tables import ConfigTables

INTERVAL_S = 0.05
"""Twenty looks a second at most: anybody can ask for topics that do not exist."""

DEADLINE_S = 2.0
"""A look takes 5 ms; after 2 s Kafka is away, and the sender should come again later."""


class NotCurrentError(Exception):
    """Nobody can tell now whether the tables are current: ask the sender to come again."""


class Refresher:
    """Shares looks at the ends of the tables.

    Whoever asks gets a look that starts after the question, so what was written before it is seen.

    Args:
        tables: what to bring up to date.
        interval_s: the shortest time from the start of one look to the start of the next.
        deadline_s: how long one look may take.
    """

    def __init__(self, tables: ConfigTables, *, interval_s: float = INTERVAL_S, deadline_s: float = DEADLINE_S) -> None:
        self._tables = tables
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._next: asyncio.Task[None] | None = None
        self._started_s = float("-inf")

    async def refresh(self) -> None:
        """Returns when everything that was in the tables at the call is applied.

        Raises:
            NotCurrentError: not within the deadline.
        """
        if not self._tables.loaded:
            raise NotCurrentError
        if self._next is None:
            self._next = asyncio.create_task(self._look())
        await asyncio.shield(self._next)  # one that stops waiting must not stop the others' look

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._started_s + self._interval_s - loop.time())
        finally:
            self._next = None  # who asks from here on needs a later look
        self._started_s = loop.time()
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._tables.catch_up()
        except TimeoutError:
            raise NotCurrentError from None
