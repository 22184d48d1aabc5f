"""What the tables must hold, counted from Kafka alone, by rules of its own."""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.kafka_reader import Rec, read_stream

RANKS = {"PENDING": 1, "RETRYING": 2, "FAILED": 3, "CANCELLED": 3, "SUCCESS": 4}
ENDS = ("SUCCESS", "FAILED", "CANCELLED")
HOUR_MS = 3_600_000
COLUMNS = (
    "delivery_id",
    "subscription_id",
    "topic_id",
    "source_id",
    "event_type",
    "attempt",
    "status",
    "response_status_code",
    "duration_ms",
    "started_ms",
)
NUMBERS = ("attempt", "response_status_code", "duration_ms")
MOST = {"attempt": 65_535, "response_status_code": 65_535, "duration_ms": 4_294_967_295}


@dataclass
class Books:
    """Rows by their key.

    Attributes:
        attempts: (partition, offset) to what the row says.
        deliveries: delivery id to its state and how many requests were made.
        errors: (stream, partition, offset) of what is no record.
    """

    attempts: dict[tuple[int, int], tuple[Any, ...]] = field(default_factory=dict)
    deliveries: dict[str, tuple[str, int]] = field(default_factory=dict)
    errors: set[tuple[str, int, int]] = field(default_factory=set)

    def hours(self, *keys: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        """Figures by hour (epoch seconds) and keys: requests, then deliveries that ended, then durations."""
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
        for values in self.attempts.values():
            row = dict(zip(COLUMNS, values, strict=True))
            groups[(row["started_ms"] // HOUR_MS * HOUR_MS // 1000, *(row[key] for key in keys))].append(row)
        return {group: _figures(rows) for group, rows in groups.items()}

    def count(self, record: Rec) -> None:
        """Takes a record of the stream `attempts`."""
        found = _attempt(record.value)
        if found is None:
            self.errors.add(("attempts", record.partition, record.offset))
            return
        self.attempts[record.partition, record.offset] = tuple(found[name] for name in COLUMNS)
        before = self.deliveries.get(found["delivery_id"], ("PENDING", 0))
        now = (found["status"], found["attempt"])
        if (RANKS[now[0]], now[1]) >= (RANKS[before[0]], before[1]):
            self.deliveries[found["delivery_id"]] = now


def _figures(rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    good = sum(row["status"] == "SUCCESS" for row in rows)
    ended = [len({row["delivery_id"] for row in rows if row["status"] == state}) for state in ENDS]
    retries = sum(row["attempt"] > 1 for row in rows)
    return (len(rows), good, len(rows) - good, retries, *ended, dict(Counter(row["duration_ms"] for row in rows)))


def _attempt(value: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(value or b"")
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("delivery_id"), str):
        return None
    if any(not 0 <= found[name] <= MOST[name] for name in NUMBERS):
        return None
    return found


async def books_of(bootstrap: str, topic: str) -> Books:
    """The books of all that a stream of attempts holds."""
    books = Books()
    for record in await read_stream(bootstrap, topic):
        books.count(record)
    return books
