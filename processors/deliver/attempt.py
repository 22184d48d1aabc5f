"""One attempt from its start to its stored outcome.

The order makes it exact: request, then what follows from it stored (retry, or dead letter and the operation that tells
of it, then the end of a subscription whose endpoint is gone), then the attempt record stored, then it counts as
finished. A recorded attempt therefore always has its follow-up; the other order would lose retries in a crash between
the two.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

import msgspec
import structlog
from aiokafka import ConsumerRecord

from processors.deliver.echoes import without_echoes
from processors.deliver.egress import Egress, Exchange
from processors.deliver.failing import FailingSubscriptions
from processors.deliver.gone import GoneSubscriptions
from processors.deliver.job import Job
from processors.deliver.request import headers_of
from processors.metrics import WorkerMetrics
from processors.operations.kinds import dead_letter, unreadable
from processors.operations.tell import Operations, record_of
from rules.ladder import Ladder
from rules.payload import TRANSFORM_FAILED, TransformFailedError, formed
from rules.retry import EXPIRED, Answer, Chance, NextStep, after_failure, end_ms_of
from rules.shown_url import shown_url
from runtime.kafka import Appender, Outgoing, RecordTooLargeError
from schemas.attempt import Attempt, AttemptKind, AttemptStatus, encode_attempt, identity_of
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery, encode_delivery
from schemas.headers import trace_id
from schemas.stored import Record
from schemas.streams import ATTEMPTS, DEAD, DELIVERIES, Stream

log = structlog.get_logger(__name__)

DELETED = "subscription_deleted"
BODY_GONE = "body_gone"

LEASE_LIMIT_S = 3.0
"""A drain has to end within the group's patience."""

MAX_KEPT_HEADER_BYTES = 1_024
"""Of each header of a record that is too large for the stream it goes to."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of a job, and what follows from it.

    Attributes:
        attempt: the record to store.
        follow_up: the delivery to store before that, and where; `None` when nothing follows.
        answer: what the endpoint said; `None` when it was not asked.
        tried: the subscription as it was tried, if it was.
    """

    attempt: Attempt
    follow_up: tuple[Stream, Delivery] | None = None
    answer: Answer | None = None
    tried: Record[SubscriptionSpec] | None = None

    @property
    def success(self) -> bool:
        """Whether the endpoint took it."""
        return self.answer is not None and self.answer.success


