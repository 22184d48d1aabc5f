"""Every operation that there is: its id, and what it says to people and to programs."""

from aiokafka import ConsumerRecord

from rules.breaker import BreakerState
from rules.failing import Warn
from runtime.actor import AUTOMATIC
from schemas.attempt import Attempt, AttemptKind
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery
from schemas.headers import first_values, rfc3339
from schemas.operation import Detail, Operation, OperationKind, SubjectKind, operation_id
from schemas.outcome import Outcome, OutcomeResult
from schemas.stored import Record
from schemas.streams import Stream

MAX_TEXT_CHARS = 1_000
"""Of each text in an operation: whatever somebody produced into a record, what tells of it stays a few kilobytes."""

_SUBJECT_OF = {
    "sources": SubjectKind.SOURCE,
    "topics": SubjectKind.TOPIC,
    "subscriptions": SubjectKind.SUBSCRIPTION,
    "keys": SubjectKind.KEY,
}


def dead_letter(delivery: Delivery, attempt: Attempt) -> Operation:
    """A delivery was given up. Whoever gives it up again, after a crash, tells the same."""
    made = attempt.attempt if attempt.kind is AttemptKind.ATTEMPT else attempt.attempt - 1
    tried = f"{made} attempt{'' if made == 1 else 's'}"
    return _subscription_operation(
        OperationKind.DEAD_LETTER,
        attempt.subscription_id,
        (delivery.received_ms, delivery.delivery_id),
        at_ms=attempt.started_ms + attempt.duration_ms,
        topic_id=delivery.topic_id,
        event_id=delivery.event_id,
        delivery_id=delivery.delivery_id,
        message=f"a delivery to {attempt.subscription_id} was given up after {tried}: {attempt.reason}",
        detail={
            "reason": attempt.reason,
            "attempts": made,
            "last_status_code": attempt.response_status_code,
            "error": attempt.error,
            "event_type": delivery.event_type,
            "source_id": delivery.source_id,
            "replay_id": delivery.replay_id,
        },
    )


def of_outcome(outcome: Outcome, topic_id: str) -> Operation | None:
    """What an outcome tells of: a record was refused, or Hooklog itself has ended a subscription.

    Args:
        outcome: of an intake record.
        topic_id: of the subscription that the record was about, as it is now, or empty.
    """
    if outcome.result is OutcomeResult.REFUSED:
        overtaken = outcome.actor == AUTOMATIC and outcome.code == "version_changed"  # somebody was quicker than we
        return None if overtaken else _refused(outcome, topic_id)
    ended = outcome.actor == AUTOMATIC and outcome.record is not None and not outcome.record.get("is_active", True)
    return _disabled(outcome, topic_id) if ended else None


def _refused(outcome: Outcome, topic_id: str) -> Operation:
    subject_kind, kind = _SUBJECT_OF[outcome.kind], OperationKind.CONFIG_REFUSED
    return _operation(
        kind,
        operation_id(kind, outcome.at_ms, outcome.kind, str(outcome.intake_offset)),
        at_ms=outcome.at_ms,
        subject_kind=subject_kind,
        subject_id=outcome.id,
        topic_id=topic_id,
        subscription_id=outcome.id if subject_kind is SubjectKind.SUBSCRIPTION else "",
        message=f"a record of the {subject_kind} {outcome.id} was refused: {outcome.reason}",
        detail={
            "code": outcome.code,
            "field": outcome.field,
            "reason": outcome.reason,
            "actor": outcome.actor,
            "intake_offset": outcome.intake_offset,
            "version": outcome.version,
        },
    )


def _disabled(outcome: Outcome, topic_id: str) -> Operation:
    return _subscription_operation(
        OperationKind.SUBSCRIPTION_DISABLED,
        outcome.id,
        (outcome.at_ms, str(outcome.intake_offset)),
        at_ms=outcome.at_ms,
        topic_id=topic_id,
        message=f"the subscription {outcome.id} was disabled: {outcome.reason}",
        detail={"reason": outcome.reason, "version": outcome.version},
    )


def failing(subscription: Record[SubscriptionSpec], warn: Warn, since_ms: int, now_ms: int) -> Operation:
    """A subscription has only failed since then, and will be disabled."""
    spec = subscription.spec
    return _subscription_operation(
        OperationKind.SUBSCRIPTION_FAILING,
        spec.id,
        (since_ms, spec.id, str(subscription.version), str(warn.percent)),
        at_ms=now_ms,
        topic_id=spec.topic_id,
        message=f"the subscription {spec.id} has only failed since {rfc3339(since_ms)},"
        f" and will be disabled from {rfc3339(warn.disable_ms)} on",
        detail={"percent": warn.percent, "since_ms": since_ms, "disabled_from_ms": warn.disable_ms},
    )


def breaker(subscription_id: str, topic_id: str, state: BreakerState, now_ms: int, open_s: int = 0) -> Operation:
    """An endpoint is left alone, or no more. Breakers are in memory only, so nothing makes the id again."""
    opened = state is BreakerState.OPEN
    message = f"the endpoint of {subscription_id} only fails, and is left alone for a while"
    return _subscription_operation(
        OperationKind.BREAKER_OPENED if opened else OperationKind.BREAKER_CLOSED,
        subscription_id,
        (now_ms, subscription_id),
        at_ms=now_ms,
        topic_id=topic_id,
        message=message if opened else f"the endpoint of {subscription_id} answers again, after {open_s} s",
        detail={} if opened else {"open_s": open_s},
    )


def unreadable(stream: Stream, record: ConsumerRecord, error: str) -> Operation:
    """A record of a stream was passed over."""
    kind, place = OperationKind.RECORD_UNREADABLE, f"{record.partition}/{record.offset}"
    headers = first_values(record.headers)
    return _operation(
        kind,
        operation_id(kind, record.timestamp, stream.name, place),
        at_ms=record.timestamp,
        subject_kind=SubjectKind.STREAM,
        subject_id=stream.name,
        topic_id=headers.get("hl-topic", ""),
        subscription_id=headers.get("hl-subscription", ""),
        event_id=headers.get("ce_id", ""),
        delivery_id=headers.get("hl-delivery-id", ""),
        message=f"the record {place} of {stream.name} cannot be read: {error}",
        detail={"partition": record.partition, "offset": record.offset, "error": error},
    )


def _subscription_operation(
    kind: OperationKind,
    subscription_id: str,
    told_of: tuple[int, *tuple[str, ...]],
    /,
    *,
    at_ms: int,
    message: str,
    detail: Detail,
    **ids: str,
) -> Operation:
    return _operation(
        kind,
        operation_id(kind, *told_of),
        at_ms=at_ms,
        subject_kind=SubjectKind.SUBSCRIPTION,
        subject_id=subscription_id,
        subscription_id=subscription_id,
        message=message,
        detail=detail,
        **ids,
    )


def _operation(
    kind: OperationKind, made_id: str, /, *, at_ms: int, subject_kind: SubjectKind, detail: Detail, **texts: str
) -> Operation:
    return Operation(
        operation_id=made_id,
        kind=kind,
        at_ms=at_ms,
        subject_kind=subject_kind,
        detail={name: _cut(value) if isinstance(value, str) else value for name, value in detail.items()},
        **{name: _cut(text) for name, text in texts.items()},
    )


def _cut(text: str) -> str:
    return text[:MAX_TEXT_CHARS]
