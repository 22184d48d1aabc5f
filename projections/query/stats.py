"""Success rates and durations.

An attempt is one request that was made and recorded (`kind` is `attempt`), counted at the time at which it started.
After a crash a request may have been made twice: it then counts twice. An end without a request (`kind` is `outcome`:
cancelled, expired) is no attempt.

- `successes`: attempts that were answered with success; `failures`: all others.
- `retries`: attempts that were not the first of their delivery.
- `success_rate`: successes / attempts, from 0 to 1; `null` without attempts.
- `p50_ms`, `p95_ms`, `p99_ms`: the duration of attempts, failed ones included, by nearest rank: the smallest duration
  that at least that share of the attempts did not exceed; `null` without attempts.
- `deliveries`: how many deliveries ended then, by the state in which they ended, each delivery once an hour, and once a
  step where that is shorter.

Spans over two days are read from the hourly tables, if the step is made of hours. Counts are the same, to the last
attempt; a percentile is within 1.6 % of the exact one (`projections.sealing.durations`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from projections.query.cursor import KeyColumn, after, key_parameters, moment_key, order_by, text_key
from projections.query.filters import Condition, conditions_of
from projections.query.hourly import HourlyFigures, hourly_figures, is_long
from projections.query.listing import Page, Start, cut
from projections.query.parameters import DELIVERY_STATES, OverviewQuestion, StatsQuestion
from projections.query.shown import Document
from projections.query.span import Span
from projections.query.step import HOUR_S, Step
from projections.sealing.figures import ENDS, HOUR
from runtime.clickhouse import Client
from schemas.headers import rfc3339

_ATTEMPTS = (
    "countIf(kind = 'attempt') AS made, countIf(kind = 'attempt' AND status = 'SUCCESS') AS successful,"
    " countIf(kind = 'attempt' AND attempt > 1) AS repeated,"
    # Weighted by one: exact, by nearest rank, and its memory is that of the different durations only.
    " quantilesExactWeightedIf(0.5, 0.95, 0.99)(duration_ms, 1, kind = 'attempt') AS percentiles"
)
_HOURLY_ATTEMPTS = (
    "sum(attempts) AS made, sum(successes) AS successful, sum(retries) AS repeated,"
    " quantilesExactWeightedArray(0.5, 0.95, 0.99)(mapKeys(durations), mapValues(durations)) AS percentiles"
)
_HOURLY_ENDS = ", ".join(f"sum(ended_{state.lower()}) AS ended_{state}" for state in ENDS)


def stats_key(column: str | None) -> tuple[KeyColumn, ...]:
    """The sort key of figures: the beginning of the step, then who they are about."""
    return (moment_key("at"),) if column is None else (moment_key("at"), text_key(column))


def read_stats(client: Client, column: str | None, question: StatsQuestion, start: Start, now_ms: int) -> Document:
    """Figures by whole step, and by `subscription_id` or `topic_id`, or of all together.

    Args:
        client: reads; it must not force FINAL.
        column: what they are grouped by.
        question: as asked.
        start: of the page.
        now_ms: epoch milliseconds.
    """
    step = question.chosen_step
    key, descending = stats_key(column), question.order == "desc"
    span = step.whole(start.span)
    conditions = conditions_of(question)
    hourly = hourly_figures(client, span, column, conditions) if step.of_hours and is_long(span, now_ms) else None
    select = _of_attempts(step, span, conditions) if hourly is None else _of_hours(step, hourly)
    place = after(key, descending=descending) if start.key is not None else "1"
    by = ", ".join(part.name for part in key)
    result = client.query(
        f"SELECT {by}, {select.figures} FROM {select.source} WHERE {select.where} AND {place}"  # noqa: S608 - names are ours
        f" GROUP BY {by} ORDER BY {order_by(key, descending=descending)} LIMIT {{rows:UInt32}}",
        parameters=select.parameters | key_parameters(start.key or ()) | {"rows": question.limit + 1},
    )
    page = cut(list(result.named_results()), key, question.limit, start)
    return _document(page, column)


@dataclass(frozen=True, slots=True)
class _Select:
    """Parts of a SELECT, and what they bind; the column `at` is defined in `figures`."""

    figures: str
    source: str
    where: str
    parameters: dict[str, object]


def _of_attempts(step: Step, span: Span, conditions: Sequence[Condition]) -> _Select:
    counted = "delivery_id" if step.length_s <= HOUR_S else f"delivery_id, {HOUR}"
    ends = ", ".join(f"uniqExactIf({counted}, status = '{state}') AS ended_{state}" for state in ENDS)
    wanted = [Condition(span.condition("started_at"), dict(span.parameters())), *conditions]
    return _Select(
        f"{step.beginning('started_at')} AS at, {_ATTEMPTS}, {ends}",
        "attempts FINAL",
        " AND ".join(item.sql for item in wanted),
        _bound(wanted),
    )


def _of_hours(step: Step, hourly: HourlyFigures) -> _Select:
    figures = f"{step.beginning('hour')} AS at, {_HOURLY_ATTEMPTS}, {_HOURLY_ENDS}"
    return _Select(figures, f"({hourly.sql})", "1", hourly.parameters)


def _document(page: Page, column: str | None) -> Document:
    rows = [
        {"at": rfc3339(round(row["at"].timestamp() * 1000))}
        | ({} if column is None else {column: row[column]})
        | _figures(row)
        | {"deliveries": {state: row[f"ended_{state}"] for state in ENDS}}
        for row in page.rows
    ]
    return {"data": rows, "next_cursor": page.next_cursor}


def read_overview(client: Client, question: OverviewQuestion, span: Span, now_ms: int) -> Document:
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
    attempts = totals.of_attempts(now_ms)
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
        return self._row(f"SELECT {figures} FROM {table} FINAL WHERE {where}", _bound(wanted))  # noqa: S608 - names are ours

    def of_attempts(self, now_ms: int) -> Document:
        """Figures of the attempts that started within the span."""
        long = is_long(self.span, now_ms)
        hourly = hourly_figures(self.client, self.span, None, self.conditions) if long else None
        if hourly is None:
            return self.of("attempts", "started_at", _ATTEMPTS)
        return self._row(f"SELECT {_HOURLY_ATTEMPTS} FROM ({hourly.sql})", hourly.parameters)  # noqa: S608 - as above

    def _row(self, query: str, parameters: dict[str, object]) -> Document:
        return dict(next(iter(self.client.query(query, parameters=parameters).named_results())))


def _figures(row: Document) -> Document:
    made, successful = row["made"], row["successful"]
    percentiles: Sequence[Any] = row["percentiles"] if made else (None, None, None)
    return {
        "attempts": made,
        "successes": successful,
        "failures": made - successful,
        "retries": row["repeated"],
        "success_rate": successful / made if made else None,
    } | dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles, strict=True))


def _bound(conditions: Sequence[Condition]) -> dict[str, object]:
    return {name: value for item in conditions for name, value in item.parameters.items()}
