"""What a subscription would make of an event: what would be sent, or why nothing. By the rules that really decide."""

from dataclasses import dataclass
from typing import Literal

from rules.made_delivery import delivery_of, travels
from rules.match import judge, topics_named_for
from rules.payload import TRANSFORM_FAILED, TransformFailedError, formed
from rules.view import EventView
from schemas.config import SubscriptionSpec
from schemas.event import Event
from schemas.stored import Record

Fate = Literal["delivered", "skipped", "dead"]

OTHER_TOPIC = "topic"
UNREADABLE = "event_unreadable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of an event.

    Attributes:
        fate: `dead` is a dead letter without a request, because the transform fails.
        reason: why it is not delivered, else empty.
        detail: what went wrong, for people.
        body: what is sent.
        content_type: of that.
    """

    fate: Fate
    reason: str = ""
    detail: str = ""
    body: bytes = b""
    content_type: str = ""


def outcome_of(spec: SubscriptionSpec, event: Event, view: EventView, reason: str = "") -> Outcome:
    """What a subscription makes of an event that comes now.

    Args:
        spec: of the subscription.
        event: that comes.
        view: of it; several subscriptions may look at the same one.
        reason: why nobody gets it, such as that it came twice; empty when somebody may.
    """
    if spec.topic_id not in topics_named_for(event.topic_id):
        return Outcome("skipped", OTHER_TOPIC)
    if reason or not travels(event):
        return Outcome("skipped", reason or UNREADABLE)
    verdict = judge(spec, view)
    if verdict.reason:
        return Outcome("skipped", verdict.reason, verdict.detail)
    try:
        sent = formed(delivery_of(event, Record(spec, 0, 0, "", ""), 0, None), spec)
    except TransformFailedError as error:
        return Outcome("dead", TRANSFORM_FAILED, str(error))
    return Outcome("delivered", body=sent.body, content_type=sent.content_type)
