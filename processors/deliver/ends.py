"""Ends a delivery that must not be attempted any more."""

from processors.deliver.attempt import DELETED, AttemptStep, Outcome
from rules.match import INACTIVE
from rules.retry import end_ms_of
from schemas.config import SubscriptionSpec
from schemas.delivery import Delivery
from schemas.stored import Record


def end_of(
    delivery: Delivery, subscription: Record[SubscriptionSpec], now_ms: int, step: AttemptStep
) -> Outcome | None:
    """What comes of a delivery that must not be attempted any more; `None` of one that must.

    Args:
        delivery: the delivery.
        subscription: as it is now.
        now_ms: epoch milliseconds.
        step: makes outcomes.
    """
    if subscription.generation != delivery.generation:
        return step.cancelled(delivery, DELETED)
    if not subscription.spec.is_active:
        return step.cancelled(delivery, INACTIVE)
    if now_ms > end_ms_of(delivery.received_ms, delivery.replay_id, subscription.spec.retry, delivery.released_ms):
        return step.expired(delivery)
    return None
