"""How much this worker has before it: records not dispatched, deliveries not attempted, and what waits in each tier.

Asked of the broker now and then, because a consumer that is paused or waits for an answer knows of no new records.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Gauge

from processors.batchfed.app import BatchApp
from processors.delay.service import DelayService
from processors.metrics import WorkerMetrics
from runtime.kafka import EndOffsets
from schemas.streams import DELIVERIES, EVENTS, INTAKE, PARK_TIERS, RETRY_TIERS, Stream, StreamNames

log = structlog.get_logger(__name__)

INTERVAL_S = 5.0
"""One question to the broker; scrapes come every 15 to 60 s."""

ANSWER_S = 5.0
"""A position is unknown for as long as a rebalance takes; then the figures of before stand."""

FED = (*INTAKE.values(), EVENTS, DELIVERIES)
TIERS = (*RETRY_TIERS, *PARK_TIERS)


class Backlog:
    """Keeps the gauges of this worker's own partitions; the sum over all workers is the whole.

    Args:
        app: reads intake, events and deliveries.
        delay: reads the tiers.
        ends: knows where partitions end.
        names: turns streams into Kafka topics.
        metrics: shows the gauges.
    """

    def __init__(
        self, app: BatchApp, delay: DelayService, ends: EndOffsets, names: StreamNames, metrics: WorkerMetrics
    ) -> None:
        self._app = app
        self._delay = delay
        self._ends = ends
        self._names = names
        self._metrics = metrics

    async def watch(self) -> None:
        """Looks for ever; a look that fails leaves the figures of the one before."""
        while True:
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self.look()
            except (KafkaError, TimeoutError) as error:
                log.warning("backlog_unknown", error=repr(error))
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Asks once.

        Raises:
            KafkaError: the broker did not say.
        """
        consumer = self._app.consumer
        unfinished = {
            TopicPartition(tp.topic, tp.partition): start
            for tp in consumer.assignment()
            if (start := consumer.start_of(tp)) is not None
        }
        self._show(self._metrics.lag, FED, await self._records(unfinished))
        self._show(self._metrics.waiting, TIERS, await self._waiting())

    async def _waiting(self) -> Counter[str]:
        held = await self._delay.backlog()
        waiting = await self._records({tp: place.position for tp, place in held.items()})
        for tp, place in held.items():
            waiting[tp.topic] += place.in_memory
        return waiting

    async def _records(self, starts: Mapping[TopicPartition, int]) -> Counter[str]:
        counts: Counter[str] = Counter()
        if starts:
            for tp, end in (await self._ends.of(starts)).items():
                counts[tp.topic] += max(0, end - starts[tp])
        return counts

    def _show(self, gauge: Gauge, streams: tuple[Stream, ...], counts: Counter[str]) -> None:
        for stream in streams:
            gauge.labels(stream.name).set(counts[self._names(stream)])
