"""Reading clients: a few threads, each query with a client of its own."""

import asyncio
import contextlib
import math
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from runtime.clickhouse import ClickHouse, Client
from runtime.problem import ProblemError

T = TypeVar("T")

SETTINGS = {
    "max_execution_time": 20,  # seconds; an analyst's longest patience, and a thread is held for as long
    "max_memory_usage": 1_000_000_000,  # beside the writer on a laptop
    "max_result_rows": 100_000,  # an answer is held in memory whole
    "max_result_bytes": 100_000_000,  # as above
    "max_threads": 2,  # the writer needs a core as well
    "output_format_json_validate_utf8": 1,  # a payload that is no UTF-8 must not make an answer that is no JSON
    "output_format_json_quote_64bit_integers": 0,  # counts are numbers
    "output_format_json_escape_forward_slashes": 0,  # URLs can be read
}
"""ClickHouse's own settings for every query of a connection."""

LOG_SETTINGS = SETTINGS | {"max_execution_time": 10}
"""Of queries that are ours: pages take milliseconds, so that whoever waits longer asks for too much."""

STATS_SETTINGS = LOG_SETTINGS | {"final": 0}
"""Of figures: each query says FINAL itself, except the one that asks which hours are not sealed, and needs none."""

MAX_WAIT_S = 20.0
"""With the 10 s that a query of ours may take, the 30 s after which the commands and most tools wait no longer: whoever
has gone away must not have his queries run before those of who is there."""


class Readers:
    """Runs queries in threads.

    Args:
        clickhouse: where the clients come from; each is opened when it is needed first.
        size: how many queries run at a time; others wait.
        limits: ClickHouse's settings for each.
        max_wait_s: how long one may wait; then it is refused unread.
    """

    def __init__(
        self, clickhouse: ClickHouse, size: int, limits: Mapping[str, int], max_wait_s: float = math.inf
    ) -> None:
        self._clickhouse = clickhouse
        self._limits = limits
        self._max_wait_s = max_wait_s
        self._idle: queue.SimpleQueue[Client] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="query")
        self._started = False

    def start(self) -> None:
        """From now on there are tables to read."""
        self._started = True

    async def run(self, ask: Callable[[Client], T], changes: Mapping[str, int | str] | None = None) -> T:
        """What `ask` gives for a client of its own.

        Args:
            ask: runs in a thread.
            changes: settings of this query alone. A read-only connection takes none: one is opened, in 12 ms.

        Raises:
            ProblemError: 503, it has not started, or too many others were before it.
            ClickHouseError: ClickHouse refuses or does not answer.
        """
        if not self._started:
            raise ProblemError(503, detail="the tables are being made ready", headers={"Retry-After": "1"})
        until_s = time.monotonic() + self._max_wait_s
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, ask, changes or {}, until_s)

    def _run(self, ask: Callable[[Client], T], changes: Mapping[str, int | str], until_s: float) -> T:
        if time.monotonic() > until_s:
            detail = f"the queries before this one took more than {self._max_wait_s:g} s: ask again later"
            raise ProblemError(503, "crowded", detail, headers={"Retry-After": "5"})
        if changes:
            with contextlib.closing(self._clickhouse.open_reader({**self._limits, **changes})) as client:
                return ask(client)
        try:
            client = self._idle.get_nowait()
        except queue.Empty:
            client = self._clickhouse.open_reader(self._limits)
        try:
            found = ask(client)
        except BaseException:
            # What the embedded engine had written of a failed answer comes out before the next one of its connection.
            client.close()
            raise
        self._idle.put(client)
        return found

    def close(self) -> None:
        """Waits for what runs, and closes every client."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        while not self._idle.empty():
            self._idle.get_nowait().close()
