"""Questions over a whole window: what is late, what replays have made, what is recorded as not done."""

from collections.abc import Mapping
from typing import NamedTuple

from projections.audit.offender import Offender, of_record
from projections.audit.sums import DUE, WAITING
from projections.audit.window import Window, within
from runtime.clickhouse import Client

LATE_MS = 600_000
"""Ten minutes past its due time, a delivery is not busy any more but forgotten."""

MAX_REPLAYS = 10_000
"""The newest ones; each is a request of a person or a script."""


class Overdue(NamedTuple):
    """Deliveries that wait for longer than they should."""

    offenders: list[Offender]
    total: int


def read_overdue(client: Client, window: Window, late_ms: int, most: int) -> Overdue:
    """Deliveries that were due before `late_ms` (epoch milliseconds), and have neither ended nor been put aside."""
    late = "fromUnixTimestamp64Milli({late:Int64}, 'UTC')"
    result = client.query(
        "SELECT delivery_id, toString(due), count() OVER () FROM (SELECT delivery_id,"  # noqa: S608 - names are ours, values are bound
        f" {DUE} AS due"
        f" FROM deliveries FINAL WHERE {WAITING} AND {within('created_at')}) WHERE due < {late}"
        " AND delivery_id NOT IN"
        f" (SELECT delivery_id FROM attempts WHERE kind = 'parked' AND next_attempt_at >= {late})"
        " ORDER BY due LIMIT {most:UInt32}",
        parameters=window.parameters() | {"late": late_ms, "most": most},
    )
    rows = result.result_rows
    offenders = [of_record("overdue", row[0], f"due at {row[1]} UTC") for row in rows]
    return Overdue(offenders, int(rows[0][2]) if rows else 0)


def read_replays(client: Client, window: Window) -> list[Offender]:
    """Replays that are over, and say that they made more deliveries than there are.

    Deliveries go with the time of their event, which may be much older than the replay; their attempts stay for longer.
    """
    replays = f"replay_id IN (SELECT replay_id FROM replays WHERE {within('created_at')})"  # noqa: S608 - as above
    started = "started_at >= fromUnixTimestamp64Milli({started:Int64}, 'UTC')"
    result = client.query(
        "SELECT replay_id, sent, made FROM (SELECT replay_id, sent FROM replays FINAL"  # noqa: S608 - as above
        f" WHERE state IN ('DONE', 'CANCELLED') AND {within('created_at')} AND sent > 0"
        f" ORDER BY created_at DESC LIMIT {MAX_REPLAYS}) AS r LEFT JOIN"
        " (SELECT replay_id, uniqExact(delivery_id) AS made FROM"
        f" (SELECT replay_id, delivery_id FROM deliveries WHERE {replays}"
        f" UNION ALL SELECT replay_id, delivery_id FROM attempts WHERE {started} AND {replays})"
        " GROUP BY replay_id) AS d USING (replay_id)"
        " WHERE made < sent",
        parameters=window.parameters(),
    )
    return [
        Offender(
            "replay_incomplete",
            replay_id,
            f"the replay says that it made {sent} deliveries, and there are {made}",
            f"hooklog replays {replay_id}; look for the others in the Kafka stream deliveries",
        )
        for replay_id, sent, made in result.result_rows
    ]


def read_told(client: Client, window: Window) -> Mapping[str, int]:
    """What is recorded as not done: `projection_errors`, `records_expired`, and refusals `unrecorded` by the cap."""
    (errors,) = client.query(
        "SELECT countIf(code != 'records_expired'), countIf(code = 'records_expired') FROM projection_errors FINAL"  # noqa: S608 - as above
        f" WHERE {within('appended_at')}",
        parameters=window.parameters(),
    ).result_rows
    (refused,) = client.query(
        f"SELECT count(), sum(unrecorded) FROM rejections FINAL WHERE {within('received_at')}",  # noqa: S608 - as above
        parameters=window.parameters(),
    ).result_rows
    names = ("projection_errors", "records_expired", "rejected", "unrecorded_rejections")
    return dict(zip(names, map(int, (*errors, *refused)), strict=True))


def read_oldest_ms(client: Client) -> int | None:
    """When the oldest event was received of which anything is there, epoch milliseconds; `None` when there is none."""
    times = {"events": "received_at", "dispatches": "received_at", "deliveries": "created_at"}
    # As plain as this, it is answered from what each part knows of itself.
    arms = " UNION ALL ".join(f"SELECT count() AS n, min({time}) AS at FROM {table}" for table, time in times.items())  # noqa: S608 - as above
    query = f"SELECT sum(n), toUnixTimestamp64Milli(minIf(at, n > 0)) FROM ({arms})"  # noqa: S608 - as above
    (row,) = client.query(query).result_rows
    return int(row[1]) if row[0] else None
