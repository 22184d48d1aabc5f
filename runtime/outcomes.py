"""Reads what the config agent made of intake records, so that a caller can be told."""

import asyncio
from collections import OrderedDict

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from runtime.broken_connections import lives
from schemas.headers import MalformedRecordError
from schemas.outcome import Outcome, decode_outcome
from schemas.streams import OUTCOMES, StreamNames

log = structlog.get_logger(__name__)

MAX_REMEMBERED = 10_000
"""Outcomes kept for a caller that asks after they came: seconds of intake at its fastest, about 20 MB."""

_ERROR_PAUSE_S = 0.5

_Key = tuple[str, int]


class OutcomeReader:
    """Tails `config.outcomes` from its end at the start, without a group.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
    """

    def __init__(self, bootstrap: str, names: StreamNames) -> None:
        self._bootstrap = bootstrap
        self._partition = TopicPartition(names(OUTCOMES), 0)
        self._recent: OrderedDict[_Key, Outcome] = OrderedDict()
        self._waiting: dict[_Key, asyncio.Future[Outcome]] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def current(self) -> bool:
        """Whether it reads, and the client under it lives."""
        reads = self._reader is not None and not self._reader.done()
        return reads and self._consumer is not None and lives(self._consumer)

    async def start(self) -> None:
        """Connects; every outcome that is written after the return is seen.

        Raises:
            KafkaError: no broker answers.
        """
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await self._consumer.start()
        self._consumer.assign([self._partition])
        # Pinned now, not at the first fetch: an outcome may be written between the two.
        ends = await self._consumer.end_offsets([self._partition])
        self._consumer.seek(self._partition, ends[self._partition])
        self._reader = asyncio.create_task(self._read_for_ever(self._consumer))

    async def stop(self) -> None:
        """Stops reading and disconnects; whoever waits goes on waiting until its own deadline."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._consumer is not None:
            await self._consumer.stop()

    async def outcome(self, kind: str, intake_offset: int) -> Outcome:
        """The first outcome of an intake record, however long it takes; give it a deadline.

        Args:
            kind: `sources`, `topics` or `subscriptions`.
            intake_offset: where the record stands in the intake stream of that kind.
        """
        key = (kind, intake_offset)
        known = self._recent.get(key)
        if known is not None:
            return known
        waiting = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.shield(waiting)
        finally:
            self._waiting.pop(key, None)

    async def _read_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=1_000)
                for message in batches.get(self._partition, []):
                    self._read(message.value, message.offset)
            except KafkaError as error:
                log.warning("outcomes_read_failed", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)

    def _read(self, value: bytes | None, offset: int) -> None:
        try:
            outcome = decode_outcome(value)
        except MalformedRecordError as error:
            log.warning("outcome_unreadable", offset=offset, error=str(error))
            return
        key = (outcome.kind, outcome.intake_offset)
        self._recent.setdefault(key, outcome)  # a config agent that starts again repeats its last ones
        if len(self._recent) > MAX_REMEMBERED:
            self._recent.popitem(last=False)
        waiting = self._waiting.pop(key, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)
