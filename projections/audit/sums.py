"""Adds up a window minute by minute, so that nothing has to be joined where all is well.

Each row adds a hash of what it says, with the sign of its side. What belongs together cancels out to zero; what is
missing, or there twice, leaves a rest, also when the numbers are equal. Only minutes with a rest are looked at closely.

- an event adds its place in the log, its dispatch takes it away;
- a dispatch adds its event as often as it matched, each delivery of the event takes it away once;
- attempt k takes the step from k - 1 to k of its delivery, the delivery adds the way from 0 to its last attempt;
- a delivery that has ended adds its end, the record of that end takes it away.
"""

from dataclasses import dataclass

from projections.audit.window import ATTEMPT_WITHIN, Window, slot, within
from runtime.clickhouse import Client

FIGURES = (
    "accepted",
    "dispatched",
    "unreadable",
    "duplicates",
    "matched",
    "replayed",
    "success",
    "failed",
    "cancelled",
    "pending",
    "attempts",
    "late",
)
"""What is counted, in the order of the columns. `late` waits past its due time, or was put aside since."""

ENDED = "status IN ('SUCCESS', 'FAILED', 'CANCELLED')"
"""SQL: the delivery needs nothing more."""

WAITING = "status IN ('PENDING', 'RETRYING')"
"""SQL: it needs more."""

DUE = "if(next_attempt_at > toDateTime64(0, 3, 'UTC'), next_attempt_at, _ingested_at)"
"""SQL: when what waits is due; what never said when, as soon as it is stored: its event may have waited itself."""

Figures = dict[str, int]


@dataclass(frozen=True, slots=True)
class Sums:
    """What a window adds up to.

    Attributes:
        figures: of the minutes that add up; when all rows were read with FINAL, of every minute.
        uneven: the minutes that do not.
    """

    figures: Figures
    uneven: list[int]


def read_sums(client: Client, window: Window, late_ms: int, slots: list[int] | None = None) -> Sums:
    """Adds up a window, or some minutes of it exactly.

    Without minutes, the attempts are read without FINAL, which is what costs most: rows that a crash has written twice
    leave a rest, and their minute is then added up again.

    Args:
        client: of the audit.
        window: at most a day.
        late_ms: what was due before is late, epoch milliseconds.
        slots: minutes.

    Raises:
        ClickHouseError: ClickHouse refuses or does not answer.
    """
    exact = slots is not None
    parameters = (window.of_slots(slots) if slots else window).parameters() | {
        "slots": slots or [],
        "exact": exact,
        "late": late_ms,
    }
    (row,) = client.query(_sql(exact=exact), parameters=parameters).result_rows
    return Sums(dict(zip(FIGURES, map(int, row), strict=False)), sorted(map(int, row[-1])))


def _sql(*, exact: bool) -> str:
    arms = [_arm(table, time, exact=exact) for table, time in _TIMES.items()]
    names = ", ".join(f"sum(s_{name}) AS n_{name}" for name in FIGURES)
    totals = ", ".join(f"sumIf(n_{name}, even OR {{exact:Bool}})" for name in FIGURES)
    return (
        f"SELECT {totals}, groupArrayIf(slot, NOT even) FROM"  # noqa: S608 - names are ours, values are bound
        f" (SELECT slot, {names}, sum(s_place) = 0 AND sum(s_made) = 0 AND sum(s_walk) = 0 AS even"
        f" FROM ({' UNION ALL '.join(arms)}) GROUP BY slot)"
    )


_TIMES = {"events": "received_at", "dispatches": "received_at", "deliveries": "created_at", "attempts": "received_at"}

_WAY = "toInt64(intHash64(of_delivery + {last})) - toInt64(intHash64(of_delivery + {first}))"
_END = f"if({ENDED}, toInt64(intHash64(of_delivery + cityHash64(status))), 0)"

_COLUMNS: dict[str, dict[str, str]] = {
    "events": {"accepted": "toUInt64(1)", "place": "toInt64(cityHash64(event_id, _partition, _offset))"},
    "dispatches": {
        "dispatched": "toUInt64(error = '')",
        "unreadable": "toUInt64(error != '')",
        "duplicates": "toUInt64(duplicate)",
        "matched": "toUInt64(matched)",
        "place": "if(error = '', -toInt64(cityHash64(event_id, event_partition, event_offset)), 0)",
        "made": "toInt64(matched * cityHash64(event_id))",
    },
    "deliveries": {
        "replayed": "toUInt64(replay_id != '')",
        "success": "toUInt64(status = 'SUCCESS')",
        "failed": "toUInt64(status = 'FAILED')",
        "cancelled": "toUInt64(status = 'CANCELLED')",
        "pending": f"toUInt64({WAITING})",
        "late": f"toUInt64({WAITING} AND {DUE} < fromUnixTimestamp64Milli({{late:Int64}}, 'UTC'))",
        "made": "if(replay_id = '', -toInt64(cityHash64(event_id)), 0)",
        "walk": f"{_WAY.format(first=0, last='attempts')} + {_END}",
    },
    "attempts": {
        "attempts": "toUInt64(kind = 'attempt')",
        "walk": f"-if(kind = 'attempt', {_WAY.format(first='attempt - 1', last='attempt')}, 0) - {_END}",
    },
}
"""What each table adds; what is not named is zero."""


def _arm(table: str, time: str, *, exact: bool) -> str:
    columns = _COLUMNS[table]
    sums = [f"{_sum(columns.get(name), 'toUInt64')} AS s_{name}" for name in FIGURES]
    sums += [f"{_sum(columns.get(name), 'toInt64')} AS s_{name}" for name in ("place", "made", "walk")]
    wanted = [f"{ATTEMPT_WITHIN} AND kind != 'parked'" if table == "attempts" else within(time)]
    wanted += [f"{slot(time)} IN {{slots:Array(Int64)}}"] if exact else []
    hashed = ", cityHash64(delivery_id) AS of_delivery" if table in {"deliveries", "attempts"} else ""
    final = "" if table == "attempts" and not exact else " FINAL"
    return (
        f"SELECT {slot(time)} AS slot, {', '.join(sums)}"  # noqa: S608 - as above
        f" FROM (SELECT *{hashed} FROM {table}{final} WHERE {' AND '.join(wanted)}) GROUP BY slot"
    )


def _sum(added: str | None, otherwise: str) -> str:
    return f"sum({added})" if added else f"{otherwise}(0)"
