"""What it costs to find who gets an event: `python -m benchmarks.matching`, a quarter of a minute.

Each case has 100,000 subscriptions on one topic, of which about ten match. The first event, which compiles filters, is
told apart. What is measured, in CPU time, is all that dispatch does per event before it encodes: the view, the index,
the counts by reason, the hundred skips that are listed, and the deliveries.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from msgspec.structs import replace

from processors.dispatch.index import SubscriptionIndex
from processors.dispatch.join import join
from rules.match import newest_creation
from schemas.config import SubscriptionSpec
from schemas.event import Event
from schemas.ids import new_id
from schemas.stored import Record

SUBSCRIPTIONS = 100_000
EVENTS = 2_000
MATCHING = 10

Fields = dict[str, Any]

CASES: dict[str, Callable[[int], Fields]] = {
    "100,000 event types": lambda n: {"event_types": [_chosen(n, "push", f"type.{n}")]},
    "100,000 patterns": lambda n: {"event_types": [_chosen(n, "pu*", f"type.{n}.*")]},
    "one other event type": lambda n: {"event_types": [_chosen(n, "push", "pull")]},
    "inactive": lambda n: {"is_active": n < MATCHING},
    "one false filter": lambda n: {"filter": _chosen(n, "event.size == 1", "event.size == 2")},
    "50 false filters": lambda n: {"filter": _chosen(n, "event.size == 1", f"event.size == {2 + n % 50}")},
    "100,000 branches": lambda n: {"filter": f"branch == '{_chosen(n, 'main', f'b{n}')}'"},
    "100,000 repositories, and more": lambda n: {
        "filter": f"event.repository.full_name == '{_chosen(n, 'octo/repo', f'octo/r{n}')}' && event.size > 0"
    },
    "100,000 repositories of one branch": lambda n: {
        "filter": f"branch == 'main' && repository == '{_chosen(n, 'octo/repo', f'octo/r{n}')}'"
    },
    "a missing field in 100,000 filters": lambda n: {
        "filter": _chosen(n, "branch == 'main'", f"event.customer == 'c{n}'")
    },
}


@dataclass
class _Table:
    """As much of a table as an index follows."""

    listeners: list[Callable[..., None]]


def main() -> None:
    """Prints a line for each case."""
    print(f"{SUBSCRIPTIONS:,} subscriptions, {MATCHING} match, {EVENTS:,} events\n")
    print(f"{'':<38}{'us an event':>12}{'first, ms':>12}{'building, us each':>20}")
    for name, fields_of in CASES.items():
        index, build_us = _built(fields_of)
        times_us = list(_times_us(index))
        rest = sorted(times_us[1:])
        print(f"{name:<38}{rest[len(rest) // 2]:>12.1f}{times_us[0] / 1_000:>12.1f}{build_us:>20.1f}")


def _built(fields_of: Callable[[int], Fields]) -> tuple[SubscriptionIndex, float]:
    table = _Table([])
    index = SubscriptionIndex(table)  # type: ignore[arg-type] # it only listens
    base = {"topic_id": "pushes", "target_url": "http://example.com/"}
    records = [
        Record(SubscriptionSpec.model_validate(base | {"id": f"s{number}"} | fields_of(number)), 1, 1, "", "")
        for number in range(SUBSCRIPTIONS)
    ]
    began = time.perf_counter()
    for record in records:
        table.listeners[0](record.spec.id, None, record)
    return index, (time.perf_counter() - began) / SUBSCRIPTIONS * 1e6


def _times_us(index: SubscriptionIndex) -> Iterator[float]:
    body = {
        "ref": "refs/heads/main",
        "repository": {"full_name": "octo/repo"},
        "size": 1,
        "commits": [{"id": sha256(bytes([number])).hexdigest(), "message": "A change " * 10} for number in range(5)],
    }
    event = Event("", "pushes", "github", "push", 0, json.dumps(body).encode(), request_headers=(("X-A", "1"),) * 10)
    for _ in range(EVENTS):
        of = replace(event, event_id=new_id())
        began = time.thread_time()
        joined = join(of, index, 1, newest_creation(1, 0))
        yield (time.thread_time() - began) * 1e6
        if len(joined.deliveries) != MATCHING or sum(joined.skipped.values()) != SUBSCRIPTIONS - MATCHING:
            raise SystemExit("the index is wrong")


def _chosen(number: int, of_ten: str, of_others: str) -> str:
    return of_ten if number < MATCHING else of_others


if __name__ == "__main__":
    main()
