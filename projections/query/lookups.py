"""Rows by id. An id that is a ULID says when it was made, which leaves out the partitions before."""

from collections.abc import Iterable
from typing import Any

from projections.query.filters import Condition
from projections.query.shown import Document, shown_row
from runtime.clickhouse import Client
from schemas.headers import epoch_ms
from schemas.ids import ulid_time_ms

SLACK_MS = 3_600_000
"""How far the clock of whoever made an id may be from the clocks that stamp the rest: it only prunes partitions."""

MAX_ROWS = 10_000
"""Deliveries or attempts in one answer; an event with more is read with SQL."""

PAYLOADS = {"payload": "bytes"}
"""Columns that clickhouse-connect must not read as text: a payload may be anything."""


ANY = Condition("1", {})


def read_rows(
    client: Client, table: str, key: str, time: str, value: str, *, narrowed: Condition = ANY
) -> list[Document]:
    """The rows of a table that have an event's or a rejection's id, in the order of their time.

    Args:
        client: reads.
        table: its name, and that of its columns below; never what a caller sent.
        key: the column that has the id.
        time: a column that is no earlier than the id.
        value: the id.
        narrowed: what holds for these rows anyway, so that less is looked through; of columns of the sort key.
    """
    # Rows that replace each other agree in all of these, so they are looked at first, before any other column is read.
    result = client.query(
        f"SELECT * FROM {table} FINAL PREWHERE {key} = {{id:String}}"  # noqa: S608 - names are ours, values are bound
        f" AND {time} >= fromUnixTimestamp64Milli({{since:Int64}}, 'UTC') AND {narrowed.sql}"
        f" ORDER BY {time}, _partition, _offset LIMIT {{limit:UInt32}}",
        parameters={"id": value, "since": earliest_ms(value), "limit": MAX_ROWS, **narrowed.parameters},
        column_formats=PAYLOADS if table in {"events", "rejections"} else None,
    )
    return [shown_row(row) | _place(row) for row in result.named_results()]


def read_row(
    client: Client, table: str, key: str, time: str, value: str, *, narrowed: Condition = ANY
) -> Document | None:
    """The first of them."""
    return next(iter(read_rows(client, table, key, time, value, narrowed=narrowed)), None)


def of_time(column: str, shown: str) -> Condition:
    """Holds for rows of one time, as it is shown: a dispatch and deliveries have the time of their event."""
    return Condition(f"{column} = fromUnixTimestamp64Milli({{of_time:Int64}}, 'UTC')", {"of_time": epoch_ms(shown)})


def of_deliveries(deliveries: Iterable[Document]) -> Condition:
    """Holds for attempts of these deliveries' subscriptions; an attempt is stored together with its delivery."""
    names = sorted({delivery["subscription_id"] for delivery in deliveries})
    return Condition("subscription_id IN {subscriptions:Array(String)}", {"subscriptions": names})


def read_delivery(client: Client, delivery_id: str) -> Document | None:
    """A delivery as it is stored, or `None`; its id has no time, so the index of ids finds it."""
    result = client.query(
        "SELECT * FROM deliveries FINAL WHERE delivery_id = {id:String} LIMIT 1", parameters={"id": delivery_id}
    )
    return next(iter(result.named_results()), None)


def read_delivery_with_attempts(client: Client, delivery_id: str) -> Document | None:
    """A delivery with `attempts`, and `attempts_made`, how many requests there were; or `None`."""
    row = read_delivery(client, delivery_id)
    if row is None:
        return None
    found = client.query(
        "SELECT * FROM attempts FINAL WHERE subscription_id = {subscription:String} AND delivery_id = {id:String}"
        " AND started_at >= {since:DateTime64(3, 'UTC')} - INTERVAL 1 HOUR"
        " ORDER BY started_at, attempt, _partition, _offset LIMIT {limit:UInt32}",
        parameters={
            "subscription": row["subscription_id"],
            "id": delivery_id,
            "since": row["created_at"],
            "limit": MAX_ROWS,
        },
    )
    attempts = [shown_row(attempt) for attempt in found.named_results()]
    return shown_row(row) | {"attempts_made": row["attempts"], "attempts": attempts}


def earliest_ms(event_id: str) -> int:
    """The time before which nothing can have happened to an event, epoch milliseconds."""
    return max(0, (ulid_time_ms(event_id) or 0) - SLACK_MS)


def _place(row: dict[str, Any]) -> Document:
    return {"_partition": row["_partition"], "_offset": row["_offset"]}
