"""Figures of long spans: from the hourly tables, and from the attempts where those may lack rows. No hour from both."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from projections.query.filters import Condition
from projections.query.span import Span
from projections.query.step import HOUR_S
from projections.sealing.figures import BY_SUBSCRIPTION, BY_TOPIC, COUNTS, OF_HOURS, HourlyTable, figures_of
from projections.sealing.marks import read_marks, unsealed_hours
from runtime.clickhouse import Client

EXACT_MS = 2 * 86_400_000
"""Spans up to this are computed from the attempts: 700,000 of them where a month has ten million."""

MAX_MS = 731 * 86_400_000
"""Two years: for so long the hourly tables are kept by default."""

MAX_RUNS = 8
"""Of hours that are read from the attempts; where there are more, what lies between the last ones is read as well."""

_HOUR_MS = 1_000 * HOUR_S


@dataclass(frozen=True, slots=True)
class HourlyFigures:
    """A subquery with `hour`, `key` (where one was asked for) and the columns of figures; and what it binds."""

    sql: str
    parameters: dict[str, object]


def is_long(span: Span, now_ms: int) -> bool:
    """Whether a span is read from the hourly tables."""
    return (now_ms if span.until_ms is None else span.until_ms) - span.since_ms > EXACT_MS


def hourly_figures(
    client: Client, span: Span, key: str | None, conditions: Sequence[Condition]
) -> HourlyFigures | None:
    """Where the hourly figures of a span are read from, or nothing when they have never been made.

    The hours at both ends of the span are as long as the span has of them, so long as their attempts are kept; after
    that they are whole.

    Args:
        client: to ask which hours are sealed; it must not force FINAL.
        span: any.
        key: a column that they are grouped by as well: `subscription_id` or `topic_id`.
        conditions: on these two columns.
    """
    marks = read_marks(client)
    if not marks.mark_s and not marks.former_us:
        return None
    first_s, end_s = _hours_around(span)
    hours = set(unsealed_hours(client, marks, first_s, end_s))
    hours |= {hour_s for hour_s in _cut_hours(span) if hour_s >= marks.complete_from_s}
    table = _table_for(key, conditions)
    where = " AND ".join(["1", *(item.sql for item in conditions)])
    # Of a table of attempts whose place another one took, nothing holds but what has expired since.
    kept = where if marks.mark_s else f"{where} AND hour < toDateTime({marks.complete_from_s}, 'UTC')"
    sources = [_sealed(table, key, kept, bounded=span.until_ms is not None)]
    if hours:
        within = f"{span.condition('started_at')} AND ({_runs(hours)}) AND {OF_HOURS}"
        sources.append(figures_of(_grouped(key), within, where))
    parameters: dict[str, object] = {**span.parameters(), "hours": sorted(hours), "first_hour": first_s}
    for item in conditions:
        parameters |= item.parameters
    return HourlyFigures(" UNION ALL ".join(sources), parameters)


def _hours_around(span: Span) -> tuple[int, int | None]:
    end_s = None if span.until_ms is None else -(-span.until_ms // _HOUR_MS) * HOUR_S
    return span.since_ms // _HOUR_MS * HOUR_S, end_s


def _cut_hours(span: Span) -> Iterator[int]:
    """Hours of which the span has only a part."""
    for edge_ms in (span.since_ms, span.until_ms):
        if edge_ms is not None and edge_ms % _HOUR_MS:
            yield edge_ms // _HOUR_MS * HOUR_S


def _table_for(key: str | None, conditions: Sequence[Condition]) -> HourlyTable:
    asked = {key} | {name for item in conditions for name in item.parameters}
    return BY_SUBSCRIPTION if "subscription_id" in asked else BY_TOPIC


def _grouped(key: str | None) -> tuple[str, ...]:
    return () if key is None else (key,)


def _sealed(table: HourlyTable, key: str | None, where: str, *, bounded: bool) -> str:
    columns = ", ".join(("hour", *_grouped(key), *COUNTS, "durations"))
    until = " AND hour < fromUnixTimestamp64Milli({until:Int64}, 'UTC')" if bounded else ""
    return (
        f"SELECT {columns} FROM {table.name} FINAL"  # noqa: S608 - names are ours
        f" WHERE hour >= toDateTime({{first_hour:Int64}}, 'UTC'){until}"
        f" AND toUnixTimestamp(hour) NOT IN {{hours:Array(UInt32)}} AND {where}"
    )


def _runs(hours: Collection[int]) -> str:
    """SQL for the times of hours, as ranges, which the index looks at; most often of the last hour and the edges."""
    bounds: list[list[int]] = []
    for hour_s in sorted(hours):
        if bounds and (bounds[-1][1] == hour_s or len(bounds) == MAX_RUNS):
            bounds[-1][1] = hour_s + HOUR_S
        else:
            bounds.append([hour_s, hour_s + HOUR_S])
    return " OR ".join(
        f"(started_at >= toDateTime({first_s}, 'UTC') AND started_at < toDateTime({end_s}, 'UTC'))"
        for first_s, end_s in bounds
    )
