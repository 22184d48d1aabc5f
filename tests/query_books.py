"""A few hundred events and what came of them, made from a seed, with the books of them: many share a millisecond."""

import asyncio
import random
import time
from dataclasses import dataclass, field

from msgspec.structs import replace

from schemas.attempt import Attempt, AttemptKind, AttemptStatus
from schemas.delivery import Delivery
from schemas.dispatch import Dispatch
from schemas.event import Event
from schemas.ids import delivery_id, derived_id
from schemas.operation import Operation, SubjectKind, encode_operation
from schemas.rejection import Rejection, encode_rejection
from schemas.streams import OPERATIONS, REJECTIONS
from tests.projections_fixture import Projections, Stages, make_attempt, make_delivery, make_event

HOUR_MS = 3_600_000
SUBSCRIPTIONS = ("billing", "search", "audit")
FAILED_ATTEMPT = 5
"""The place in the books of the attempt with an error."""

ENDS = {AttemptStatus.SUCCESS, AttemptStatus.FAILED, AttemptStatus.CANCELLED}


@dataclass
class Books:
    """What was stored.

    Attributes:
        states: the state of each delivery, by its id.
    """

    now_ms: int
    events: list[Event] = field(default_factory=list)
    dispatches: dict[str, Dispatch] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)


def write_books(seed: int, count: int) -> Books:
    """Books of `count` events within the last hours."""
    chance = random.Random(seed)
    books = Books(time.time_ns() // 1_000_000)
    times = [books.now_ms - chance.randrange(HOUR_MS, 9 * HOUR_MS) for _ in range(12)]
    for number in range(count):
        received_ms = chance.choice(times)
        event = make_event(
            event_id=derived_id(received_ms, str(number)),
            topic_id=chance.choice(("orders", "refunds")),
            source_id=chance.choice(("shop", "bank")),
            event_type=chance.choice(("order.created", "order.paid", "order_created", "100%", "a\\b'c")),
            dedup_id=f"sender-{number}",
            received_ms=received_ms,
            body=b'{"n": %d}' % number,
        )
        books.events.append(event)
        if chance.random() < 0.8:
            _dispatch(books, event, chance)
        if chance.random() < 0.2:
            books.rejections.append(_rejection(event, chance))
        if chance.random() < 0.2:
            books.operations.append(_operation(event, chance))
    return books


def _dispatch(books: Books, event: Event, chance: random.Random) -> None:
    duplicate = chance.random() < 0.1
    chosen = [] if duplicate else [name for name in SUBSCRIPTIONS if chance.random() < 0.5]
    books.dispatches[event.event_id] = Dispatch(
        event_id=event.event_id,
        topic_id=event.topic_id,
        source_id=event.source_id,
        event_type=event.event_type,
        received_ms=event.received_ms,
        dispatched_ms=event.received_ms + 3,
        event_partition=0,
        event_offset=len(books.dispatches),
        config_version=9,
        matched=len(chosen),
        skipped={} if duplicate or len(chosen) == len(SUBSCRIPTIONS) else {"filter": len(SUBSCRIPTIONS) - len(chosen)},
        duplicate=duplicate,
    )
    for name in chosen:
        _deliver(books, make_delivery(event, name), chance)
        if chance.random() < 0.1:
            replay_id = derived_id(event.received_ms + HOUR_MS, name)
            new = delivery_id(event.event_id, name, 7, 0, replay_id)
            _deliver(books, replace(make_delivery(event, name), delivery_id=new, replay_id=replay_id), chance)


def _deliver(books: Books, delivery: Delivery, chance: random.Random) -> None:
    books.deliveries.append(delivery)
    books.states[delivery.delivery_id] = "PENDING"
    for number in range(1, chance.randrange(5)):
        status = chance.choice(list(AttemptStatus))
        cancelled = status is AttemptStatus.CANCELLED
        books.attempts.append(
            make_attempt(
                delivery,
                number,
                status,
                kind=AttemptKind.OUTCOME if cancelled else AttemptKind.ATTEMPT,
                duration_ms=0 if cancelled else chance.choice((3, 5, 8, chance.randrange(1, 9_000))),
                started_ms=delivery.received_ms + number * chance.choice((1_000, HOUR_MS // 7)),
                response_status_code=0 if cancelled else chance.choice((0, 204, 500)),
                reason="" if status is AttemptStatus.SUCCESS else "http_500",
                replay_id=delivery.replay_id,
                error="it was refused by the connection" if len(books.attempts) == FAILED_ATTEMPT else "",
            )
        )
        books.states[delivery.delivery_id] = status
        if status in ENDS:
            return


def _rejection(event: Event, chance: random.Random) -> Rejection:
    return Rejection(
        rejection_id=derived_id(event.received_ms, "rejection", event.event_id),
        topic_id=event.topic_id,
        source_id=event.source_id,
        status=403,
        code=chance.choice(("signature_mismatch", "token_wrong")),
        reason="no",
        received_ms=event.received_ms,
        body="forged",
        body_bytes=6,
        unrecorded=chance.choice((0, 0, 3)),
    )


def _operation(event: Event, chance: random.Random) -> Operation:
    name = chance.choice(SUBSCRIPTIONS)
    return Operation(
        operation_id=derived_id(event.received_ms, "operation", event.event_id),
        kind=chance.choice(("dead_letter", "breaker.opened")),
        at_ms=event.received_ms + HOUR_MS // 2,
        subject_kind=SubjectKind.SUBSCRIPTION,
        subject_id=name,
        topic_id=event.topic_id,
        subscription_id=name,
        event_id=event.event_id,
        message="it was given up",
        detail={"reason": "http_500", "attempts": 3},
    )


async def store_books(books: Books, projections: Projections) -> None:
    """Appends everything as the stages do."""
    async with Stages(projections.settings) as stages:
        for event in books.events:
            await stages.event(event)
        for dispatch in books.dispatches.values():
            await stages.dispatch(dispatch)
        for delivery in books.deliveries:
            await stages.delivery(delivery)
        await stages.attempts(books.attempts)
        for rejection in books.rejections:
            await stages.raw(REJECTIONS, encode_rejection(rejection))
        for operation in books.operations * 2:  # the same again is the same row
            await stages.raw(OPERATIONS, encode_operation(operation))


def until_stored(books: Books, projections: Projections) -> None:
    """Returns when all of it can be read."""
    for table in ("events", "dispatches", "deliveries", "attempts", "rejections", "operations"):
        projections.until_count(table, len(getattr(books, table)))


def stored_books(projections: Projections, *, seed: int, count: int) -> Books:
    """Books that are written, appended and can be read."""
    written = write_books(seed=seed, count=count)
    asyncio.run(store_books(written, projections))
    until_stored(written, projections)
    return written
