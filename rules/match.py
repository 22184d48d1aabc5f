"""Which subscriptions of a topic get an event, and the reason why the others do not."""

from collections.abc import Iterable

from rules.view import MATCHED, EventView, Verdict
from schemas.config import ALL_TOPICS, OPERATIONS_TOPIC, SubscriptionSpec
from schemas.headers import rfc3339

INACTIVE = "subscription_inactive"
OTHER_TYPE = "event_type"
BEFORE = "before_subscription"


def topics_named_for(topic_id: str) -> tuple[str, ...]:
    """What subscriptions name that are of a topic: itself, or all. Of the operations are only those that name them."""
    return (topic_id,) if topic_id == OPERATIONS_TOPIC else (topic_id, ALL_TOPICS)


def judge(subscription: SubscriptionSpec, view: EventView) -> Verdict:
    """Whether a subscription of the event's topic gets it; what an index finds is the same."""
    if reason := skip_reason(subscription, view.event_type):
        return Verdict(reason)
    return view.verdict(subscription.filter) if subscription.filter else MATCHED


def newest_creation(appended_ms: int, clocks_apart_ms: int) -> str:
    """The latest `created_at` of a subscription that gets an event: one created later must not.

    As text, because stamps that one formatter wrote compare as the times do, and a hundred thousand need no parsing.

    Args:
        appended_ms: epoch milliseconds at which the broker appended the event.
        clocks_apart_ms: how far the broker's clock may lie behind the one that stamped the subscription. Whoever has
            seen a 201 may post at once, and that event must not be taken for an earlier one.
    """
    return rfc3339(appended_ms + clocks_apart_ms)


def skip_reason(subscription: SubscriptionSpec, event_type: str) -> str:
    """Why a subscription of the topic gets no event of this type; empty when its filter decides."""
    if not subscription.is_active:
        return INACTIVE
    if subscription.event_types and not matches_type(subscription.event_types, event_type):
        return OTHER_TYPE
    return ""


def matches_type(patterns: Iterable[str], event_type: str) -> bool:
    """Whether one pattern fits the whole type; `*` stands for any run of characters, also of none."""
    return any(pattern == event_type or _fits(pattern, event_type) for pattern in patterns)


def _fits(pattern: str, text: str) -> bool:
    # By hand, because a regular expression of many stars backtracks for longer than the universe has time.
    if "*" not in pattern:
        return False
    first, *middle, last = pattern.split("*")
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:  # the earliest place for each part leaves the most room for those after it
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
