"""Seals again and again, beside the writer, with a thread and a client of its own."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from projections.sealing.seal import Sealed, seal
from runtime.clickhouse import CLICKHOUSE_ERRORS, Client

log = structlog.get_logger(__name__)

EVERY_S = 15.0
"""How far the hourly tables are behind when little happens. The query API asks the attempts for what is not sealed."""

IDLE_SHARE = 20
"""A pass that took a second is followed by twenty of rest: computing the running hour again and again would take more
the more happens, and takes a twentieth of a core at most."""


class SealMetrics:
    """What the sealer counts.

    Args:
        registry: where it is registered.
        age_s: gives how long ago the last pass began, seconds.
    """

    def __init__(self, registry: CollectorRegistry, age_s: Callable[[], float]) -> None:
        name = "hooklog_projections_seal"
        self.hours = Counter(f"{name}_hours", "Hours whose figures were computed", registry=registry)
        self.failures = Counter(f"{name}_failures", "Passes that ClickHouse ended", registry=registry)
        self.seconds = Histogram(
            f"{name}_seconds", "One pass", registry=registry, buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
        )
        Gauge(
            f"{name}_lag_seconds", "How old the hourly figures are, whichever process made them", registry=registry
        ).set_function(age_s)


class Sealer:
    """Keeps the hourly figures current until it is stopped, whatever ClickHouse does in the meantime.

    Args:
        open_client: opens a writing client.
        retention_days: how long attempts are kept.
        registry: of its metrics.
    """

    def __init__(self, open_client: Callable[[], Client], retention_days: int, registry: CollectorRegistry) -> None:
        self._open_client = open_client
        self._retention_days = retention_days
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="seal")
        self._client: Client | None = None
        self._stopping = asyncio.Event()
        self._sealed_s = time.monotonic()
        self._metrics = SealMetrics(registry, lambda: time.monotonic() - self._sealed_s)

    def stop(self) -> None:
        """Makes `run` return after the step on its way."""
        self._stopping.set()

    async def run(self) -> None:
        """Seals until it is told to stop."""
        try:
            while not self._stopping.is_set():
                began_s = time.monotonic()
                await asyncio.get_running_loop().run_in_executor(self._thread, self._pass)
                await self._pause(max(EVERY_S, IDLE_SHARE * (time.monotonic() - began_s)))
        finally:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            self._thread.shutdown(wait=False)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _pass(self) -> None:
        began_s = time.monotonic()
        try:
            self._client = self._client or self._open_client()
            # Of several processes the one that comes first seals; half the pause, so that none waits for itself.
            sealed = seal(self._client, self._retention_days, EVERY_S / 2, lambda: not self._stopping.is_set())
        except CLICKHOUSE_ERRORS as error:
            self._metrics.failures.inc()
            log.warning("seal_failed", error=str(error)[:500])
        else:
            self._note(sealed, began_s)

    def _note(self, sealed: Sealed | None, began_s: float) -> None:
        if not self._stopping.is_set():
            self._sealed_s = began_s  # also when another process has just done it
        if sealed is not None:
            self._metrics.hours.inc(sealed.hours)
            self._metrics.seconds.observe(time.monotonic() - began_s)

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
