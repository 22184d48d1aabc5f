"""A small history as the stages write it, in which each test plants what it is about."""

from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from runtime.kafka import Appender
from runtime.settings import Settings
from schemas.attempt import Attempt, AttemptKind, AttemptStatus, encode_attempt
from schemas.delivery import Delivery, encode_delivery
from schemas.dispatch import Dispatch, encode_dispatch
from schemas.event import Event, encode_event
from schemas.ids import delivery_id, new_id
from schemas.operation import Operation, encode_operation
from schemas.outcome import Outcome, OutcomeResult, encode_outcome
from schemas.rejection import Rejection, encode_rejection
from schemas.replay import Replay, encode_replay_record
from schemas.streams import (
    ATTEMPTS,
    DELIVERIES,
    DISPATCHES,
    EVENTS,
    OPERATIONS,
    OUTCOMES,
    REJECTIONS,
    REPLAYS,
    StreamNames,
)
from tests.projections_fixture import make_attempt, make_delivery, make_event

SUBSCRIPTIONS = ("billing", "search")
VERSION = 9


@dataclass
class History:
    """Writes events and what came of them.

    Attributes:
        written: figures as the audit must tell them.
    """

    appender: Appender
    written: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, number: int = 1) -> None:
        """Counts what was written."""
        self.written[name] = self.written.get(name, 0) + number

    async def event(self, **changes: Any) -> tuple[Event, int, int]:
        """An accepted event, and where it stands."""
        event = make_event(**changes)
        key, headers = event.event_id.encode(), encode_event(event)
        stored = await self.appender.append(EVENTS, event.body, key=key, headers=headers, timeout_s=30)
        self.count("accepted")
        return event, stored.partition, stored.offset

    async def dispatch(self, event: Event, partition: int, offset: int, **changes: Any) -> Dispatch:
        """What became of it."""
        plain: dict[str, Any] = {
            "event_id": event.event_id,
            "topic_id": event.topic_id,
            "source_id": event.source_id,
            "event_type": event.event_type,
            "received_ms": event.received_ms,
            "dispatched_ms": event.received_ms + 1,
            "event_partition": partition,
            "event_offset": offset,
            "config_version": VERSION,
            "matched": len(SUBSCRIPTIONS),
        }
        dispatch = Dispatch(**plain | changes)
        value, key = encode_dispatch(dispatch), event.event_id.encode()
        await self.appender.append(DISPATCHES, value, key=key, partition=partition, timeout_s=30)
        return dispatch

    async def delivery(self, delivery: Delivery) -> int:
        """A delivery; its partition."""
        key, headers = delivery.subscription_id.encode(), encode_delivery(delivery)
        stored = await self.appender.append(DELIVERIES, delivery.body, key=key, headers=headers, timeout_s=30)
        return int(stored.partition)

    async def attempt(self, attempt: Attempt, partition: int) -> None:
        """A record of an attempt."""
        key = attempt.subscription_id.encode()
        value = encode_attempt(replace(attempt, config_version=VERSION))
        await self.appender.append(ATTEMPTS, value, key=key, partition=partition, timeout_s=30)

    async def whole(self, **changes: Any) -> tuple[Event, list[Delivery]]:
        """An event that arrived everywhere: at the first subscription at once, at the second with a retry."""
        event, partition, offset = await self.event(**changes)
        deliveries = [make_delivery(event, name) for name in SUBSCRIPTIONS]
        for tries, delivery in enumerate(deliveries, start=1):
            await self.delivered(delivery, tries)
        await self.dispatch(event, partition, offset)
        self.count("dispatched")
        self.count("matched", len(deliveries))
        return event, deliveries

    async def delivered(self, delivery: Delivery, tries: int) -> None:
        """A delivery that succeeds after so many tries, the first of which were told of with a lease as well."""
        partition = await self.delivery(delivery)
        for number in range(1, tries + 1):
            status = AttemptStatus.SUCCESS if number == tries else AttemptStatus.RETRYING
            lease = make_attempt(delivery, number, AttemptStatus.RETRYING, kind=AttemptKind.LEASE, until_ms=1)
            await self.attempt(lease, partition)
            await self.attempt(make_attempt(delivery, number, status, replay_id=delivery.replay_id), partition)
        self.count("success")
        self.count("attempts", tries)

    async def resent(self, event: Event, name: str) -> Delivery:
        """A delivery that was made again on purpose, and arrived."""
        replay_id = new_id()
        made = delivery_id(event.event_id, name, 7, 0, replay_id)
        delivery = replace(make_delivery(event, name), delivery_id=made, replay_id=replay_id)
        await self.delivered(delivery, 1)
        self.count("replayed")
        return delivery

    async def duplicate(self) -> None:
        """An event that its sender had sent before."""
        event, partition, offset = await self.event()
        await self.dispatch(event, partition, offset, matched=0, duplicate=True, duplicate_of="0/0")
        self.count("dispatched")
        self.count("duplicates")

    async def rejection(self) -> Rejection:
        """A refused request, after three that the cap left out."""
        rejection = Rejection(
            rejection_id=new_id(),
            topic_id="orders",
            source_id="shop",
            status=403,
            code="token_wrong",
            reason="no",
            received_ms=make_event().received_ms,
            unrecorded=3,
        )
        await self.appender.append(REJECTIONS, encode_rejection(rejection), key=b"shop", timeout_s=30)
        return rejection

    async def others(self) -> dict[str, str]:
        """A config change, an operation and a replay that found nothing; by table, which row is theirs."""
        now_ms, one = make_event().received_ms, new_id()
        outcome = Outcome(kind="topics", id=one, intake_offset=0, at_ms=now_ms, result=OutcomeResult.APPLIED)
        operation = Operation(
            operation_id=one,
            kind="breaker.opened",
            at_ms=now_ms,
            subject_kind="subscription",
            subject_id="billing",
            message="it was opened",
        )
        replay = Replay(
            replay_id=one, asked={}, requested_by="admin", rate_per_s=1, total=0, items=0, updated_ms=now_ms
        )
        for stream, value in (
            (OUTCOMES, encode_outcome(outcome)),
            (OPERATIONS, encode_operation(operation)),
            (REPLAYS, encode_replay_record(replay)),
        ):
            await self.appender.append(stream, value, key=one.encode(), timeout_s=30)
        return {
            "config_changes": f"id = '{one}'",
            "operations": f"operation_id = '{one}'",
            "replays": f"replay_id = '{one}'",
        }


def appender_of(settings: Settings) -> Appender:
    """Appends to the streams of a service."""
    return Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
