"""Holds the hourly figures against the attempts that they are made of."""

from projections.audit.offender import Offender
from projections.audit.window import Window
from projections.sealing.figures import HOURLY_TABLES
from projections.sealing.marks import Marks, read_marks, unsealed_hours
from runtime.clickhouse import Client
from schemas.headers import rfc3339

HOUR_S = 3_600

_FIGURES = {
    "attempts": "countIf(kind = 'attempt')",
    "successes": "countIf(kind = 'attempt' AND status = 'SUCCESS')",
    "retries": "countIf(kind = 'attempt' AND attempt > 1)",
}
_RANGE = "{column} >= toDateTime({{first:Int64}}, 'UTC') AND {column} < toDateTime({{end:Int64}}, 'UTC')"

_Hours = dict[int, tuple[int, ...]]


def read_rollups(client: Client, window: Window) -> list[Offender]:
    """Whole hours of the window that are sealed, and whose figures are not those of their attempts.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    marks = read_marks(client)
    first_s = max(-(-window.since_ms // 1_000 // HOUR_S) * HOUR_S, marks.complete_from_s)
    end_s = min(window.until_ms // 1_000, marks.mark_s) // HOUR_S * HOUR_S
    if first_s >= end_s:
        return []
    different = _different(client, marks, range(first_s, end_s), "attempts")
    # Rows that a crash wrote twice, and hours that were sealed meanwhile, are no difference.
    again = {
        hour_s: tables & _different(client, marks, range(hour_s, hour_s + HOUR_S), "attempts FINAL").get(hour_s, set())
        for hour_s, tables in different.items()
    }
    return [_offender(table, hour_s) for hour_s, tables in sorted(again.items()) for table in sorted(tables)]


def _different(client: Client, marks: Marks, times_s: range, attempts: str) -> dict[int, set[str]]:
    raw = _read(client, attempts, "started_at", list(_FIGURES.values()), times_s)
    sums = [f"sum({name})" for name in _FIGURES]
    kept = {table.name: _read(client, f"{table.name} FINAL", "hour", sums, times_s) for table in HOURLY_TABLES}
    open_hours = set(unsealed_hours(client, marks, times_s.start, times_s.stop))
    found: dict[int, set[str]] = {}
    nothing = (0,) * len(_FIGURES)
    for name, hours in kept.items():
        for hour_s in (raw.keys() | hours.keys()) - open_hours:
            if raw.get(hour_s, nothing) != hours.get(hour_s, nothing):
                found.setdefault(hour_s, set()).add(name)
    return found


def _read(client: Client, table: str, column: str, figures: list[str], times_s: range) -> _Hours:
    result = client.query(
        f"SELECT toUnixTimestamp(toStartOfHour({column})) AS at, {', '.join(figures)} FROM {table}"  # noqa: S608 - names are ours, values are bound
        f" WHERE {_RANGE.format(column=column)} GROUP BY at",
        parameters={"first": times_s.start, "end": times_s.stop},
    )
    return {int(row[0]): tuple(map(int, row[1:])) for row in result.result_rows}


def _offender(table: str, hour_s: int) -> Offender:
    hour = rfc3339(hour_s * 1_000)
    what = f"the figures of the hour {hour} in {table} are not those of its attempts"
    return Offender("rollup_differs", f"{table}/{hour}", what, f"hooklog sql shows {table} FINAL beside attempts FINAL")
