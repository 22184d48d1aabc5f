"""Rows of attempts made from a seed, and an independent count of them."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from projections.sealing.durations import counted_at
from runtime.clickhouse import Client

HOUR_S = 3_600
SUBSCRIPTIONS = {"billing": ("orders",), "all": ("orders", "refunds")}
STATES = ("SUCCESS", "FAILED", "RETRYING", "CANCELLED")

Row = dict[str, Any]


def rows_of(seed: int, count: int, now_s: int, hours: int = 40) -> list[Row]:
    """Attempts, ends without one and parkings; some deliveries end twice, in one hour or in two."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        subscription = chance.choice(list(SUBSCRIPTIONS))
        kind = chance.choice(("attempt", "attempt", "attempt", "outcome", "parked"))
        started_s = now_s - chance.randrange(hours * HOUR_S)
        row = {
            "delivery_id": f"d{number}",
            "event_id": f"e{number}",
            "subscription_id": subscription,
            "topic_id": chance.choice(SUBSCRIPTIONS[subscription]),
            "source_id": "shop",
            "event_type": chance.choice(("created", "paid")),
            "kind": kind,
            "attempt": chance.randrange(1, 4),
            "status": "RETRYING" if kind == "parked" else "CANCELLED" if kind == "outcome" else chance.choice(STATES),
            "started_at": started_s,
            "duration_ms": chance.choice((0, 3, 63, 64, 65, chance.randrange(1 << chance.randrange(1, 32)))),
            "_partition": 0,
            "_offset": len(rows),
        }
        rows.append(row)
        if chance.random() < 0.1:
            again = {"started_at": started_s - chance.choice((1, HOUR_S)), "_offset": len(rows)}
            rows.append(row | again)
    return rows


def store(client: Client, rows: Sequence[Row], table: str = "attempts") -> None:
    """Inserts them, as the writer does."""
    client.raw_insert(table, insert_block=b"\n".join(json.dumps(row).encode() for row in rows), fmt="JSONEachRow")


def counted(rows: Sequence[Row], *keys: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The books: figures by hour and keys, each record once."""
    groups: dict[tuple[Any, ...], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        groups[(row["started_at"] // HOUR_S * HOUR_S, *(row[key] for key in keys))][row["_offset"]] = row
    return {group: figures(list(found.values())) for group, found in groups.items()}


def figures(rows: Sequence[Row]) -> tuple[Any, ...]:
    made = [row for row in rows if row["kind"] == "attempt"]
    good = sum(row["status"] == "SUCCESS" for row in made)
    ends = [
        len({row["delivery_id"] for row in rows if row["status"] == state})
        for state in ("SUCCESS", "FAILED", "CANCELLED")
    ]
    durations = Counter(counted_at(row["duration_ms"]) for row in made)
    retries = sum(row["attempt"] > 1 for row in made)
    return (len(made), good, len(made) - good, retries, *ends, dict(durations))
