"""The lists of what happened: what each reads, and how its rows are shown."""

from collections.abc import Sequence

import orjson

from projections.query.filters import Condition, conditions_of, dispatched_conditions
from projections.query.listing import EVENTS, OPERATIONS, Listing, Page, Start, key_of, read_page
from projections.query.parameters import EventsQuestion, LogQuestion
from projections.query.payload_search import field_conditions, text_conditions
from projections.query.shown import Document, epoch_ms_of, shown_row
from projections.query.span import Span
from runtime.clickhouse import Client

ANSWER_COLUMNS = ("response_body", "error")
"""Where the text is that an attempt is searched for."""


def read_list(client: Client, listing: Listing, question: LogQuestion, start: Start) -> Page:
    """One page of a list, its rows as they are shown, each with its key."""
    page = read_page(client, listing, question, start, _conditions(question, start.span))
    keys = tuple(key_of(row, listing.key) for row in page.rows)
    return Page(_shown(client, listing, page.rows), page.next_cursor, keys)


def _conditions(question: LogQuestion, span: Span) -> list[Condition]:
    if not isinstance(question, EventsQuestion):
        return [*conditions_of(question), *text_conditions(getattr(question, "text", ()), ANSWER_COLUMNS)]
    plain = [item for item in conditions_of(question) if not item.sql.startswith("status ")]
    of_dispatches = dispatched_conditions(question.status, question.duplicate, span, plain)
    return [
        *plain,
        *of_dispatches,
        *text_conditions(question.text, ("payload",)),
        *field_conditions(question.field),
    ]


def _shown(client: Client, listing: Listing, rows: Sequence[Document]) -> list[Document]:
    if listing is EVENTS:
        dispatches = _dispatches_of(client, rows)
        return [_event(row, dispatches) for row in rows]
    if listing is OPERATIONS:
        return [shown_row(row) | {"detail": orjson.loads(row["detail"])} for row in rows]
    return [shown_row(row) for row in rows]


def _event(row: Document, dispatches: dict[str, Document]) -> Document:
    dispatch = dispatches.get(row["event_id"])
    return shown_row(row) | {"status": "QUEUED" if dispatch else "RECEIVED"} | (dispatch or {})


def _dispatches_of(client: Client, events: Sequence[Document]) -> dict[str, Document]:
    if not events:
        return {}
    times = [epoch_ms_of(row["received_at"]) for row in events]
    # Of two records with one event id, the one that was delivered is shown: it comes last.
    result = client.query(
        "SELECT event_id, matched, duplicate FROM dispatches FINAL WHERE topic_id IN {topics:Array(String)}"
        " AND received_at >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')"
        " AND received_at <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')"
        " AND event_id IN {ids:Array(String)} ORDER BY duplicate DESC",
        parameters={
            "topics": sorted({row["topic_id"] for row in events}),
            "first": min(times),
            "last": max(times),
            "ids": [row["event_id"] for row in events],
        },
    )
    return {row.pop("event_id"): row for row in map(dict, result.named_results())}
