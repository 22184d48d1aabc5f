"""Success rates and durations, computed from the attempts themselves.

An attempt is one request that was made and recorded (`kind` is `attempt`), counted at the time at which it started.
After a crash a request may have been made twice: it then counts twice. An end without a request (`kind` is `outcome`:
cancelled, expired) is no attempt.

- `successes`: attempts that were answered with success; `failures`: all others.
- `retries`: attempts that were not the first of their delivery.
- `success_rate`: successes / attempts, from 0 to 1; `null` without attempts.
- `p50_ms`, `p95_ms`, `p99_ms`: the duration of attempts, failed ones included, by nearest rank: the smallest duration
  that at least that share of the attempts did not exceed; `null` without attempts.
- `deliveries`: how many deliveries ended then, by the state in which they ended, each delivery once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from projections.query.cursor import KeyColumn, after, key_parameters, moment_key, order_by, text_key
from projections.query.filters import Condition, conditions_of
from projections.query.listing import Page, Start, cut
from projections.query.parameters import DELIVERY_STATES, OverviewQuestion, StatsQuestion
from projections.query.shown import Document
from projections.query.span import Span
from runtime.clickhouse import Client
from schemas.headers import rfc3339

STEP_MS = {"hour": 3_600_000, "day": 86_400_000}
_BUCKETS = {"hour": "toStartOfHour(started_at)", "day": "toStartOfDay(started_at)"}

_ENDS = ("SUCCESS", "FAILED", "CANCELLED")

_ATTEMPTS = (
    "countIf(kind = 'attempt') AS made, countIf(kind = 'attempt' AND status = 'SUCCESS') AS successful,"
    " countIf(kind = 'attempt' AND attempt > 1) AS repeated,"
    # Weighted by one: exact, by nearest rank, and its memory is that of the different durations only.
    " quantilesExactWeightedIf(0.5, 0.95, 0.99)(duration_ms, 1, kind = 'attempt') AS durations"
)


def stats_key(column: str) -> tuple[KeyColumn, ...]:
    """The sort key of figures: the beginning of the hour or day, then who they are about."""
    return moment_key("at"), text_key(column)


def whole_buckets(span: Span, step: str) -> Span:
    """The span of all hours or days that a span touches, so that no figure is about a part of one."""
    step_ms = STEP_MS[step]
    end_ms = None if span.until_ms is None else -(-span.until_ms // step_ms) * step_ms
    return Span(span.since_ms // step_ms * step_ms, end_ms)


def read_stats(client: Client, column: str, question: StatsQuestion, start: Start) -> Document:
    """Figures by `subscription_id` or `topic_id`, and by whole hour or day."""
    key, descending = stats_key(column), question.order == "desc"
    span = whole_buckets(start.span, question.step)
    conditions = [Condition(span.condition("started_at"), dict(span.parameters())), *conditions_of(question)]
    if start.key is not None:
        conditions.append(Condition(after(key, descending=descending), dict(key_parameters(start.key))))
    ends = ", ".join(f"uniqExactIf(delivery_id, status = '{state}') AS ended_{state}" for state in _ENDS)
    result = client.query(
        f"SELECT {_BUCKETS[question.step]} AS at, {column}, {_ATTEMPTS}, {ends}"  # noqa: S608 - names are ours
        f" FROM attempts FINAL WHERE {' AND '.join(item.sql for item in conditions)} GROUP BY at, {column}"
        f" ORDER BY {order_by(key, descending=descending)} LIMIT {{rows:UInt32}}",
        parameters=_bound(conditions) | {"rows": question.limit + 1},
    )
    page = cut(list(result.named_results()), key, question.limit, start)
    return _document(page, column)


def _document(page: Page, column: str) -> Document:
    rows = [
        {"at": rfc3339(round(row["at"].timestamp() * 1000)), column: row[column]}
        | _figures(row)
        | {"deliveries": {state: row[f"ended_{state}"] for state in _ENDS}}
        for row in page.rows
    ]
    return {"data": rows, "next_cursor": page.next_cursor}


def read_overview(client: Client, question: OverviewQuestion, span: Span) -> Document:
    """Totals of a span.

    `accepted`, `rejected`, `dispatched`, `matched`, `duplicates` and `deliveries` (by the state that they are in now)
    are of events received within it; attempts are those started within it. `rejected` counts also what the cap on
    records of refusals left out, so far as a later record tells. `replayed` deliveries were made again on purpose:
    `matched` + `replayed` is the sum of `deliveries`, once all of them are stored.
    """
    totals = _Totals(client, span, conditions_of(question))
    accepted = totals.of("events", "received_at", "count() AS n")
    refused = totals.of("rejections", "received_at", "count() + sum(unrecorded) AS n")
    dispatched = totals.of(
        "dispatches", "received_at", "count() AS n, sum(matched) AS matched, countIf(duplicate) AS duplicates"
    )
    attempts = totals.of("attempts", "started_at", _ATTEMPTS)
    states = ", ".join(f"countIf(status = '{state}') AS {state}" for state in DELIVERY_STATES)
    deliveries = totals.of("deliveries", "created_at", f"{states}, countIf(replay_id != '') AS replayed")
    return {
        "since": rfc3339(span.since_ms),
        "until": None if span.until_ms is None else rfc3339(span.until_ms),
        "accepted": accepted["n"],
        "rejected": refused["n"],
        "dispatched": dispatched["n"],
        "duplicates": dispatched["duplicates"],
        "matched": dispatched["matched"],
        "replayed": deliveries["replayed"],
        "deliveries": {state: deliveries[state] for state in DELIVERY_STATES},
    } | _figures(attempts)


@dataclass(frozen=True, slots=True)
class _Totals:
    client: Client
    span: Span
    conditions: Sequence[Condition]

    def of(self, table: str, time: str, figures: str) -> Document:
        """Figures over the rows of a table within the span."""
        wanted = [Condition(self.span.condition(time), dict(self.span.parameters())), *self.conditions]
        where = " AND ".join(item.sql for item in wanted)
        query = f"SELECT {figures} FROM {table} FINAL WHERE {where}"  # noqa: S608 - names are ours, values are bound
        return dict(next(iter(self.client.query(query, parameters=_bound(wanted)).named_results())))


def _figures(row: Document) -> Document:
    made, successful = row["made"], row["successful"]
    durations: Sequence[Any] = row["durations"] if made else (None, None, None)
    return {
        "attempts": made,
        "successes": successful,
        "failures": made - successful,
        "retries": row["repeated"],
        "success_rate": successful / made if made else None,
    } | dict(zip(("p50_ms", "p95_ms", "p99_ms"), durations, strict=True))


def _bound(conditions: Sequence[Condition]) -> dict[str, object]:
    return {name: value for item in conditions for name, value in item.parameters.items()}
