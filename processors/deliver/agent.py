"""Takes due deliveries, makes each attempt once, and acknowledges what is finished."""

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka import ConsumerRecord

from processors.batchfed.acker import BatchAcker, Token, Work
from processors.deliver.attempt import DELETED, AttemptStep, Outcome
from processors.deliver.bodies import Bodies
from processors.deliver.ends import end_of
from processors.deliver.failing import FailingSubscriptions
from processors.deliver.finished import FinishedAttempts
from processors.deliver.gates import CROWDED, LANE_WAIT_S, Gates, Stop
from processors.deliver.job import Job, Key, key_of, park_key_of
from processors.deliver.lanes import Lanes
from processors.ownership import Ownership
from processors.tasks import OnCrash, Tasks
from runtime.tables import ConfigTables
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery, decode_delivery
from schemas.headers import MalformedRecordError
from schemas.stored import Record

log = structlog.get_logger(__name__)

OUTCOME_PATIENCE_S = 0.5
"""No request starts while an outcome waits longer than this to be stored: it could not be recorded either."""

GRACE_MS = 1_000
"""A request has ended this long after its timeout, its outcome not counted."""

MAX_LEAVING = 1_000
"""Deliveries on their way to a park stream: more of them make the reader wait, or a flood would pile up here."""

_POLL_S = 0.05


