"""Releases deliveries from the retry and park streams, never early.

Each stream has one constant delay, so release times ascend along a partition, and only its beginning has to be in
memory. The state is the consumer's position: a million waiting deliveries cost nothing.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from processors.delay.held import Entry, HeldPartition, Unread
from processors.tasks import OnCrash, Tasks
from rules.ladder import SLACK_MS, Ladder
from runtime.broken_connections import lives
from runtime.group_reader import GroupReader, Lost
from runtime.kafka import Appender, Outgoing
from runtime.pace import pace_fetches
from schemas.headers import MalformedRecordError, first_values, integer
from schemas.streams import DELIVERIES, Stream, StreamNames

log = structlog.get_logger(__name__)

HIGH_WATER = 1_000
"""Records held for each partition, whatever the broker returns; their bodies are bounded by the fetch size."""

MAX_ROUND = 500
"""Records released before anything else gets a turn: about 20 ms."""

FETCH_BYTES = 262_144
"""Of each partition in one fetch: 170 records of a kilobyte, so that 700 a second leave even when a busy machine takes
a quarter of a second between fetches."""

FETCH_PACE_S = 0.02
"""A fetch asks for every partition of every stream, and the shortest delay leaves a second to read what waits."""

COMMIT_INTERVAL_S = 1.0
COMMIT_LIMIT_S = 5.0
REVOKE_LIMIT_S = 5.0
GIVE_UP_S = 120.0
"""Without one good answer: the client is beyond recovery, and a new process may not be."""

_ERROR_PAUSE_S = 0.5


class DelayService(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """A consumer of all delay streams, in a group of its own.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        group: the consumer group.
        ladders: the delay streams; what stands in one of a ladder goes on to one of the same ladder.
        appender: stores what is released.
        session_timeout_s: the group's session.
        instance_id: a name of this worker that no other has, kept over restarts, or empty.
        now_ms: the clock, epoch milliseconds.
        on_crash: told of an error that nobody expected.
        on_lost: told of records that were gone before they were read.
    """

    def __init__(
        self,
        *,
        bootstrap: str,
        names: StreamNames,
        group: str,
        ladders: Sequence[Ladder],
        appender: Appender,
        session_timeout_s: float,
        instance_id: str,
        now_ms: Callable[[], int],
        on_crash: OnCrash,
        on_lost: Lost,
    ) -> None:
        self._on_lost = on_lost
        self._bootstrap = bootstrap
        self._group = group
        self._streams = {names(tier): (tier, ladder) for ladder in ladders for tier in ladder.tiers}
        self._appender = appender
        self._session_ms = round(session_timeout_s * 1_000)
        self._instance_id = instance_id or None
        self._now_ms = now_ms
        self._held: dict[TopicPartition, HeldPartition] = {}
        self._heap: list[tuple[float, int, HeldPartition, Entry]] = []
        self._numbers = count()
        self._earlier = asyncio.Event()
        self._leaving = Tasks(on_crash)
        self._loops: list[asyncio.Task[None]] = []
        self._consumer: AIOKafkaConsumer | None = None
        self.released = 0

    async def start(self) -> None:
        """Joins the group and begins."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=self._group,
            group_instance_id=self._instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(3_000, self._session_ms // 5),
        )
        await self._consumer.start()
        pace_fetches(self._consumer, FETCH_PACE_S)
        self._consumer.subscribe(list(self._streams), listener=self)
        loops = (self._poll(self._consumer), self._release(), self._commit_for_ever())
        self._loops = [asyncio.create_task(loop) for loop in loops]

    async def stop(self) -> None:
        """Lets go what is on its way, commits and leaves the group."""
        for task in self._loops:
            task.cancel()
        if self._loops:
            await asyncio.wait(self._loops)
        await self._settle(list(self._held.values()))
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def running(self) -> bool:
        """Whether every loop lives, and the client under them."""
        loops = bool(self._loops) and not any(task.done() for task in self._loops)
        return loops and self._consumer is not None and lives(self._consumer)

    @property
    def held(self) -> int:
        """Records in memory."""
        return sum(len(part.entries) for part in self._held.values())

    async def backlog(self) -> dict[TopicPartition, Unread]:
        """What waits in each assigned partition: records in memory, and where those begin that were not read."""
        if self._consumer is None:
            return {}
        return {
            part.tp: Unread(part.waiting + part.leaving, await self._consumer.position(part.tp))
            for part in list(self._held.values())
            if part.tp in self._consumer.assignment()
        }

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begins with what is assigned, from the committed offsets."""
        self._held = {tp: HeldPartition(tp) for tp in assigned}

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all of them go
        """Ends: what was not released is read again by the next owner."""
        parts = list(self._held.values())
        self._held = {}
        for part in parts:
            part.closed = True
        self._heap = [item for item in self._heap if not item[2].closed]  # with their bodies
        heapq.heapify(self._heap)
        await self._settle(parts)

    async def _settle(self, parts: list[HeldPartition]) -> None:
        now_ms = self._now_ms()
        for part in parts:
            part.closed = True
            for entry in part.held_up_by(now_ms + SLACK_MS):
                part.releasing(entry)
                self._leaving.spawn(self._move_when_due(part, entry))
        if tasks := self._leaving.running():
            await asyncio.wait(tasks, timeout=REVOKE_LIMIT_S)
        await self._commit(parts)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        good_s, reader = time.monotonic(), GroupReader(consumer, self._lost)
        while True:
            try:
                batches = await reader.read(500)
            except KafkaError as error:
                if time.monotonic() - good_s > GIVE_UP_S:
                    raise
                log.warning("delay_poll_failed", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)
                continue
            good_s = time.monotonic()
            for tp, records in batches.items():
                part = self._held.get(tp)
                if part is not None and not part.closed:
                    self._hold(consumer, part, records)

    async def _lost(self, tp: TopicPartition, first: int, then: int) -> None:
        await self._on_lost(tp, first, then)
        if part := self._held.get(tp):
            part.go_on(then)

    def _hold(self, consumer: AIOKafkaConsumer, part: HeldPartition, records: list[ConsumerRecord]) -> None:
        taken = records[: max(1, HIGH_WATER - part.waiting)]
        for record in taken:
            self._push(part, self._entry(record))
        if len(taken) < len(records):
            consumer.seek(part.tp, records[len(taken)].offset)  # the rest is given back
        if not part.paused and not part.wants_more():
            consumer.pause(part.tp)
            part.paused = True

    def _entry(self, record: ConsumerRecord) -> Entry:
        try:
            # Only the one header is decoded: nobody looks at the others on the way.
            due_ms = integer(first_values([pair for pair in record.headers if pair[0] == "hl-due-ms"]), "hl-due-ms")
        except MalformedRecordError:
            due_ms = record.timestamp  # deliver says what is wrong with it
        tier, ladder = self._streams[record.topic]
        return Entry(record, due_ms, ladder.release_ms(tier, record.timestamp, due_ms))

    def _push(self, part: HeldPartition, entry: Entry) -> None:
        part.add(entry)
        heapq.heappush(self._heap, (entry.release_ms, next(self._numbers), part, entry))
        if self._heap[0][3] is entry:
            self._earlier.set()

    async def _release(self) -> None:
        while True:
            now_ms = self._now_ms()
            for (part, stream), entries in self._due(now_ms).items():
                self._leaving.spawn(self._move(part, stream, entries))
            await self._sleep_until(self._heap[0][0] if self._heap else now_ms + 1_000)

    def _due(self, now_ms: int) -> dict[tuple[HeldPartition, Stream], list[Entry]]:
        """What leaves now. It goes together to one partition, so that one without a leader holds up no other."""
        found: dict[tuple[HeldPartition, Stream], list[Entry]] = {}
        for _ in range(MAX_ROUND):
            if not self._heap or self._heap[0][0] > now_ms:
                break
            release_ms, number, part, entry = heapq.heappop(self._heap)
            if part.closed:
                continue
            step = self._next_step(entry, now_ms)
            if step is None:
                # Too short for any stream: it keeps its place here until it is due.
                heapq.heappush(self._heap, (max(entry.due_ms, release_ms + 1), number, part, entry))
                continue
            part.releasing(entry)
            found.setdefault((part, step), []).append(entry)
        return found

    def _next_step(self, entry: Entry, now_ms: int) -> Stream | None:
        remaining_ms = entry.due_ms - now_ms
        _, ladder = self._streams[entry.record.topic]
        return DELIVERIES if remaining_ms <= 0 else ladder.next_tier(remaining_ms)

    async def _sleep_until(self, moment_ms: float) -> None:
        delay_s = min(max((moment_ms - self._now_ms()) / 1_000, 0.0005), 1.0)
        self._earlier.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._earlier.wait()
        except TimeoutError:
            return

    async def _move(self, part: HeldPartition, stream: Stream, entries: list[Entry]) -> None:
        number = part.tp.partition  # all streams have the same number of them, and a key stays in its own
        records = [entry.record for entry in entries]
        await self._appender.append_all(
            [Outgoing(stream, record.value or b"", record.key, record.headers, number) for record in records]
        )
        for entry in entries:
            part.released(entry)
        self.released += len(entries)
        if part.paused and not part.closed and part.wants_more():
            self._resume(part)

    async def _move_when_due(self, part: HeldPartition, entry: Entry) -> None:
        # At an end what stands behind it would be passed on again by the next owner; the wait is half a second at most.
        while (early_ms := entry.due_ms - self._now_ms()) > 0:
            await asyncio.sleep(early_ms / 1_000)
        await self._move(part, DELIVERIES, [entry])

    def _resume(self, part: HeldPartition) -> None:
        if self._consumer is not None and part.tp in self._consumer.assignment():
            self._consumer.resume(part.tp)
            part.paused = False

    async def _commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            await self._commit(list(self._held.values()))

    async def _commit(self, parts: list[HeldPartition]) -> None:
        offsets = {part.tp: offset for part in parts if (offset := part.to_commit()) is not None}
        if not offsets or self._consumer is None:
            return
        try:
            async with asyncio.timeout(COMMIT_LIMIT_S):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:
            log.warning("delay_commit_failed", error=repr(error))  # read again by the next owner: repeats, no loss
            return
        for part in parts:
            part.committed = offsets.get(part.tp, part.committed)
