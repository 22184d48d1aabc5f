"""Lists as streams: the same rows in every form, from any of them on, and nothing held for whoever does not read."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
from starlette.types import Message

from projections.query.streamed import Slots, Streamed
from runtime.problem import ProblemError
from tests.projections_fixture import Projections, projections
from tests.query_books import Books, stored_books

__all__ = ["projections"]

stack = pytest.mark.stack
LISTS = ["events", "deliveries", "attempts", "rejections", "operations"]


@pytest.fixture(scope="module")
def books(projections: Projections) -> Books:
    return stored_books(projections, seed=8, count=150)


def get(projections: Projections, path: str, expected: int = 200, /, accept: str = "", **parameters: Any) -> str:
    query = urlencode(parameters, doseq=True)
    status, body = projections.get(f"/api/v1/logs/{path}?{query}", headers={"Accept": accept} if accept else None)
    assert status == expected, (parameters, body)
    return body.decode()


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def pages(projections: Projections, path: str, **parameters: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = json.loads(get(projections, path, limit=500, **parameters, **cursor))
        rows += page["data"]
        if page["next_cursor"] is None:
            return rows
        cursor = {"cursor": page["next_cursor"]}


@stack
@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_list_has_the_same_rows_in_every_form(projections: Projections, books: Books, path: str, order: str) -> None:
    expected = pages(projections, path, order=order)
    assert len(expected) == len(getattr(books, path))
    assert lines(get(projections, path, format="ndjson", order=order)) == expected
    table = list(csv.DictReader(io.StringIO(get(projections, path, accept="text/csv", order=order), newline="")))
    assert [{name: text for name, text in row.items() if text} for row in table] == [
        {name: _cell(value) for name, value in row.items() if value is not None and value != ""} for row in expected
    ]


def _cell(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) if isinstance(value, bool | dict | list) else str(value)


@stack
@pytest.mark.parametrize("path", LISTS)
def test_a_stream_goes_on_from_any_row(projections: Projections, books: Books, path: str) -> None:
    assert books.events
    rows = lines(get(projections, path, format="ndjson", cursors="true"))
    plain = lines(get(projections, path, format="ndjson"))
    assert [{name: value for name, value in row.items() if name != "cursor"} for row in rows] == plain
    for place in (0, 7, len(rows) - 1):
        rest = lines(get(projections, path, format="ndjson", cursor=rows[place]["cursor"]))
        assert rest == plain[place + 1 :]
        page = json.loads(get(projections, path, cursor=rows[place]["cursor"], limit=3))["data"]
        assert page == plain[place + 1 : place + 4]
    assert lines(get(projections, path, format="ndjson", limit=5)) == plain[:5]
    for row in csv.DictReader(io.StringIO(get(projections, path, format="csv", cursors="true", limit=2), newline="")):
        plain.remove(lines(get(projections, path, format="ndjson", cursor=row["cursor"]))[0])
    assert len(plain) == len(rows) - 2


@stack
def test_a_stream_is_filtered_and_searched_and_has_payloads(projections: Projections, books: Books) -> None:
    some = books.events[3]
    (row,) = lines(get(projections, "events", format="ndjson", payload="true", field="/n=3"))
    assert (row["event_id"], row["payload"]) == (some.event_id, some.body.decode())
    table = get(projections, "events", format="csv", payload="true", field="/n=3")
    (cells,) = csv.DictReader(io.StringIO(table, newline=""))
    assert cells["payload"] == some.body.decode()
    assert get(projections, "events", format="ndjson", topic_id="none") == ""
    assert get(projections, "events", format="csv", topic_id="none").startswith("event_id,topic_id,")


@stack
def test_what_is_wrong_is_said_before_a_stream_begins(projections: Projections, books: Books) -> None:
    assert books.events
    for parameters in ({"limit": 501}, {"format": "xml"}, {"format": "csv", "limit": 0}):
        (error,) = json.loads(get(projections, "events", 422, **parameters))["errors"]
        assert error["field"] == f"query.{list(parameters)[-1]}"
    assert json.loads(get(projections, "events", 400, format="csv", cursor="x"))["code"] == "cursor_malformed"


class Reader:
    """The other side of an ASGI application: it leaves when it is told to, and may be slow."""

    def __init__(self, pause_s: float = 0.0) -> None:
        self.messages: list[Message] = []
        self.gone = asyncio.Event()
        self._pause_s = pause_s

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await asyncio.sleep(self._pause_s)
        self.messages.append(message)


class Chunks:
    """Chunks without an end, and whether anybody still waits for them."""

    def __init__(self) -> None:
        self.made = 0
        self.closed = False

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                self.made += 1
                yield b"x"
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def test_whoever_leaves_is_sent_nothing_more_and_gives_a_place_free() -> None:
    chunks, reader, slots = Chunks(), Reader(), Slots(1, "lists")
    sending = asyncio.create_task(Streamed(chunks(), "text/csv", slots)({}, reader.receive, reader.send))
    while not reader.messages:
        await asyncio.sleep(0)
    with pytest.raises(ProblemError) as full:
        await Streamed(Chunks()(), "text/csv", slots)({}, reader.receive, reader.send)
    assert (full.value.status, full.value.code) == (503, "too_many_streams")
    reader.gone.set()
    await asyncio.wait_for(sending, 5)
    assert (chunks.closed, slots.taken) == (True, 0)


async def test_whoever_does_not_read_is_cut_off() -> None:
    chunks, reader, slots = Chunks(), Reader(pause_s=60), Slots(1, "lists")
    with pytest.raises(TimeoutError):
        await Streamed(chunks(), "text/csv", slots, slow_s=0.05)({}, reader.receive, reader.send)
    assert (chunks.closed, chunks.made, slots.taken) == (True, 1, 0)


async def test_what_fails_before_the_first_chunk_has_sent_nothing() -> None:
    async def refuse() -> bytes:
        raise ProblemError(504)

    async def failing() -> AsyncIterator[bytes]:
        yield await refuse()

    reader, slots = Reader(), Slots(1, "lists")
    with pytest.raises(ProblemError):
        await Streamed(failing(), "text/csv", slots)({}, reader.receive, reader.send)
    assert (reader.messages, slots.taken) == ([], 0)
