"""The whole story of one event or delivery: the request, where it went, every attempt, and what happened around it."""

from collections import defaultdict
from collections.abc import Sequence

from projections.query.lookups import (
    earliest_ms,
    of_deliveries,
    of_time,
    read_delivery_with_attempts,
    read_row,
    read_rows,
)
from projections.query.shown import Document
from projections.query.surroundings import (
    Concerned,
    config_steps,
    first_event_id,
    operation_steps,
    read_config_in_force,
    repetition_steps,
    replay_steps,
)
from runtime.clickhouse import Client
from schemas.headers import epoch_ms


def read_timeline(client: Client, event_id: str) -> Document | None:
    """The timeline of an event or a rejection, or `None` when there is neither.

    The document has `event`, `dispatch` (`null` until it was dispatched), `deliveries` (each with `attempts`, and
    `attempts_made`), `config` (the versions in force when the event came), and `timeline`: everything that happened as
    `{"at", "what", …}`, in order.
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
    if dispatch and dispatch["duplicate"]:
        dispatch["first_event_id"] = first_event_id(client, dispatch)
    concerned = _concerned(event, event["received_at"], deliveries)
    around = [
        *(repetition_steps(client, dispatch) if dispatch else []),
        *replay_steps(client, (delivery["replay_id"] for delivery in deliveries)),
        *operation_steps(client, "event_id", event_id, earliest_ms(event_id)),
        *config_steps(client, concerned),
    ]
    return {
        "event": event | {"status": "QUEUED" if dispatch else "RECEIVED"},
        "dispatch": dispatch,
        "deliveries": _with_attempts(deliveries, attempts),
        "config": read_config_in_force(client, concerned),
        "timeline": _in_order([*_event_steps(event, dispatch), *_delivery_steps(deliveries, attempts), *around]),
    }


def read_delivery_timeline(client: Client, delivery_id: str) -> Document | None:
    """A delivery with its attempts, `config` and `timeline` as of an event, or `None` when there is none."""
    delivery = read_delivery_with_attempts(client, delivery_id)
    if delivery is None:
        return None
    concerned = _concerned(delivery, delivery["created_at"], [delivery])
    around = [
        *replay_steps(client, [delivery["replay_id"]]),
        *operation_steps(client, "delivery_id", delivery_id, epoch_ms(delivery["created_at"])),
        *config_steps(client, concerned),
    ]
    return delivery | {
        "config": read_config_in_force(client, concerned),
        "timeline": _in_order([*_delivery_steps([delivery], delivery["attempts"]), *around]),
    }


def _concerned(of: Document, since: str, deliveries: Sequence[Document]) -> Concerned:
    ends = [delivery["completed_at"] for delivery in deliveries]
    return Concerned(
        source_id=of["source_id"],
        topic_id=of["topic_id"],
        subscription_ids=sorted({delivery["subscription_id"] for delivery in deliveries}),
        since_ms=epoch_ms(since),
        until_ms=epoch_ms(max(ends)) if ends and all(ends) else None,
    )


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
    return {"event": event, "dispatch": None, "deliveries": [], "config": [], "timeline": [step]}


def _with_attempts(deliveries: list[Document], attempts: list[Document]) -> list[Document]:
    by_delivery: dict[str, list[Document]] = defaultdict(list)
    for attempt in attempts:
        by_delivery[attempt["delivery_id"]].append(attempt)
    return [
        delivery | {"attempts_made": delivery["attempts"], "attempts": by_delivery[delivery["delivery_id"]]}
        for delivery in deliveries
    ]


def _event_steps(event: Document, dispatch: Document | None) -> list[Document]:
    steps = [{"at": event["received_at"], "what": "received", "topic_id": event["topic_id"]}]
    if dispatch:
        names = ("config_version", "matched", "skipped", "skips", "duplicate", "duplicate_of", "error")
        steps.append({"at": dispatch["dispatched_at"], "what": "dispatched"} | {key: dispatch[key] for key in names})
    return steps


def _delivery_steps(deliveries: Sequence[Document], attempts: Sequence[Document]) -> list[Document]:
    return [
        *(_attempt_step(attempt) for attempt in attempts),
        *(step for delivery in deliveries for step in _end_steps(delivery)),
    ]


def _in_order(steps: list[Document]) -> list[Document]:
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
