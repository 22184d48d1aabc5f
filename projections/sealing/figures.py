"""The figures that are kept by hour, and the tables that keep them.

An attempt is one request that was made and recorded (`kind` is `attempt`), counted in the hour in which it started. A
delivery that ended counts once an hour and state; one that a crash ended twice, in two hours, counts in both, as its
second request does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from projections.sealing.durations import COUNTED_AT

ENDS = ("SUCCESS", "FAILED", "CANCELLED")

COUNTS = ("attempts", "successes", "failures", "retries", *(f"ended_{state.lower()}" for state in ENDS))
"""Columns that are added up, in any grouping."""

FIGURES = {
    "attempts": "countIf(kind = 'attempt')",
    "successes": "countIf(kind = 'attempt' AND status = 'SUCCESS')",
    "failures": "countIf(kind = 'attempt' AND status != 'SUCCESS')",
    "retries": "countIf(kind = 'attempt' AND attempt > 1)",
    **{f"ended_{state.lower()}": f"uniqExactIf(delivery_id, status = '{state}')" for state in ENDS},
    "durations": f"sumMapIf(map({COUNTED_AT}, toUInt64(1)), kind = 'attempt')",
}
"""Column to its SQL over the attempts of one hour."""

HOUR = "toStartOfHour(started_at)"

OF_HOURS = f"toUnixTimestamp({HOUR}) IN {{hours:Array(UInt32)}}"
"""SQL for attempts of certain hours; it binds them as epoch seconds."""


@dataclass(frozen=True, slots=True)
class HourlyTable:
    """A table of hourly figures.

    Attributes:
        name: of the table.
        keys: what its rows are about, beside the hour; columns of `attempts` as well.
    """

    name: str
    keys: tuple[str, ...]


BY_SUBSCRIPTION = HourlyTable("stats_by_subscription", ("subscription_id", "topic_id"))
BY_TOPIC = HourlyTable("stats_by_topic", ("topic_id", "source_id", "event_type"))
HOURLY_TABLES = (BY_SUBSCRIPTION, BY_TOPIC)


def figures_of(keys: Iterable[str], within: str, condition: str = "1") -> str:
    """SQL for hourly figures, computed from the attempts: `hour`, the keys, then `FIGURES`.

    Args:
        keys: columns of attempts.
        within: SQL for the times of attempts; it may name `started_at` alone.
        condition: SQL for what else must hold.
    """
    columns = ", ".join(("hour", *keys))
    figures = ", ".join(f"{sql} AS {name}" for name, sql in FIGURES.items())
    # Two rows of one record agree in their time, so it is looked at before they become one: far less is read.
    return (
        f"SELECT {HOUR} AS {columns}, {figures} FROM attempts FINAL"  # noqa: S608 - names are ours
        f" PREWHERE {within} WHERE {condition} GROUP BY {columns}"
    )
