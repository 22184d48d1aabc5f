"""Runs the replays of the partitions that are ours.

The stream is the state: whoever gets a partition reads it from the first record of the oldest replay that has not
ended, which is what the group commits, and goes on with each where its last record says. A replay is a task of its own
with a reader of its own, so that a slow one delays no other and nothing else.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from processors.replay.book import Book, Entry
from processors.replay.run import Run, RunParts
from processors.tasks import OnCrash
from runtime.broken_connections import lives
from runtime.group_reader import GroupReader, Lost
from runtime.kafka import NotStoredError
from schemas.replay import Replay
from schemas.streams import REPLAYS

log = structlog.get_logger(__name__)

MAX_RUNNING = 8
"""Replays at a time in one worker, each with a consumer and some megabytes; the others wait in their order."""

GROUP = "replays"
"""Without the prefix."""

COMMIT_INTERVAL_S = 5.0
_ERROR_PAUSE_S = 0.5
_POSITION_S = 1.0  # there is none before the reader has given it one
_PLACE_POLL_S = 0.2


class _Partition:
    """A partition of one assignment."""

    def __init__(self) -> None:
        self.book = Book()
        self.end: int | None = None  # at the assignment: up to there it may be told that a replay has ended
        self.held = True
        self.committed = -1
        self.runs: dict[str, Run] = {}


class ReplayService(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """A consumer of the replays stream, in a group of its own.

    Args:
        parts: what the runs work with.
        on_crash: told of an error that nobody expected.
        on_lost: told of records that were gone before they were read.
    """

    def __init__(self, parts: RunParts, on_crash: OnCrash, on_lost: Lost) -> None:
        self._on_lost = on_lost
        settings = parts.settings
        self._parts = parts
        self._stream = parts.names(REPLAYS)
        self._group = f"{settings.kafka_prefix}{GROUP}"
        self._session_ms = round(settings.session_timeout_s * 1_000)
        self._instance_id = settings.instance_id or None
        self._on_crash = on_crash
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._loops: list[asyncio.Task[None]] = []
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Joins the group and begins."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._parts.settings.bootstrap,
            group_id=self._group,
            group_instance_id=self._instance_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            session_timeout_ms=self._session_ms,
            heartbeat_interval_ms=min(3_000, self._session_ms // 5),
        )
        await self._consumer.start()
        self._consumer.subscribe([self._stream], listener=self)
        self._loops = [asyncio.create_task(loop) for loop in (self._poll(self._consumer), self._commit_for_ever())]

    async def stop(self) -> None:
        """Ends the runs where they are, and leaves the group."""
        for task in self._loops:
            task.cancel()
        if self._loops:
            await asyncio.wait(self._loops)
        await self._release()
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def running(self) -> bool:
        """Whether every loop lives, and the client under them."""
        loops = bool(self._loops) and not any(task.done() for task in self._loops)
        return loops and self._consumer is not None and lives(self._consumer)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Begins with what is assigned, from the committed offsets."""
        self._partitions = {place: _Partition() for place in assigned}

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:  # noqa: ARG002 - all of them go
        """Ends the runs where they are."""
        await self._release()

    async def _release(self) -> None:
        for part in self._partitions.values():
            part.held = False
        self._partitions = {}
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        reader = GroupReader(consumer, self._lost)
        while True:
            try:
                batches = await reader.read(500)
                for place, records in batches.items():
                    if part := self._partitions.get(place):
                        for record in records:
                            part.book.apply(record)
                for place, part in list(self._partitions.items()):
                    if await self._caught_up(consumer, place, part) and part.held:
                        self._begin(place, part)
            except KafkaError as error:
                log.warning("replay_poll_failed", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)

    async def _lost(self, place: TopicPartition, first: int, then: int) -> None:
        await self._on_lost(place, first, then)
        if part := self._partitions.get(place):
            part.book.position = then

    async def _caught_up(self, consumer: AIOKafkaConsumer, place: TopicPartition, part: _Partition) -> bool:
        if part.end is None:
            part.end = (await consumer.end_offsets([place]))[place]
        try:
            async with asyncio.timeout(_POSITION_S):
                return part.held and bool(await consumer.position(place) >= part.end)
        except TimeoutError:
            return False

    def _begin(self, place: TopicPartition, part: _Partition) -> None:
        for replay_id, entry in part.book.entries.items():
            startable = entry.whole or entry.broken
            if replay_id not in part.runs and entry.replay is not None and startable:
                part.runs[replay_id] = self._run(place, part, entry, entry.replay)
            if entry.cancelled and replay_id in part.runs:
                part.runs[replay_id].cancelled.set()
        for replay_id in part.runs.keys() - part.book.entries.keys():
            del part.runs[replay_id]

    def _run(self, place: TopicPartition, part: _Partition, entry: Entry, replay: Replay) -> Run:
        chunks = list(entry.chunks) if entry.whole else []
        run = Run(self._parts, replay, chunks, place.partition, still=_held(part))
        task = asyncio.create_task(self._in_turn(run))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, part))
        return run

    async def _in_turn(self, run: Run) -> None:
        while self._busy >= MAX_RUNNING and not run.cancelled.is_set():
            await asyncio.sleep(_PLACE_POLL_S)
        self._busy += 1
        try:
            await run.run()
        finally:
            self._busy -= 1

    def _ended(self, part: _Partition, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if part.held:  # not by us: it would stay as it is until the next assignment
                self._on_crash(RuntimeError("a replay was cancelled by nobody"))
        elif (error := task.exception()) and not isinstance(error, NotStoredError):
            self._on_crash(error)

    async def _commit_for_ever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_INTERVAL_S)
            await self._commit()

    async def _commit(self) -> None:
        now_ms = self._parts.now_ms()
        parts = {place: part for place, part in self._partitions.items() if part.end is not None}
        if not parts or self._consumer is None:
            return
        try:
            ends = await self._consumer.end_offsets(list(parts))
            offsets = {
                place: offset
                for place, part in parts.items()
                if part.held
                and part.book.position >= ends[place]
                and (offset := part.book.to_commit(now_ms)) > part.committed
            }
            if not offsets:
                return
            await self._consumer.commit(offsets)
        except KafkaError as error:
            log.warning("replay_commit_failed", error=repr(error))  # more is read at the next start
            return
        for place, offset in offsets.items():
            if part := self._partitions.get(place):
                part.committed = offset


def _held(part: _Partition) -> Callable[[], bool]:
    return lambda: part.held
