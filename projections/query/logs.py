"""What happened, as lists and one by one: events, deliveries, attempts, rejections and operations."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response

from projections.query.examples import (
    ATTEMPT,
    DELIVERY,
    DELIVERY_STORY,
    EVENT,
    EXPLANATION,
    OPERATION,
    REJECTION,
    TIMELINE,
)
from projections.query.explain import read_explanation
from projections.query.forms import MEDIA_TYPES, csv_of, form_of, formed
from projections.query.listing import ATTEMPTS, DELIVERIES, EVENTS, OPERATIONS, REJECTIONS, Listing, Page, start_of
from projections.query.log_lists import read_list
from projections.query.lookups import read_row
from projections.query.openapi import found, problem, streamed
from projections.query.parameters import (
    MAX_LIMIT,
    AttemptsQuestion,
    DeliveriesQuestion,
    EventsQuestion,
    LogQuestion,
    OperationsQuestion,
    RejectionsQuestion,
)
from projections.query.readers import Readers
from projections.query.shown import Document, shown_row
from projections.query.slices import Pieces
from projections.query.streamed import Slots, Streamed
from projections.query.timeline import read_delivery_timeline, read_timeline
from runtime.clickhouse import Client
from runtime.problem import ProblemError

MAX_ID_CHARS = 128

MAX_STREAMED_LISTS = 4
"""At a time: each takes turns with the others, and holds a piece of a few MB."""

Id = Annotated[str, Path(max_length=MAX_ID_CHARS)]
Clock = Callable[[], int]


Accept = Annotated[str, Header(include_in_schema=False)]


def log_routes(readers: Readers, streams: Readers, now_ms: Clock, clocks_apart_ms: int) -> APIRouter:
    """`GET /api/v1/logs/…`.

    Args:
        readers: read pages and single things.
        streams: read what is streamed, apart, so that it delays no page.
        now_ms: the clock, epoch milliseconds.
        clocks_apart_ms: how far the brokers' clocks may lie apart.
    """
    router = APIRouter(prefix="/api/v1/logs", tags=["logs"])
    _add_lists(router, _Lists(readers, streams, now_ms))
    _add_single(router, readers, clocks_apart_ms)
    return router


def _add_lists(router: APIRouter, lists: "_Lists") -> None:
    @router.get("/events", **streamed(EVENT))
    async def list_events(question: Annotated[EventsQuestion, Query()], accept: Accept = "") -> Response:
        """Accepted events. `matched` and `duplicate` are there once an event was dispatched."""
        return await lists.answer(EVENTS, question, accept, EVENT)

    @router.get("/deliveries", **streamed(DELIVERY))
    async def list_deliveries(question: Annotated[DeliveriesQuestion, Query()], accept: Accept = "") -> Response:
        """Deliveries by the time of their event, each in the state that it is in."""
        return await lists.answer(DELIVERIES, question, accept, DELIVERY)

    @router.get("/attempts", **streamed(ATTEMPT))
    async def list_attempts(question: Annotated[AttemptsQuestion, Query()], accept: Accept = "") -> Response:
        """Attempts, ends without one (`kind` is `outcome`) and waits (`parked`), by the time at which they started."""
        return await lists.answer(ATTEMPTS, question, accept, ATTEMPT)

    @router.get("/rejections", **streamed(REJECTION))
    async def list_rejections(question: Annotated[RejectionsQuestion, Query()], accept: Accept = "") -> Response:
        """Refused requests."""
        return await lists.answer(REJECTIONS, question, accept, REJECTION)

    @router.get("/operations", **streamed(OPERATION))
    async def list_operations(question: Annotated[OperationsQuestion, Query()], accept: Accept = "") -> Response:
        """What happened to Hooklog itself: dead letters, refused records, subscriptions that fail or were disabled."""
        return await lists.answer(OPERATIONS, question, accept, OPERATION)


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

    @router.get("/deliveries/{delivery_id}", **found(DELIVERY_STORY))
    async def delivery(delivery_id: Id) -> Response:
        """A delivery with its attempts, and all that happened to it."""
        return json_of(
            await _found(readers, lambda client: read_delivery_timeline(client, delivery_id), f"delivery {delivery_id}")
        )

    @router.get("/rejections/{rejection_id}", **found(REJECTION | {"payload": "{}", "payload_encoding": "text"}))
    async def rejection(rejection_id: Id) -> Response:
        """A refused request, with the beginning of its body."""
        return json_of(
            await _found(readers, lambda client: _rejection(client, rejection_id), f"rejection {rejection_id}")
        )


class _Lists:
    def __init__(self, readers: Readers, streams: Readers, now_ms: Clock) -> None:
        self._readers = readers
        self._streams = streams
        self._now_ms = now_ms
        self._slots = Slots(MAX_STREAMED_LISTS, "lists")

    async def answer(self, listing: Listing, question: LogQuestion, accept: str, example: Document) -> Response:
        """A list in the form that is wanted; the example has the columns of CSV."""
        now_ms = self._now_ms()
        form = form_of(question.format, accept)
        start = start_of(listing.table, question, listing.key, now_ms)
        if form == "json":
            _require_page(question)
            page = await self._readers.run(lambda client: read_list(client, listing, question, start))
            return json_of(page_document(page, page.rows))
        pieces = Pieces(self._streams, listing, question, start, now_ms)
        columns = [*example, *_more_columns(question)]
        chunks = pieces.read(formed(form, columns, start, cursors=question.cursors))
        if form == "csv":
            chunks = _headed(csv_of(iter([columns])), chunks)
        return Streamed(chunks, MEDIA_TYPES[form], self._slots)


def _require_page(question: LogQuestion) -> None:
    if question.limit > MAX_LIMIT:
        message = f"a page has at most {MAX_LIMIT} rows; format=ndjson and format=csv have as many as there are"
        raise ProblemError(422, detail=f"limit: {message}", errors=[{"field": "query.limit", "message": message}])


def _more_columns(question: LogQuestion) -> list[str]:
    payload = ["payload", "payload_encoding"] if getattr(question, "payload", False) else []
    return [*payload, *(["cursor"] if question.cursors else [])]


async def _headed(header: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The header goes with the first chunk, so that what is refused by then is no answer that has begun."""
    yield header + await anext(chunks, b"")
    async for chunk in chunks:
        yield chunk


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


def json_of(document: Any, status: int = 200) -> Response:
    """An answer."""
    return Response(orjson.dumps(document), status, media_type="application/json")
