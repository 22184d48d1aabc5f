"""The whole story of one event: the request, where it went, and every attempt."""

import base64
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from runtime.clickhouse import Client
from schemas.headers import rfc3339
from schemas.ids import ulid_time_ms

SLACK_MS = 3_600_000
"""How far the clock of whoever made an id may be from the clocks that stamp the rest: it only prunes partitions."""

MAX_ROWS = 10_000
"""Deliveries or attempts in one answer; an event with more is read with SQL."""

Document = dict[str, Any]

_HIDDEN = frozenset({"_version", "_ingested_at"})
_ZERO_IS_NONE = frozenset({"last_status_code", "response_status_code"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_timeline(client: Client, event_id: str) -> Document | None:
    """The timeline of an event or a rejection, or `None` when there is neither.

    The document has `event`, `dispatch` (`null` until it was dispatched), `deliveries` (each with `attempts`, and
    `attempts_made`), and `timeline`: everything that happened as `{"at", "what", …}`, in order.
    """
    since_ms = max(0, (ulid_time_ms(event_id) or 0) - SLACK_MS)
    asked = {"id": event_id, "since": since_ms / 1000, "limit": MAX_ROWS}
    event = _first(client, "events", "event_id", "received_at", asked)
    if event is None:
        return _rejected(_first(client, "rejections", "rejection_id", "received_at", asked))
    dispatch = _first(client, "dispatches", "event_id", "received_at", asked)
    deliveries = _rows(client, "deliveries", "event_id", "created_at", asked)
    attempts = _rows(client, "attempts", "event_id", "started_at", asked)
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


def _first(client: Client, table: str, key: str, time: str, asked: Mapping[str, Any]) -> Document | None:
    return next(iter(_rows(client, table, key, time, asked)), None)


def _rows(client: Client, table: str, key: str, time: str, asked: Mapping[str, Any]) -> list[Document]:
    # The names are this module's own; what the caller sent is bound.
    result = client.query(
        f"SELECT * FROM {table} FINAL WHERE {key} = {{id:String}}"  # noqa: S608 - as above
        f" AND {time} >= fromUnixTimestamp64Milli(toInt64({{since:Float64}} * 1000))"
        f" ORDER BY {time}, _partition, _offset LIMIT {{limit:UInt32}}",
        parameters=dict(asked),
        column_formats={"payload": "bytes"} if table in {"events", "rejections"} else None,
    )
    return [_document(row) for row in result.named_results()]


def _document(row: Mapping[str, Any]) -> Document:
    document = {name: _shown(name, value) for name, value in row.items() if name not in _HIDDEN}
    if isinstance(row.get("payload"), bytes):
        document |= _payload(row["payload"])
    return document


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return None if moment == _EPOCH else rfc3339(round(moment.timestamp() * 1000))
    return None if name in _ZERO_IS_NONE and value == 0 else value


def _payload(raw: bytes) -> Document:
    try:
        return {"payload": raw.decode(), "payload_encoding": "text"}
    except UnicodeDecodeError:
        return {"payload": base64.b64encode(raw).decode(), "payload_encoding": "base64"}


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
    what = "attempt" if attempt["kind"] == "attempt" else "outcome"
    return {"at": attempt["started_at"], "what": what} | _who(attempt) | {name: attempt[name] for name in names}


def _end_steps(delivery: Document) -> list[Document]:
    if delivery["completed_at"]:
        end = {"at": delivery["completed_at"], "what": "completed"}
        return [end | _who(delivery) | {"status": delivery["status"], "reason": delivery["reason"]}]
    if delivery["next_attempt_at"]:
        return [{"at": delivery["next_attempt_at"], "what": "next_attempt"} | _who(delivery)]
    return []


def _who(row: Document) -> Document:
    return {"subscription_id": row["subscription_id"], "delivery_id": row["delivery_id"]}