class AttemptStep:
    """Makes attempts and stores what came of them.

    Args:
        egress: makes requests.
        gone: ends subscriptions.
        failing: ends those that have failed for long.
        appender: stores.
        operations: tells people.
        ladder: the retry streams.
        parking: the park streams.
        now_ms: the clock, epoch milliseconds.
        scale: shortens retry delays, for demonstrations.
        metrics: counts.
    """

    def __init__(
        self,
        *,
        egress: Egress,
        gone: GoneSubscriptions,
        failing: FailingSubscriptions,
        appender: Appender,
        operations: Operations,
        ladder: Ladder,
        parking: Ladder,
        now_ms: Callable[[], int],
        scale: float,
        metrics: WorkerMetrics,
    ) -> None:
        self._metrics = metrics
        self._egress = egress
        self._gone = gone
        self._failing = failing
        self._appender = appender
        self._operations = operations
        self._ladder = ladder
        self._parking = parking
        self._now_ms = now_ms
        self._scale = scale

    def cancelled(self, delivery: Delivery, reason: str) -> Outcome:
        """The outcome of a delivery that must not be attempted any more."""
        return Outcome(self._end(delivery, AttemptStatus.CANCELLED, reason))

    def expired(self, delivery: Delivery) -> Outcome:
        """The outcome of a delivery that is too old: a dead letter."""
        return Outcome(self._end(delivery, AttemptStatus.FAILED, EXPIRED), (DEAD, delivery.given_up(EXPIRED)))

    def body_gone(self, delivery: Delivery) -> Outcome:
        """The outcome of a delivery whose body nobody has any more: a dead letter, and never another body."""
        return Outcome(self._end(delivery, AttemptStatus.FAILED, BODY_GONE), (DEAD, delivery.given_up(BODY_GONE)))

    async def attempt(self, delivery: Delivery, subscription: Record[SubscriptionSpec]) -> Outcome:
        """Makes the request and decides what follows; never raises for what the endpoint does."""
        spec = subscription.spec
        try:
            sent = formed(delivery, spec)
        except TransformFailedError as error:
            return self._unformed(delivery, str(error))
        headers = headers_of(sent, spec, self._now_ms() // 1_000)
        exchange = await self._egress.post(spec.target_url, headers, sent.body, spec.timeout_s, spec.tls)
        if spec.headers:
            exchange = msgspec.structs.replace(exchange, body=without_echoes(exchange.body, spec.headers.values()))
        url, answer = shown_url(spec.target_url), exchange.answer
        if answer.success:
            return Outcome(
                _attempt(delivery, exchange, url, AttemptStatus.SUCCESS, NextStep(None, "")), None, answer, subscription
            )
        chance = Chance(self._now_ms(), random.random(), self._scale)  # noqa: S311 - spreads load, guards nothing
        end_ms = end_ms_of(delivery.received_ms, delivery.replay_id, spec.retry, delivery.released_ms)
        step = after_failure(answer, spec.retry, delivery.attempt, end_ms, chance)
        if step.due_ms is None:
            failed = _attempt(delivery, exchange, url, AttemptStatus.FAILED, step)
            dead = (DEAD, delivery.given_up(step.reason))
            return Outcome(failed, dead, answer, subscription)
        retrying = _attempt(delivery, exchange, url, AttemptStatus.RETRYING, step)
        follow_up = (self.tier(step.due_ms), delivery.next_attempt(step.due_ms, step.reason))
        return Outcome(retrying, follow_up, answer, subscription)

    async def store(self, job: Job, outcome: Outcome) -> None:
        """Stores what follows, then the attempt; returns when the broker has all of it."""
        if outcome.follow_up is not None:
            await self._follow(*outcome.follow_up, outcome.attempt)
        if outcome.tried is not None and outcome.answer is not None:
            await self._conclude(job, outcome.tried, outcome.answer)
        await self._append(_attempt_record(outcome.attempt, job.partition))
        self._metrics.count(outcome.attempt)
        _tell(outcome.attempt, trace_id(job.delivery.traceparent))

    async def _follow(self, stream: Stream, delivery: Delivery, attempt: Attempt) -> None:
        told = [dead_letter(delivery, attempt)] if stream is DEAD else []
        await self._append(_delivery_record(stream, delivery), *map(record_of, told))
        self._operations.stored(told)

    async def _conclude(self, job: Job, tried: Record[SubscriptionSpec], answer: Answer) -> None:
        if answer.gone:
            await self._gone.end(tried)
        else:
            await self._failing.attempted(job.partition, tried, success=answer.success)

    async def lease(self, jobs: Sequence[Job]) -> None:
        """Tells the partitions' next owners to wait for the requests that are on the wire."""
        try:
            async with asyncio.timeout(LEASE_LIMIT_S):
                await asyncio.gather(*map(self._lease, jobs))
        except TimeoutError:
            log.warning("leases_not_stored", count=len(jobs))  # they only spare repeats

    async def _lease(self, job: Job) -> None:
        record = Attempt(
            kind=AttemptKind.LEASE,
            until_ms=job.give_up_ms,
            started_ms=self._now_ms(),
            **identity_of(job.delivery),
        )
        await self._append(_attempt_record(record, job.partition))

    async def park(self, job: Job, delay_s: float, reason: str) -> None:
        """Puts a delivery aside; no attempt is used up. Its record keeps a repeat from being put aside again."""
        due_ms = self._now_ms() + round(delay_s * 1_000)
        tier = self._parking.next_tier(due_ms - self._now_ms()) or self._parking.tiers[0]
        await self._append(_delivery_record(tier, job.delivery.parked(due_ms, reason)))
        record = Attempt(
            kind=AttemptKind.PARKED,
            reason=reason,
            started_ms=self._now_ms(),
            next_attempt_ms=due_ms,
            **identity_of(job.delivery),
        )
        await self._append(_attempt_record(record, job.partition))
        self._metrics.parked.labels(reason).inc()

    def cut(self, delivery: Delivery) -> None:
        """Tells of a branch that ends here, because its delivery has ended with another one."""
        self._metrics.forks_cut.inc()
        log.info("fork_cut", delivery_id=delivery.delivery_id, attempt=delivery.attempt, parks=delivery.parks)

    async def bury(self, record: ConsumerRecord, error: str) -> None:
        """Makes a record that is no delivery a dead letter."""
        # a header without a value is none that the producer takes
        kept = [(name, raw) for name, raw in record.headers if raw is not None]
        headers = [*kept, ("hl-reason", f"unreadable: {error}".encode())]
        told = self._operations.admitted([unreadable(DELIVERIES, record, error)])
        await self._append(Outgoing(DEAD, record.value, record.key, headers), *map(record_of, told))
        self._operations.stored(told)

    async def put_back(self, delivery: Delivery) -> None:
        """Sends a delivery that came before it is due back to wait."""
        await self._append(_delivery_record(self.tier(delivery.due_ms), delivery))

    async def _append(self, record: Outgoing, *others: Outgoing) -> None:
        try:
            await self._appender.append_all([record, *others])
        except RecordTooLargeError as error:
            # It came from elsewhere, as large as a record can be. Its story goes on without its body.
            log.warning("body_dropped", stream=record.stream.name, error=str(error))
            headers = [(name, raw[:MAX_KEPT_HEADER_BYTES]) for name, raw in record.headers]
            await self._appender.append_all([record._replace(value=b"", headers=headers), *others])

    def tier(self, due_ms: int) -> Stream:
        """The retry stream that a delivery due then goes to now."""
        return self._ladder.next_tier(due_ms - self._now_ms()) or self._ladder.tiers[0]

    def _unformed(self, delivery: Delivery, error: str) -> Outcome:
        # No retry would end otherwise. The dead letter has the raw body, for when the transform is mended.
        failed = self._end(delivery, AttemptStatus.FAILED, TRANSFORM_FAILED, error)
        return Outcome(failed, (DEAD, delivery.given_up(TRANSFORM_FAILED)))

    def _end(self, delivery: Delivery, status: AttemptStatus, reason: str, error: str = "") -> Attempt:
        return Attempt(
            kind=AttemptKind.OUTCOME,
            status=status,
            error=error,
            reason=reason,
            started_ms=self._now_ms(),
            **identity_of(delivery),
        )


def _attempt(delivery: Delivery, exchange: Exchange, target_url: str, status: AttemptStatus, step: NextStep) -> Attempt:
    return Attempt(
        status=status,
        started_ms=exchange.started_ms,
        duration_ms=exchange.duration_ms,
        next_attempt_ms=step.due_ms or 0,
        response_status_code=exchange.answer.status_code,
        response_body=exchange.body,
        error=exchange.answer.error,
        reason=step.reason,
        target_url=target_url,
        **identity_of(delivery),
    )


def _delivery_record(stream: Stream, delivery: Delivery) -> Outgoing:
    return Outgoing(stream, delivery.value, delivery.subscription_id.encode(), encode_delivery(delivery))


def _attempt_record(attempt: Attempt, partition: int) -> Outgoing:
    return Outgoing(ATTEMPTS, encode_attempt(attempt), attempt.subscription_id.encode(), partition=partition)


def _tell(attempt: Attempt, trace: str) -> None:
    log.info(
        "attempt",
        trace_id=trace,
        kind=attempt.kind,
        delivery_id=attempt.delivery_id,
        event_id=attempt.event_id,
        subscription=attempt.subscription_id,
        attempt=attempt.attempt,
        status=attempt.status,
        code=attempt.response_status_code,
        reason=attempt.reason,
        duration_ms=attempt.duration_ms,
        after_ms=attempt.started_ms - attempt.received_ms,
    )
