"""Why a subscription gets an event or not: judged anew, by the rules that dispatch judges by."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from projections.query.lookups import PAYLOADS, earliest_ms
from projections.query.shown import Document, epoch_ms_of, shown_row
from rules.match import BEFORE, judge, newest_creation, topics_named_for
from rules.shortcuts import shortcuts_of
from rules.view import EventView, Verdict
from runtime.clickhouse import Client
from runtime.problem import ProblemError
from schemas.config import SubscriptionSpec
from schemas.event import Event
from schemas.stored import SHOWN_ONLY
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
    event = _event(client, event_id)
    version, created_at, spec = _subscription(client, subscription_id)
    dispatch = _dispatch(client, event_id)
    view = EventView(event)
    verdict = _verdict(spec, view)
    if not verdict.reason and _came_later(created_at, dispatch, clocks_apart_ms):
        verdict = Verdict(BEFORE, f"it was created at {created_at}; a replay delivers to it all the same")
    return {
        "event_id": event_id,
        "subscription_id": subscription_id,
        "version": version,
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


def _event(client: Client, event_id: str) -> Event:
    found = client.query(
        "SELECT * FROM events FINAL WHERE event_id = {id:String}"
        " AND received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') ORDER BY received_at DESC LIMIT 1",
        parameters={"id": event_id, "since": earliest_ms(event_id)},
        column_formats=PAYLOADS,
    )
    row = next(iter(found.named_results()), None)
    if row is None:
        raise ProblemError(404, detail=f"there is no event {event_id}")
    if len(row["payload"]) != row["payload_bytes"]:
        raise ProblemError(410, "payload_expired", "the payload is not kept any more")
    return Event(
        event_id=event_id,
        topic_id=row["topic_id"],
        source_id=row["source_id"],
        event_type=row["event_type"],
        received_ms=epoch_ms_of(row["received_at"]),
        body=bytes(row["payload"]),
        request_headers=tuple(row["headers"].items()),
    )


def _subscription(client: Client, subscription_id: str) -> tuple[int, str, SubscriptionSpec]:
    found = client.query(
        "SELECT action, version, record FROM config_changes FINAL WHERE kind = 'subscriptions'"
        " AND id = {id:String} AND result = 'applied' AND action != 'nothing' ORDER BY _offset DESC LIMIT 1",
        parameters={"id": subscription_id},
    )
    row = next(iter(found.named_results()), None)
    if row is None or row["action"] == "deleted":
        raise ProblemError(404, detail=f"there is no subscription {subscription_id}")
    try:
        record = orjson.loads(row["record"])
        return row["version"], record["created_at"], _spec_of(record)
    except (ValueError, KeyError, ValidationError) as error:
        raise ProblemError(409, "subscription_unreadable", "another release wrote the subscription") from error


def _spec_of(record: Mapping[str, Any]) -> SubscriptionSpec:
    return SubscriptionSpec.model_validate({name: value for name, value in record.items() if name not in SHOWN_ONLY})


def _dispatch(client: Client, event_id: str) -> Document | None:
    """What dispatch came to at its time; the subscription may have been another then."""
    found = client.query(
        "SELECT config_version, matched, duplicate, appended_at FROM dispatches FINAL WHERE event_id = {id:String}"
        " ORDER BY duplicate, _offset LIMIT 1",
        parameters={"id": event_id},
    )
    return next(iter(found.named_results()), None)
