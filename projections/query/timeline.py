"""The whole story of one event: the request, where it went, and every attempt."""

from collections import defaultdict

from projections.query.lookups import of_deliveries, of_time, read_row, read_rows
from projections.query.shown import Document
from runtime.clickhouse import Client


def read_timeline(client: Client, event_id: str) -> Document | None:
    """The timeline of an event or a rejection, or `None` when there is neither.

    The document has `event`, `dispatch` (`null` until it was dispatched), `deliveries` (each with `attempts`, and
    `attempts_made`), and `timeline`: everything that happened as `{"at", "what", …}`, in order.
    """
    event = read_row(client, "events", "event_id", "received_at", event_id)
    if event is None:
        return _rejected(read_row(client, "rejections", "rejection_id", "received_at", event_id))
    came_at = event["received_at"]
    dispatch = read_row(
        client, "dispatches", "event_id", "received_at", event_id, narrowed=of_time("received_at", came_at)
    )
    deliveries = read_rows(
        client, "deliveries", "event_id", "created_at", event_id, narrowed=of_time("created_at", came_at)
    )
    attempts = read_rows(client, "attempts", "event_id", "started_at", event_id, narrowed=of_deliveries(deliveries))
    return {
        "event": event | {"status": "QUEUED" if dispatch else "RECEIVED"},
        "dispatch": dispatch,
        "deliveries": _with_attempts(deliveries, attempts),
        "timeline": _steps(event, dispatch, deliveries, attempts),
    }


def _rejected(rejection: Document | None) -> Document | None:
    if rejection is None:
        return None
    step = {
        "at": rejection["received_at"],
        "what": "rejected",
        "code": rejection["code"],
        "reason": rejection["reason"],
    }
    event = rejection | {"event_id": rejection["rejection_id"], "status": "FAILED_VALIDATION"}
    return {"event": event, "dispatch": None, "deliveries": [], "timeline": [step]}


def _with_attempts(deliveries: list[Document], attempts: list[Document]) -> list[Document]:
    by_delivery: dict[str, list[Document]] = defaultdict(list)
    for attempt in attempts:
        by_delivery[attempt["delivery_id"]].append(attempt)
    return [
        delivery | {"attempts_made": delivery["attempts"], "attempts": by_delivery[delivery["delivery_id"]]}
        for delivery in deliveries
    ]


def _steps(
    event: Document, dispatch: Document | None, deliveries: list[Document], attempts: list[Document]
) -> list[Document]:
    steps = [{"at": event["received_at"], "what": "received", "topic_id": event["topic_id"]}]
    if dispatch:
        names = ("matched", "skipped", "duplicate", "duplicate_of")
        steps.append({"at": dispatch["dispatched_at"], "what": "dispatched"} | {key: dispatch[key] for key in names})
    steps += [_attempt_step(attempt) for attempt in attempts]
    steps += [step for delivery in deliveries for step in _end_steps(delivery)]
    # Sorting is stable: what has the same millisecond stays in the order of cause and effect.
    return sorted(steps, key=lambda step: step["at"])


def _attempt_step(attempt: Document) -> Document:
    names = ("status", "attempt", "response_status_code", "error", "reason", "duration_ms", "next_attempt_at")
    return (
        {"at": attempt["started_at"], "what": attempt["kind"]} | _who(attempt) | {name: attempt[name] for name in names}
    )


def _end_steps(delivery: Document) -> list[Document]:
    if delivery["completed_at"]:
        end = {"at": delivery["completed_at"], "what": "completed"}
        return [end | _who(delivery) | {"status": delivery["status"], "reason": delivery["reason"]}]
    if delivery["next_attempt_at"]:
        return [{"at": delivery["next_attempt_at"], "what": "next_attempt"} | _who(delivery)]
    return []


def _who(row: Document) -> Document:
    return {"subscription_id": row["subscription_id"], "delivery_id": row["delivery_id"]}
