"""Why a subscription gets an event or not: judged anew, by the rules that dispatch judges by."""

from projections.query.current_subscription import read_subscription
from projections.query.shown import Document, epoch_ms_of, shown_row
from projections.query.stored_events import read_event
from rules.match import BEFORE, judge, newest_creation, topics_named_for
from rules.shortcuts import shortcuts_of
from rules.view import EventView, Verdict
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.config import SubscriptionSpec
from schemas.values import is_too_deep

OTHER_TOPIC = "topic"

MAX_SHOWN_BYTES = 65_536
"""Of a body that is shown again as the filter saw it; larger ones are in the event itself."""


def read_explanation(client: Client, event_id: str, subscription_id: str, clocks_apart_ms: int) -> Document:
    """What `explain` answers, from what is stored of both.

    Args:
        client: reads.
        event_id: of the event.
        subscription_id: of the subscription.
        clocks_apart_ms: what dispatch allows the brokers' clocks.

    Raises:
        ProblemError: 404, one of them is not there; 410, the payload is not kept any more.
    """
    event = read_event(client, event_id)
    subscription = read_subscription(client, subscription_id)
    if subscription is None:
        raise ProblemError(404, detail=f"there is no subscription {subscription_id}")
    created_at, spec = subscription.created_at, subscription.spec
    dispatch = _dispatch(client, event_id)
    view = EventView(event)
    verdict = _verdict(spec, view)
    if not verdict.reason and _came_later(created_at, dispatch, clocks_apart_ms):
        verdict = Verdict(BEFORE, f"it was created at {created_at}; a replay delivers to it all the same")
    return {
        "event_id": event_id,
        "subscription_id": subscription_id,
        "version": subscription.version,
        "matched": not verdict.reason,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "event_types": spec.event_types,
        "filter": spec.filter,
        "saw": _saw(view),
        "dispatch": shown_row(dispatch) if dispatch else None,
    }


def _verdict(spec: SubscriptionSpec, view: EventView) -> Verdict:
    if spec.topic_id not in topics_named_for(view.viewed.topic_id):
        return Verdict(OTHER_TOPIC, f"the subscription is of topic {spec.topic_id}")
    return judge(spec, view)


def _came_later(created_at: str, dispatch: Document | None, clocks_apart_ms: int) -> bool:
    appended_ms = epoch_ms_of(dispatch["appended_at"]) if dispatch else 0
    return appended_ms > 0 and created_at > newest_creation(appended_ms, clocks_apart_ms)


def _saw(view: EventView) -> Document:
    unshown = len(view.viewed.body) > MAX_SHOWN_BYTES or is_too_deep(view.event)
    return {
        "event_type": view.event_type,
        "source": view.viewed.source_id,
        "topic": view.viewed.topic_id,
        "headers": view.headers,
        **shortcuts_of(view.event),
        "is_json": view.is_json,
        "event": None if unshown else view.event,
    }


def _dispatch(client: Client, event_id: str) -> Document | None:
    """What dispatch came to at its time; the subscription may have been another then."""
    found = client.query(
        "SELECT config_version, matched, duplicate, appended_at FROM dispatches FINAL WHERE event_id = {id:String}"
        " ORDER BY duplicate, _offset LIMIT 1",
        parameters={"id": event_id},
    )
    return next(iter(found.named_results()), None)
