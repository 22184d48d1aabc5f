"""An event as a task: whether all that it leads to is done, and what came of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from projections.query.lookups import earliest_ms, read_row
from projections.query.shown import Document, shown_row
from runtime.clickhouse import Client

MAX_LISTED_DELIVERIES = 100
"""All are counted, and the rest is in the list of deliveries: an event may have 100,000."""

_OPEN = ("RETRYING", "PENDING")
_EVENT = ("topic_id", "source_id", "event_type")
_DELIVERY = "delivery_id, subscription_id, replay_id, status, attempts, last_status_code, reason, completed_at"


def read_task(client: Client, event_id: str) -> Document | None:
    """The task that an event or a refused request is, or `None` when there is neither.

    `status` is RECEIVED until it was dispatched, then PENDING or RETRYING while a delivery is, then FAILED or
    CANCELLED when one ended so, else SUCCESS, also when nobody subscribed; FAILED_VALIDATION when it was refused.
    Where a delivery was made again on purpose, the last one of its subscription decides. `ended_at` is the end of the
    last delivery.
    """
    event = _event(client, event_id)
    if event is None:
        rejection = read_row(client, "rejections", "rejection_id", "received_at", event_id)
        return None if rejection is None else _refused(rejection)
    dispatch = read_row(client, "dispatches", "event_id", "received_at", event_id)
    found = client.query(
        f"SELECT {_DELIVERY} FROM deliveries FINAL WHERE event_id = {{id:String}}"  # noqa: S608 - names are ours
        " AND created_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') ORDER BY subscription_id, replay_id",
        parameters={"id": event_id, "since": earliest_ms(event_id)},
    )
    return task_of(event, dispatch, [shown_row(row) for row in found.named_results()])


def _event(client: Client, event_id: str) -> Document | None:
    found = client.query(
        "SELECT event_id, topic_id, source_id, event_type, received_at FROM events FINAL"
        " WHERE event_id = {id:String} AND received_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC') LIMIT 1",
        parameters={"id": event_id, "since": earliest_ms(event_id)},
    )
    return next((shown_row(row) for row in found.named_results()), None)


def task_of(event: Document, dispatch: Document | None, deliveries: Sequence[Document]) -> Document:
    """The task of an event.

    Args:
        event: its row.
        dispatch: that of its dispatch, once there is one.
        deliveries: theirs, those made again after the first ones.
    """
    counts = Counter(row["status"] for row in deliveries)
    deciding = Counter(row["status"] for row in _deciding(deliveries))
    # A dispatch may be stored before its deliveries are.
    unseen = max(0, dispatch["matched"] - sum(not row["replay_id"] for row in deliveries)) if dispatch else 0
    counts["PENDING"] += unseen
    deciding["PENDING"] += unseen
    status = _status(deciding) if dispatch else "RECEIVED"
    return {
        "task_id": event["event_id"],
        "status": status,
        "started_at": event["received_at"],
        "ended_at": None if not dispatch or status in _OPEN else _end(dispatch, deliveries),
        "deliveries": {state: count for state, count in counts.items() if count},
        "result": {
            **{name: event[name] for name in _EVENT},
            "matched": dispatch["matched"] if dispatch else None,
            "duplicate": dispatch["duplicate"] if dispatch else None,
            "deliveries": list(deliveries[:MAX_LISTED_DELIVERIES]),
        },
    }


def _deciding(deliveries: Sequence[Document]) -> list[Document]:
    newest: dict[str, str] = {}
    for row in deliveries:
        newest[row["subscription_id"]] = max(newest.get(row["subscription_id"], ""), row["replay_id"])
    return [row for row in deliveries if row["replay_id"] == newest[row["subscription_id"]]]


def _status(deciding: "Counter[Any]") -> str:
    for state in (*_OPEN, "FAILED", "CANCELLED"):
        if deciding[state]:
            return state
    return "SUCCESS"


def _end(dispatch: Document, deliveries: Sequence[Document]) -> str:
    ends: list[str] = [row["completed_at"] for row in deliveries if row["completed_at"]]
    return max(ends, default=dispatch["dispatched_at"])


def _refused(rejection: Document) -> Document:
    names = ("topic_id", "source_id", "code", "reason", "response_status_code")
    return {
        "task_id": rejection["rejection_id"],
        "status": "FAILED_VALIDATION",
        "started_at": rejection["received_at"],
        "ended_at": rejection["received_at"],
        "deliveries": {},
        "result": {name: rejection[name] for name in names},
    }
