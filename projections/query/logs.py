"""What happened, as lists and one by one: events, deliveries, attempts, rejections and operations."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from projections.query.examples import ATTEMPT, DELIVERY, EVENT, EXPLANATION, OPERATION, REJECTION, TIMELINE
from projections.query.explain import read_explanation
from projections.query.filters import conditions_of, dispatched_conditions
from projections.query.listing import (
    ATTEMPTS,
    DELIVERIES,
    EVENTS,
    OPERATIONS,
    REJECTIONS,
    Listing,
    Page,
    Start,
    read_page,
    start_of,
)
from projections.query.lookups import read_delivery_with_attempts, read_row
from projections.query.openapi import found, listed, problem
from projections.query.parameters import (
    AttemptsQuestion,
    DeliveriesQuestion,
    EventsQuestion,
    ListQuestion,
    OperationsQuestion,
    RejectionsQuestion,
)
from projections.query.payload_search import field_conditions, text_conditions
from projections.query.readers import Readers
from projections.query.shown import Document, epoch_ms_of, shown_row
from projections.query.timeline import read_timeline
from runtime.clickhouse import Client
from runtime.problem import ProblemError

MAX_ID_CHARS = 128

ANSWER_COLUMNS = ("response_body", "error")
"""Where the text is that an attempt is searched for."""

Id = Annotated[str, Path(max_length=MAX_ID_CHARS)]
Clock = Callable[[], int]


def log_routes(readers: Readers, now_ms: Clock, clocks_apart_ms: int) -> APIRouter:
    """`GET /api/v1/logs/…`."""
    router = APIRouter(prefix="/api/v1/logs", tags=["logs"])
    _add_lists(router, readers, now_ms)
    _add_single(router, readers, clocks_apart_ms)
    return router


def _add_lists(router: APIRouter, readers: Readers, now_ms: Clock) -> None:
    @router.get("/events", **listed(EVENT))
    async def list_events(question: Annotated[EventsQuestion, Query()]) -> Response:
        """Accepted events. `matched` and `duplicate` are there once an event was dispatched."""
        start = start_of("events", question, EVENTS.key, now_ms())
        return json_of(await readers.run(lambda client: _events(client, question, start)))

    @router.get("/deliveries", **listed(DELIVERY))
    async def list_deliveries(question: Annotated[DeliveriesQuestion, Query()]) -> Response:
        """Deliveries by the time of their event, each in the state that it is in."""
        return await _list(readers, DELIVERIES, question, now_ms())

    @router.get("/attempts", **listed(ATTEMPT))
    async def list_attempts(question: Annotated[AttemptsQuestion, Query()]) -> Response:
        """Attempts, ends without one (`kind` is `outcome`) and waits (`parked`), by the time at which they started."""
        return await _list(readers, ATTEMPTS, question, now_ms())

    @router.get("/rejections", **listed(REJECTION))
    async def list_rejections(question: Annotated[RejectionsQuestion, Query()]) -> Response:
        """Refused requests."""
        return await _list(readers, REJECTIONS, question, now_ms())

    @router.get("/operations", **listed(OPERATION))
    async def list_operations(question: Annotated[OperationsQuestion, Query()]) -> Response:
        """What happened to Hooklog itself: dead letters, refused records, subscriptions that fail or were disabled."""
        return await _list(readers, OPERATIONS, question, now_ms(), _operation)


def _add_single(router: APIRouter, readers: Readers, clocks_apart_ms: int) -> None:
    @router.get("/events/{event_id}", **found(TIMELINE))
    async def timeline(event_id: Id) -> Response:
        """Everything that happened to an event, or to a request that was refused."""
        return json_of(await _found(readers, lambda client: read_timeline(client, event_id), f"event {event_id}"))

    docs = found(EXPLANATION)
    docs["responses"] |= {
        409: problem("Another release wrote the subscription."),
        410: problem("The payload is not kept any more."),
    }

    @router.get("/events/{event_id}/explain", **docs)
    async def explain(event_id: Id, subscription: Annotated[str, Query(max_length=MAX_ID_CHARS)]) -> Response:
        """Whether a subscription, as it is now, gets an event, why not, and what its filter sees of it."""
        return json_of(
            await readers.run(lambda client: read_explanation(client, event_id, subscription, clocks_apart_ms))
        )

    @router.get("/deliveries/{delivery_id}", **found(DELIVERY | {"attempts_made": 1, "attempts": [ATTEMPT]}))
    async def delivery(delivery_id: Id) -> Response:
        """A delivery with its attempts."""
        return json_of(
            await _found(
                readers, lambda client: read_delivery_with_attempts(client, delivery_id), f"delivery {delivery_id}"
            )
        )

    @router.get("/rejections/{rejection_id}", **found(REJECTION | {"payload": "{}", "payload_encoding": "text"}))
    async def rejection(rejection_id: Id) -> Response:
        """A refused request, with the beginning of its body."""
        return json_of(
            await _found(readers, lambda client: _rejection(client, rejection_id), f"rejection {rejection_id}")
        )


async def _list(
    readers: Readers,
    listing: Listing,
    question: ListQuestion,
    now_ms: int,
    shown: Callable[[Document], Document] = shown_row,
) -> Response:
    start = start_of(listing.table, question, listing.key, now_ms)
    conditions = [*conditions_of(question), *text_conditions(getattr(question, "text", ()), ANSWER_COLUMNS)]
    page = await readers.run(lambda client: read_page(client, listing, question, start, conditions))
    return json_of(page_document(page, [shown(row) for row in page.rows]))


def _operation(row: Document) -> Document:
    return shown_row(row) | {"detail": orjson.loads(row["detail"])}


def page_document(page: Page, rows: Sequence[Document]) -> Document:
    """A page as it is answered."""
    return {"data": rows, "next_cursor": page.next_cursor}


async def _found(readers: Readers, read: Callable[[Client], Document | None], what: str) -> Document:
    document = await readers.run(read)
    if document is None:
        raise ProblemError(404, detail=f"there is no {what}")
    return document


def _rejection(client: Client, rejection_id: str) -> Document | None:
    row = read_row(client, "rejections", "rejection_id", "received_at", rejection_id)
    return row and shown_row(row)


def _events(client: Client, question: EventsQuestion, start: Start) -> Document:
    plain = [item for item in conditions_of(question) if not item.sql.startswith("status ")]
    of_dispatches = dispatched_conditions(question.status, question.duplicate, start.span, plain)
    searched = [*text_conditions(question.text, ("payload",)), *field_conditions(question.field)]
    page = read_page(client, EVENTS, question, start, [*plain, *of_dispatches, *searched])
    dispatches = _dispatches_of(client, page.rows)
    return page_document(page, [_event(row, dispatches) for row in page.rows])


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


def json_of(document: Any, status: int = 200) -> Response:
    """An answer."""
    return Response(orjson.dumps(document), status, media_type="application/json")
