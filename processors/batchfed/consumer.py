"""A Faust consumer that hands out fetched batches and commits only what the acker reports."""

import asyncio
import time
from collections.abc import Iterable
from itertools import count
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from processors.batchfed.in_loop import LoopConsumer
from runtime.group_reader import SECOND_LOOK_S, place_after

log = structlog.get_logger(__name__)

LOOK_S = 3.0
"""A partition without a leader answers nobody, and must not keep the others of a worker from beginning. What expired
there is then noticed as a hole before its first batch."""


class Batch(list[ConsumerRecord]):
    """The records of one partition that came with one fetch.

    Attributes:
        start: the offset that had to come next; compaction may leave holes inside, never before.
    """

    start = 0


class NumberedListener(driver.ConsumerRebalanceListener):  # type: ignore[misc] # faust ships no types
    """Numbers the assignments of this process itself, because Kafka's generation can repeat."""

    _numbers = count(1)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Replaces the driver's method of this name."""
        number = next(self._numbers)
        self._thread.consumer.moved()
        self._thread.consumer.last_beat_s = time.monotonic()
        self._thread.app.consumer_generation_id = number
        await self._thread.on_partitions_assigned(driver.ensure_TPset(assigned), number)


class BatchConsumer(driver.Consumer):  # type: ignore[misc] # faust ships no types
    """One Faust event for each partition and fetch.

    Attributes:
        last_beat_s: monotonic seconds at which the last good heartbeat was sent.
    """

    RebalanceListener = NumberedListener

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.last_beat_s = 0.0
        self._safe: dict[TP, int] = {}  # the next offset that may be committed
        self._stored: dict[TP, int] = {}  # the last one that was
        self._expected: dict[TP, int] = {}  # the next offset to hand out
        self._holes: dict[TP, int] = {}  # where a fetch began later than it had to, and was asked for again
        self._moves = 0
        self._handing = asyncio.Lock()  # batches of a partition reach its queue in their order

    def _new_consumer_thread(self) -> LoopConsumer:
        return LoopConsumer(self, loop=self.loop, beacon=self.beacon)

    def moved(self) -> None:
        """Positions change: what was fetched before must not be handed out."""
        self._moves += 1

    @property
    def flowing(self) -> bool:
        """Whether records can come: nothing is assigned, or everything that is has its place and the flow is on."""
        assignment = self.assignment()
        return not assignment or (self.flow_active and all(tp in self._expected for tp in assignment))

    async def perform_seek(self) -> None:
        """Replaces upstream's: every partition is sought, at its beginning where its place is not there."""
        committed = await self.seek_to_committed()
        partitions = committed.keys() & set(self.assignment())
        places = await asyncio.gather(*(self._place_of(tp, committed[tp]) for tp in partitions))
        for tp, position in zip(partitions, places, strict=True):
            stored = committed[tp]
            if stored not in {None, position}:
                await self.app.on_lost(tp, stored, position)
            if (not position or stored != position) and tp in self.assignment():
                await self._seek(tp, position)
            self._safe[tp] = self._expected[tp] = self._committed_offset[tp] = position
            # What was not stored is with the next commit, so that what expires from now on is noticed.
            self._stored[tp] = position if stored == position else -1
        for offsets in (self._safe, self._stored, self._expected):
            for tp in offsets.keys() - partitions:
                del offsets[tp]
        self.moved()

    async def _place_of(self, tp: TP, stored: int | None) -> int:
        """Where to begin: at the committed place, if it is there or nobody says in time that it is not."""
        if stored is None:
            return int((await self.earliest_offsets(tp))[tp])
        try:
            async with asyncio.timeout(LOOK_S):
                first, end = (await self.earliest_offsets(tp))[tp], (await self.highwaters(tp))[tp]
                if stored > end:
                    await asyncio.sleep(SECOND_LOOK_S)
                    end = (await self.highwaters(tp))[tp]
        except (TimeoutError, KafkaError) as error:
            log.warning("place_not_looked_at", partition=str(tp), offset=stored, error=repr(error))
            return stored
        return stored if first <= stored <= end else place_after(stored, first, end)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Stops the flow before anything else, also when the worker had no partitions left."""
        self.moved()
        self.stop_flow()
        self.app.flow_control.suspend()
        for offsets in (self._safe, self._stored, self._expected):
            offsets.clear()  # nothing is handed out before perform_seek()
        await super().on_partitions_assigned(assigned, generation_id)

    def start_of(self, tp: TP) -> int | None:
        """The offset below which everything was finished when this assignment began, or is by now."""
        return self._safe.get(tp)

    def mark(self, tp: TP, assignment: int, offset: int) -> None:
        """Everything below `offset` is finished."""
        if assignment == self.app.consumer_generation_id and offset > self._safe.get(tp, offset):
            self._safe[tp] = offset

    async def rewind(self, tp: TP, assignment: int, offset: int) -> None:
        """A batch got lost between fetch and agent: it is read again from there."""
        if assignment == self.app.consumer_generation_id and tp in self._expected:
            log.warning("batch_lost_before_the_agent", partition=str(tp), offset=offset)
            self._expected[tp] = offset
            self.moved()
            await self._seek_now(tp)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002
        """Replaces upstream's: commits what `mark` reported, whatever Faust's own ack lists say."""
        assignment = self.assignment()
        offsets = {
            tp: offset
            for tp, offset in self._safe.items()
            if tp in assignment and offset > self._stored.get(tp, offset)
        }
        if not offsets or not await self._commit(offsets):
            return False
        self._stored.update(offsets)
        self._committed_offset.update(offsets)
        return True

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001 - as upstream does
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                moves = self._moves
                records, _ = await self._wait_next_records(1.0)
                if self.should_stop:
                    break
                await self._hand_out(records or {}, moves)
                await asyncio.sleep(0)
        except (*self.consumer_stopped_errors, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def _hand_out(self, records: dict[Any, list[ConsumerRecord]], moves: int) -> None:
        for index, (key, fetched) in enumerate(records.items()):
            async with self._handing:
                if moves != self._moves or not self.flow_active:
                    # A fetch survives a rebalance. Its records belong to the positions before,
                    # and it has moved aiokafka's own positions behind them.
                    await self._give_back(list(records)[index:])
                    return
                tp = TP(*key)
                assignment = self.app.consumer_generation_id
                batch = await self._next_batch(tp, fetched)
                if batch:
                    self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
                    await self.callback(_message(tp, batch, assignment))

    async def hand_over(self, tp: TP, stored: list[ConsumerRecord]) -> None:
        """Hands out records that this process has stored, when they are what comes next; the fetch skips them then.

        An acknowledged offset is the record's place for good, so it is the same batch that a fetch would bring.
        """
        gapless = all(record.offset == stored[0].offset + index for index, record in enumerate(stored))
        if self._handing.locked() or not self.flow_active or tp not in self.assignment() or not gapless:
            return
        if self._expected.get(tp) == stored[0].offset:
            async with self._handing:
                batch = Batch(stored)
                batch.start, self._expected[tp] = stored[0].offset, stored[-1].offset + 1
                await self.callback(_message(tp, batch, self.app.consumer_generation_id))

    async def _give_back(self, keys: list[Any]) -> None:
        """Makes what a fetch took be fetched again, from where each partition has to go on."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        for key in keys:
            await self._seek_now(TP(*key))

    async def _seek_now(self, tp: TP) -> None:
        async def seek() -> None:
            offset = self._expected.get(tp)
            if offset is not None and tp in self.assignment():
                self._thread.seek(tp, offset)

        await self._thread.call_thread(seek)

    async def _next_batch(self, tp: TP, fetched: list[ConsumerRecord]) -> Batch | None:
        expected = self._expected.get(tp)
        if expected is None:
            return None  # before the first perform_seek() of this assignment, which seeks it
        batch = Batch(record for record in fetched if record.offset >= expected)
        if not batch:
            return None
        if batch[0].offset > expected and self._holes.get(tp) != expected:
            # Our streams have no holes but at their beginning, where records expire: asked twice, it is one of those.
            self._holes[tp] = expected
            log.warning("hole_before_a_batch", partition=str(tp), expected=expected, found=batch[0].offset)
            await self._seek_now(tp)
            return None
        if batch[0].offset > expected and (first := (await self.earliest_offsets(tp))[tp]) > expected:
            await self.app.on_lost(tp, expected, min(first, batch[0].offset))
        batch.start, self._expected[tp] = expected, batch[-1].offset + 1
        return batch


def _message(tp: TP, batch: Batch, assignment: int) -> ConsumerMessage:
    first = batch[0]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        first.offset,
        first.timestamp / 1_000,
        0,
        [],
        None,
        batch,
        None,
        0,
        0,
        tp,
        generation_id=assignment,
    )
