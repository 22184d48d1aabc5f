"""What happens, as it happens: server-sent events (WHATWG HTML, section 9.2) of the rows that the streams become."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Literal

import orjson
from aiokafka.errors import KafkaError
from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from projections.query.openapi import following
from projections.query.parameters import DELIVERY_STATES, DeliveryState, EventType, Filter
from projections.query.shown import Document
from projections.query.streamed import Slots, Streamed
from projections.query.tail_place import MAX_ID_CHARS, Place, decode_place, encode_place
from projections.query.tail_reader import Gap, TailReader
from projections.query.tail_rows import is_wanted, rows_of
from projections.writer.rows import StoredRecord
from schemas.streams import ATTEMPTS, DELIVERIES, EVENTS, OPERATIONS, REJECTIONS, Stream, StreamNames

MAX_WATCHERS = 8
"""Each reads the streams for itself: a record costs 40 µs, so two thousand a second a tenth of a core."""

MAX_WATCH_S = 900
"""Then it has to come again, so that a key that was revoked watches no longer than this."""

HEARTBEAT_S = 10.0
"""Less than proxies wait; it carries the place, so that what is skipped is not read again."""

RETRY_MS = 1_000
"""What a browser waits before it comes again."""

TailKind = Literal["events", "deliveries", "attempts", "rejections", "operations"]
_STREAMS: dict[TailKind, tuple[Stream, ...]] = {
    "events": (EVENTS,),
    "deliveries": (DELIVERIES, ATTEMPTS),
    "attempts": (ATTEMPTS,),
    "rejections": (REJECTIONS,),
    "operations": (OPERATIONS,),
}
_DEFAULT: list[TailKind] = ["events", "attempts", "rejections"]


class TailQuestion(BaseModel):
    """What a watcher can ask for."""

    model_config = ConfigDict(extra="forbid")

    kinds: list[TailKind] = Field(_DEFAULT, min_length=1, max_length=len(_STREAMS), description="What to tell of.")
    topic_id: Filter = None
    source_id: Filter = None
    subscription_id: Filter = None
    event_id: Filter = None
    delivery_id: Filter = None
    event_type: EventType = None
    status: list[DeliveryState] = Field(default_factory=list, max_length=len(DELIVERY_STATES))
    max_s: int = Field(MAX_WATCH_S, ge=1, le=MAX_WATCH_S, description="Seconds until the stream ends by itself.")
    last_event_id: str | None = Field(
        None, min_length=1, max_length=MAX_ID_CHARS, description="As the header, which goes before it."
    )


class Tail:
    """All watchers.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
    """

    def __init__(self, bootstrap: str, names: StreamNames) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._closed = asyncio.Event()
        self.slots = Slots(MAX_WATCHERS, "watchers")

    def close(self) -> None:
        """Ends what is sent to every watcher."""
        self._closed.set()

    async def watch(self, question: TailQuestion, last_id: str | None) -> AsyncIterator[bytes]:
        """What a watcher is sent.

        Raises:
            ProblemError: 400, the id is wrong; 503, Kafka does not answer.
        """
        streams = list({stream.name: stream for kind in question.kinds for stream in _STREAMS[kind]}.values())
        asked = None if last_id is None else decode_place(last_id, [stream.name for stream in streams])
        reader = TailReader(self._bootstrap, self._names, streams)
        try:
            place, gaps = await reader.begin(asked)
            yield b"retry: %d\n" % RETRY_MS + _message(place)
            for gap in gaps:
                yield _message(place, "gap", _gap(gap))
            async for message in self._messages(question, reader, place):
                yield message
            yield _message(place, "end", {})
        finally:
            await reader.stop()

    async def _messages(self, question: TailQuestion, reader: TailReader, place: Place) -> AsyncIterator[bytes]:
        ends_s = time.monotonic() + question.max_s
        beats_s = time.monotonic() + HEARTBEAT_S
        try:
            async for item in reader.records():
                now_s = time.monotonic()
                if self._closed.is_set() or now_s >= ends_s:
                    return
                if item is not None:
                    stream, record = item
                    if messages := b"".join(rows_told(question, place, stream, record)):
                        beats_s = now_s + HEARTBEAT_S
                        yield messages
                if now_s >= beats_s:
                    beats_s = now_s + HEARTBEAT_S
                    yield _message(place)
        except KafkaError:
            return  # what comes next has expired: whoever comes again is told of the gap


def rows_told(question: TailQuestion, place: Place, stream: str, record: StoredRecord) -> list[bytes]:
    """The messages of a record, each with the id to go on from after it; the place is moved behind the record."""
    partition, offset = record.partition, record.offset
    skipped = place.rows_told(stream, partition)
    # Numbered before they are chosen: whoever comes again may ask for other kinds.
    numbered = enumerate(rows_of(stream, record), 1)
    wanted = [
        (number, table, row)
        for number, (table, row) in numbered
        if number > skipped and table in question.kinds and is_wanted(row, question)
    ]
    messages = []
    for number, table, row in wanted:
        place.told_rows(stream, partition, number)
        if number == wanted[-1][0]:
            place.told(stream, partition, offset)
        messages.append(_message(place, table, row))
    place.told(stream, partition, offset)
    return messages


def _message(place: Place, event: str = "", data: Document | None = None) -> bytes:
    parts = [f"id: {encode_place(place)}\n"]
    if data is not None:
        parts.append(f"event: {event}\ndata: {orjson.dumps(data).decode()}\n")
    return "".join([*parts, "\n"]).encode()


def _gap(gap: Gap) -> Document:
    stream, partition, expected, then = gap
    return {"stream": stream, "partition": partition, "from": expected, "to": then, "reason": "records_expired"}


def tail_routes(tail: Tail) -> APIRouter:
    """`GET /api/v1/logs/tail`."""
    router = APIRouter(prefix="/api/v1/logs", tags=["logs"])

    @router.get("/tail", **following())
    async def watch_logs(
        question: Annotated[TailQuestion, Query()],
        last_event_id: Annotated[str | None, Header(min_length=1, max_length=MAX_ID_CHARS)] = None,
    ) -> Response:
        """What happens from now on, or from `Last-Event-ID` on, as server-sent events: each once, none left out.

        `event` is the kind and `data` the row as in its list, without its payload; fields that are not known yet are
        not there. Rows stand in Kafka, and so are told a moment before lists have them. `gap` says that records
        expired before they were told, `end` that it is time to come again with the last id.
        """
        chunks = tail.watch(question, last_event_id or question.last_event_id)
        return Streamed(chunks, "text/event-stream", tail.slots)

    return router
