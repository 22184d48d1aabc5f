"""Disables subscriptions that have only failed for days, after warnings.

What is known lives in a compacted stream, in the partition of the subscription's deliveries, so that their owner alone
writes it. It is read at each assignment before anything is delivered, and written when a run of failures begins, grows
to a few, is warned of or ends: never with each attempt.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from processors.deliver.gone import GoneSubscriptions
from processors.deliver.reports import Reports
from rules.failing import Disable, Failing, after_attempt
from runtime.broken_connections import lives
from runtime.kafka import Appender, Outgoing
from schemas.config import SubscriptionSpec
from schemas.headers import MalformedRecordError
from schemas.health import Health, decode_health, encode_health
from schemas.stored import Record
from schemas.streams import HEALTH

log = structlog.get_logger(__name__)

QUIET_S = 60.0
"""After a run of failures has ended, the next one is written when it lasts beyond this: an endpoint that fails at every
second request would cost two records for each. A crash meanwhile forgets so much of a run, and no more."""

DAY_MS = 86_400_000
_ERROR_PAUSE_S = 0.5


@dataclass(slots=True, eq=False)
class _Known:
    version: int
    failing: Failing
    stored: Failing
    ended_s: float = float("-inf")  # when the end of a run was written last


class FailingSubscriptions:
    """What is known of the subscriptions in every partition that this worker has or had.

    Args:
        bootstrap: `host:port`, comma separated.
        kafka_topic: of the health stream.
        appender: stores.
        gone: ends subscriptions.
        reports: tells people.
        now_ms: the clock, epoch milliseconds.
        scale: shortens days, for demonstrations.
        monotonic_s: another clock, for what no restart outlives.
    """

    def __init__(
        self,
        *,
        bootstrap: str,
        kafka_topic: str,
        appender: Appender,
        gone: GoneSubscriptions,
        reports: Reports,
        now_ms: Callable[[], int],
        scale: float = 1.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bootstrap = bootstrap
        self._kafka_topic = kafka_topic
        self._appender = appender
        self._gone = gone
        self._reports = reports
        self._now_ms = now_ms
        self._scale = scale
        self._monotonic_s = monotonic_s
        self._known: defaultdict[int, dict[str, _Known]] = defaultdict(dict)  # only those that failed since `load`
        self._turn: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._reading = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connects."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()

    async def stop(self) -> None:
        """Disconnects."""
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def running(self) -> bool:
        """Whether its client lives."""
        return self._consumer is not None and lives(self._consumer)

    async def load(self, partition: int) -> None:
        """Reads a partition that was assigned; what another owner wrote meanwhile replaces what was known."""
        if self._consumer is None:
            raise RuntimeError("the reader of health has not started")
        tp = TopicPartition(self._kafka_topic, partition)
        async with self._reading:  # one consumer for all partitions, one after the other
            while True:
                known: dict[str, _Known] = {}
                try:
                    await _read(self._consumer, tp, known)
                except KafkaError as error:
                    log.warning("health_unknown", partition=partition, error=repr(error))
                    await asyncio.sleep(_ERROR_PAUSE_S)
                else:
                    self._known[partition] = known
                    return

    async def attempted(self, partition: int, subscription: Record[SubscriptionSpec], *, success: bool) -> None:
        """An attempt was made: returns when everything that follows from it is stored.

        Args:
            partition: of the delivery.
            subscription: as it was tried.
            success: whether the endpoint took it.
        """
        parts, spec = self._known[partition], subscription.spec
        known = parts.get(spec.id)
        if known is None:
            if success:
                return
            known = parts[spec.id] = _Known(subscription.version, Failing(), Failing())
        if subscription.version < known.version:
            return  # it was on the wire while somebody changed the subscription
        if subscription.version > known.version:
            known.version, known.failing = subscription.version, Failing()
        days = spec.disable_after_days * self._scale
        known.failing, steps = after_attempt(known.failing, self._now_ms(), success=success, disable_after_days=days)
        for step in steps:
            if isinstance(step, Disable):
                reason = f"failing for {_duration(self._now_ms() - step.since_ms)}"
                await self._gone.end(subscription, reason)
            else:
                await self._reports.warned(subscription, step, known.failing.since_ms)
        await self._write(partition, spec.id, known)

    async def _write(self, partition: int, record_id: str, known: _Known) -> None:
        if known.failing == known.stored or self._too_soon(known):
            return
        async with self._turn[partition]:  # an older state must not come to stand behind a newer one
            failing = known.failing
            if failing == known.stored or self._too_soon(known):
                return
            value = _record(record_id, known.version, failing) if failing.since_ms else None
            await self._appender.append_surely(Outgoing(HEALTH, value, record_id.encode(), partition=partition))
            known.stored = failing
            if value is None:
                known.ended_s = self._monotonic_s()

    def _too_soon(self, known: _Known) -> bool:
        begins = known.failing.since_ms and not known.stored.since_ms
        return bool(begins) and self._monotonic_s() - known.ended_s < QUIET_S * self._scale


async def _read(consumer: AIOKafkaConsumer, tp: TopicPartition, known: dict[str, _Known]) -> None:
    consumer.assign([tp])
    end: int = (await consumer.end_offsets([tp]))[tp]
    await consumer.seek_to_beginning(tp)
    while await consumer.position(tp) < end:
        for record in (await consumer.getmany(tp, timeout_ms=500)).get(tp, []):
            _apply(record, known)


def _apply(record: ConsumerRecord, known: dict[str, _Known]) -> None:
    if record.value is None:
        known.pop((record.key or b"").decode(errors="replace"), None)
        return
    try:
        health = decode_health(record.value)
    except MalformedRecordError as error:
        log.warning("health_unreadable", partition=record.partition, offset=record.offset, error=str(error))
        return
    failing = Failing(health.since_ms, health.failures, health.warned_percent)
    known[health.subscription_id] = _Known(health.version, failing, failing)


def _record(record_id: str, version: int, failing: Failing) -> bytes:
    return encode_health(
        Health(
            subscription_id=record_id,
            version=version,
            since_ms=failing.since_ms,
            failures=failing.failures,
            warned_percent=failing.warned_percent,
        )
    )


def _duration(passed_ms: int) -> str:
    days = round(passed_ms / DAY_MS)
    if not days:
        return f"{round(passed_ms / 1_000)} s"
    return f"{days} day{'' if days == 1 else 's'}"