class DeliverAgent:
    """Everything between a fetched batch of deliveries and its acknowledgement.

    Args:
        acker: what is finished is told to it.
        ownership: whether this worker may still act.
        finished: attempts that were made before.
        failing: subscriptions that have only failed.
        step: makes an attempt and stores what came of it.
        bodies: the bodies that did not travel along.
        gates: rate limits and breakers.
        tables: the subscriptions as they are now.
        now_ms: the clock, epoch milliseconds.
        on_crash: told of an error that nobody expected.
    """

    def __init__(
        self,
        *,
        acker: BatchAcker,
        ownership: Ownership,
        finished: FinishedAttempts,
        failing: FailingSubscriptions,
        step: AttemptStep,
        bodies: Bodies,
        gates: Gates,
        tables: ConfigTables,
        now_ms: Callable[[], int],
        on_crash: OnCrash,
    ) -> None:
        self._acker = acker
        self._ownership = ownership
        self._finished = finished
        self._failing = failing
        self._step = step
        self._bodies = bodies
        self._gates = gates
        self._tables = tables
        self._now_ms = now_ms
        self._loaded: dict[int, int] = {}
        self._live: dict[str, Job] = {}  # by delivery: two branches of one are never on the wire together
        self._unstored: dict[Key, float] = {}  # since when an outcome waits to be stored, oldest first
        self._tasks = Tasks(on_crash)
        self._leaving = asyncio.Semaphore(MAX_LEAVING)
        self.lanes = Lanes(self._run, on_crash, hold_s=gates.hold_s)

    async def take(self, assignment: int, work: Work) -> None:
        """Starts, parks or acknowledges each record; returns when there is room for more."""
        if not work:
            return
        partition, first = work[0][0].partition, work[0][1]
        if self._loaded.get(partition) != assignment:
            await self._finished.load(partition, first.timestamp)
            await self._failing.load(partition)
            self._loaded[partition] = assignment
        for token, record in work:
            if not self._ownership.holds(assignment):
                return  # never acknowledged, so the next assignment reads it again
            await self._take_one(token, record)

    async def _take_one(self, token: Token, record: ConsumerRecord) -> None:
        try:
            delivery = decode_delivery(record.value, record.headers)
        except MalformedRecordError as error:
            self._tasks.spawn(self._bury(token, record, str(error)))
            return
        if self._over(token.partition, delivery):
            self._acker.done(token)
        elif delivery.due_ms > self._now_ms():
            self._tasks.spawn(self._put_back(token, delivery))
        else:
            await self._tables.as_new_as("subscriptions", delivery.config_version)
            await self._admit(token, delivery)

    async def _admit(self, token: Token, delivery: Delivery) -> None:
        if (other := self._live.get(delivery.delivery_id)) is not None:
            other.tokens.append((token, delivery))  # a repeat or another branch: judged at its end, never earlier
            return
        self._live[delivery.delivery_id] = job = self._job(token, delivery)
        try:
            await self._let_in(job)
        except BaseException:  # a drain cancelled it
            self._gone(job)
            raise

    async def _let_in(self, job: Job) -> None:
        stop = self._gates.stop(job, self.lanes.load)
        if stop is None and not await self.lanes.admit(job):
            stop = Stop(CROWDED)
        if stop is not None:
            await self._leaving.acquire()
            job.leaving = True
            # A drain may cancel it before its first step, and then no line of it runs.
            self._tasks.spawn(self._put_aside(job, stop)).add_done_callback(lambda _: self._left(job))

    def _gone(self, job: Job) -> None:
        if self._live.get(job.delivery.delivery_id) is job:
            del self._live[job.delivery.delivery_id]

    def _job(self, token: Token, delivery: Delivery) -> Job:
        subscription = self._tables.subscription(delivery.subscription_id)
        return Job(
            delivery=delivery,
            partition=token.partition,
            assignment=token.assignment,
            max_in_flight=subscription.spec.max_in_flight if subscription else 1,
            ends_unsent=subscription is None or end_of(delivery, subscription, self._now_ms(), self._step) is not None,
            tokens=[(token, delivery)],
        )

    async def _run(self, job: Job) -> None:
        try:
            finished = await self._attempt(job)
        finally:
            self._gone(job)
        self._finish(job, finished=finished)

    def _finish(self, job: Job, *, finished: bool) -> None:
        for token, delivery in job.tokens:
            if finished and self._over(job.partition, delivery):
                self._acker.done(token)
            elif finished or token.assignment > job.assignment:
                # Its job's own assignment gave it up; or it is another branch, or was put aside and is back before that
                # was stored for good. In a task of its own: a job that waited here for a place would keep one.
                self._tasks.spawn(self._admit(token, delivery))

    def _over(self, partition: int, delivery: Delivery) -> bool:
        """Whether a record needs nothing more: its attempt was made or put aside, or its delivery has ended."""
        if self._finished.has(partition, key_of(delivery)) or self._finished.has(partition, park_key_of(delivery)):
            return True
        if ended := self._finished.ended(partition, delivery.delivery_id):
            self._step.cut(delivery)
        return ended

    async def _attempt(self, job: Job) -> bool:
        """Makes the attempt, unless it was made; whether the records are finished with it."""
        if job.delivery.body_ref is None:
            return await self._attempt_with(job, job.delivery)
        await self._leased_out(job)  # it would have a body's room meanwhile
        async with self._bodies.of(job.delivery) as delivery:
            return await self._attempt_with(job, delivery)

    async def _leased_out(self, job: Job) -> None:
        while self._now_ms() < self._finished.lease_until_ms(job.partition, job.key):
            await asyncio.sleep(_POLL_S)

    async def _attempt_with(self, job: Job, delivery: Delivery | None) -> bool:
        while True:
            await self._leased_out(job)
            while self._ownership.holds(job.assignment) and not self._may_start():
                await asyncio.sleep(_POLL_S)
            if self._finished.has(job.partition, job.key) or self._finished.ended(job.partition, job.key[0]):
                return True
            if not self._ownership.holds(job.assignment):
                return False
            came = await self._outcome(job, delivery)
            if isinstance(came, Outcome):
                if not came.success and await self._ownership.replaced(job.assignment):
                    return False  # the failure may be this worker's own, and another makes the attempt
                await self._store(job, came)
                return True
            if came.cooldown_s or came.wait_s > LANE_WAIT_S:
                await self._park(job, came)
                return True
            await asyncio.sleep(came.wait_s)  # others were quicker, or the limit was made lower

    async def _outcome(self, job: Job, delivery: Delivery | None) -> Outcome | Stop:
        subscription = self._tables.subscription(job.delivery.subscription_id)
        self._tables.require_open()  # a record that we cannot read was not deleted
        if subscription is None:
            return self._step.cancelled(job.delivery, DELETED)
        if (end := end_of(job.delivery, subscription, self._now_ms(), self._step)) is not None:
            return end
        if delivery is None:
            return self._step.body_gone(job.delivery)
        job.ends_unsent = False  # whoever made it active again meanwhile gave it no way around its limit
        return self._gates.enter(job) or await self._request(job, delivery, subscription)

    async def _store(self, job: Job, outcome: Outcome) -> None:
        key = job.key
        self._unstored[key] = time.monotonic()
        try:
            await self._step.store(job, outcome)
        finally:
            del self._unstored[key]
        self._finished.add(job.partition, key, ends=outcome.attempt.ends)

    async def _request(self, job: Job, delivery: Delivery, subscription: Record[SubscriptionSpec]) -> Outcome:
        self.lanes.begun(job)
        job.give_up_ms = self._now_ms() + round(subscription.spec.timeout_s * 1_000) + GRACE_MS
        answer = None
        try:
            outcome = await self._step.attempt(delivery, subscription)
            answer = outcome.answer
        finally:
            self._gates.ended(job, answer)
        return outcome

    def _may_start(self) -> bool:
        oldest_s = next(iter(self._unstored.values()), float("inf"))
        return self._ownership.certain() and time.monotonic() - oldest_s <= OUTCOME_PATIENCE_S

    async def _bury(self, token: Token, record: ConsumerRecord, error: str) -> None:
        await self._step.bury(record, error)
        log.warning("delivery_unreadable", partition=record.partition, offset=record.offset, error=error)
        self._acker.done(token)

    async def _put_back(self, token: Token, delivery: Delivery) -> None:
        await self._step.put_back(delivery)
        self._acker.done(token)

    async def _put_aside(self, job: Job, stop: Stop) -> None:
        finished = False
        try:
            if await self._ownership.settled(job.assignment):  # it may have had to wait for its turn
                await self._park(job, stop)
                finished = True
        finally:
            self._left(job)
        self._finish(job, finished=finished)

    def _left(self, job: Job) -> None:
        if job.leaving:
            job.leaving = False
            self._gone(job)
            self._leaving.release()

    async def _park(self, job: Job, stop: Stop) -> None:
        delay_s = self._gates.delay_s(job, stop, self.lanes.load(job))
        await self._step.park(job, delay_s, stop.reason)
        self._finished.add(job.partition, park_key_of(job.delivery))

    async def drain(self, limit_s: float, *, leaving: bool) -> None:
        """Starts nothing more; what has not started is left unacknowledged for the next owner.

        A request on the wire goes on, and the next owner is told to wait for it. Only a leaving process waits for
        the wire, at most `limit_s`, and then cancels it.
        """
        dropped = self.lanes.clear()
        self._gates.clear()
        for job in dropped:
            self._gone(job)
        deadline_s = time.monotonic() + limit_s
        while self._unsettled(leaving) and time.monotonic() < deadline_s:
            await asyncio.sleep(0.02)
        left = self._unsettled(leaving)
        for task in left:
            task.cancel()
            if task in self.lanes.running:  # one that has not even begun cannot do it itself
                self._gone(self.lanes.running[task])
        if left:
            await asyncio.wait(left, timeout=1)
        on_wire = [job for job in self.lanes.running.values() if job.give_up_ms]
        await self._step.lease(on_wire)
        log.info("deliver_drained", not_started=len(dropped), cancelled=len(left), leased=len(on_wire))

    def _unsettled(self, leaving: bool) -> "list[asyncio.Task[None]]":
        running = [task for task, job in self.lanes.running.items() if leaving or not job.give_up_ms]
        return running + self._tasks.running()
