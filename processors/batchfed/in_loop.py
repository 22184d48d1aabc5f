"""The driver's consumer thread without a thread: aiokafka runs in the loop that works.

Each fetch, seek and commit went through two queues between two loops, and each hop wakes a thread: at 200 events a
second that was half of what a worker cost.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from faust.transport.drivers import aiokafka as driver
from mode import Service
from mode.utils.futures import maybe_async

from runtime.pace import pace_fetches

FETCH_WAIT_MS = 250
"""How long the broker holds a fetch that finds nothing: also the longest that a busy partition may be left out."""

FETCH_PACE_S = 0.005
"""Between two fetches: what comes meanwhile comes with one. Under a steady flow a record waits half of it longer, and
the broker and the worker answer and ask half as often."""


class LoopConsumer(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # faust ships no types
    """Keeps the interface of a thread, and is a plain service of the loop that makes it.

    It also remembers when the last good heartbeat was sent: the group cannot expire us earlier than a session later.
    """

    wait_for_shutdown = False  # nothing else has to end first

    def __init__(self, consumer: Any, *, loop: asyncio.AbstractEventLoop, beacon: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, beacon=beacon)

    async def start(self) -> None:
        """Starts as every other service does."""
        await Service.start(self)

    async def stop(self) -> None:
        """Stops as every other service does."""
        await Service.stop(self)

    async def crash(self, reason: BaseException) -> None:
        """Crashes as every other service does."""
        await Service.crash(self, reason)

    async def on_stop(self) -> None:
        """Closes the consumer."""
        await self.on_thread_stop()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs a method; whoever stops waiting for it does not stop it, as it was with a thread."""
        return await asyncio.shield(asyncio.ensure_future(maybe_async(fun(*args, **kwargs))))

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # The driver says 1,500. A fetch that left before a partition was read to its end does not ask for that one,
        # which then waits until the fetch comes back.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - aiokafka takes it only when it is made
        return consumer

    async def on_start(self) -> None:
        """Starts the consumer, then listens to its heartbeats."""
        await super().on_start()
        pace_fetches(self._consumer, FETCH_PACE_S)
        coordinator = self._consumer._coordinator  # noqa: SLF001 - aiokafka tells nobody about its heartbeats
        beat = coordinator._do_heartbeat  # noqa: SLF001 - as above

        async def timed() -> Any:
            sent_s = time.monotonic()
            good = await beat()
            if good:
                self.consumer.last_beat_s = sent_s
            return good

        coordinator._do_heartbeat = timed  # noqa: SLF001 - as above
