"""Pages of a table: bounded in time, sorted by a key that no two rows share, each going on where the last one ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from projections.query.cursor import (
    PLACE,
    Key,
    KeyColumn,
    Position,
    after,
    decode_cursor,
    encode_cursor,
    key_parameters,
    moment_key,
    number_key,
    order_by,
    question_id,
    text_key,
)
from projections.query.filters import Condition
from projections.query.lookups import PAYLOADS
from projections.query.parameters import ListQuestion
from projections.query.shown import Document, epoch_ms_of
from projections.query.span import MAX_MS, Span, span_of
from runtime.clickhouse import Client

PAGE_ONLY = {"limit", "cursor"}
"""Parameters that may differ from page to page."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A table that can be read in pages.

    Attributes:
        table: its name.
        key: the sort key, its time first; together these columns tell any two rows apart.
        with_payload: whether there is a column `payload`, which is large.
    """

    table: str
    key: tuple[KeyColumn, ...]
    with_payload: bool = False


EVENTS = Listing("events", (moment_key("received_at"), text_key("event_id"), *PLACE), with_payload=True)
REJECTIONS = Listing("rejections", (moment_key("received_at"), text_key("rejection_id"), *PLACE), with_payload=True)
DELIVERIES = Listing("deliveries", (moment_key("created_at"), text_key("delivery_id"), text_key("subscription_id")))
ATTEMPTS = Listing("attempts", (moment_key("started_at"), text_key("event_id"), number_key("attempt", 16), *PLACE))
OPERATIONS = Listing("operations", (moment_key("at"), text_key("operation_id")))


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins: in which span, and after which row."""

    question: str
    span: Span
    key: Key | None = None


def start_of(name: str, question: ListQuestion, key: Sequence[KeyColumn], now_ms: int, max_ms: int = MAX_MS) -> Start:
    """Where the page begins that a question asks for; its span is at most `max_ms` long.

    Raises:
        ProblemError: 400, the cursor is wrong; 422, a time is.
    """
    asked = question_id(name, question.model_dump_json(exclude=PAGE_ONLY))
    if question.cursor is None:
        return Start(asked, span_of(question.since, question.until, now_ms, max_ms))
    position = decode_cursor(question.cursor, asked, key)
    return Start(asked, position.span, position.key)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as they are stored, and the cursor of the page after them."""

    rows: list[Document]
    next_cursor: str | None


def read_page(
    client: Client, listing: Listing, question: ListQuestion, start: Start, conditions: Sequence[Condition]
) -> Page:
    """One page of a table."""
    descending = question.order == "desc"
    wanted = [start.span.condition(listing.key[0].name), *(item.sql for item in conditions)]
    parameters: dict[str, object] = {**start.span.parameters(), "rows": question.limit + 1}
    for item in conditions:
        parameters |= item.parameters
    if start.key is not None:
        wanted.append(after(listing.key, descending=descending))
        parameters |= key_parameters(start.key)
    payload = getattr(question, "payload", False)
    columns = "* EXCEPT (payload)" if listing.with_payload and not payload else "*"
    result = client.query(
        f"SELECT {columns} FROM {listing.table} FINAL WHERE {' AND '.join(wanted)}"  # noqa: S608 - names are ours
        f" ORDER BY {order_by(listing.key, descending=descending)} LIMIT {{rows:UInt32}}",
        parameters=parameters,
        column_formats=PAYLOADS if payload else None,
    )
    return cut(list(result.named_results()), listing.key, question.limit, start)


def cut(rows: list[Document], key: Sequence[KeyColumn], limit: int, start: Start) -> Page:
    """A page of rows of which there is one more than fits, when there is a page after it."""
    if len(rows) <= limit:
        return Page(rows, None)
    last = _key_of(rows[limit - 1], key)
    position = Position(start.question, start.span.since_ms, start.span.until_ms, last)
    return Page(rows[:limit], encode_cursor(position))


def _key_of(row: Mapping[str, Any], key: Sequence[KeyColumn]) -> Key:
    return tuple(epoch_ms_of(row[part.name]) if part.type == "DateTime64" else row[part.name] for part in key)
