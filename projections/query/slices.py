"""A whole list, piece by piece: each piece is one short query, so that nothing is held while a reader is slow.

One query over everything would sort everything before the first row. A piece looks at a slice of time that holds about
as many rows as it takes, by what the piece before it found, so that a million rows cost a million rows, and not their
number times the number of pieces.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from clickhouse_connect.driver.exceptions import DatabaseError

from projections.query.cursor import Key
from projections.query.listing import Listing, Page, Start
from projections.query.log_lists import read_list
from projections.query.parameters import LogQuestion
from projections.query.readers import Readers
from projections.query.span import Span
from runtime.clickhouse import Client

PIECE_ROWS = 5_000
"""About 3 MB and a tenth of a second."""

PAYLOAD_ROWS = 250
"""Of rows with bodies of a MiB at most, most of which have a few KB."""

TOO_MUCH = frozenset({158, 241, 396})
"""Codes of ClickHouse for a piece that is too large: a smaller one is asked for."""

FIRST_WIDTH_MS = 600_000
MIN_WIDTH_MS = 1_000
GROWTH = 4


@dataclass(frozen=True, slots=True)
class Slice:
    """Where the next piece is looked for.

    Attributes:
        whole: all that the list is about.
        descending: whether the newest come first.
        now_ms: beyond it there are few rows: a slice that reaches it has no end of its own.
        key: of the last row, or of the cursor.
        edge_ms: what is read begins there; newest first, just before it. `None` is an end that is open.
        width_ms: how far it goes.
    """

    whole: Span
    descending: bool
    now_ms: int
    key: Key | None
    edge_ms: int | None
    width_ms: int = FIRST_WIDTH_MS

    @property
    def span(self) -> Span:
        """What to read."""
        if self.descending:
            return Span(max(self.whole.since_ms, self._edge_ms - self.width_ms), self.edge_ms)
        until_ms = self._edge_ms + self.width_ms
        reaches_end = until_ms >= (self.now_ms if self.whole.until_ms is None else self.whole.until_ms)
        return Span(self._edge_ms, self.whole.until_ms if reaches_end else until_ms)

    @property
    def last(self) -> bool:
        """Whether nothing is left beyond it."""
        if self.descending:
            return self.span.since_ms == self.whole.since_ms
        return self.span.until_ms == self.whole.until_ms

    @property
    def _edge_ms(self) -> int:
        return self.now_ms if self.edge_ms is None else self.edge_ms

    def after(self, key: Key) -> "Slice":
        """The next one, when there were more rows than were taken, and this is the key of the last."""
        width_ms = max(MIN_WIDTH_MS, 2 * abs(int(key[0]) - self._edge_ms))
        return replace(self, key=key, edge_ms=self._edge_at(key), width_ms=width_ms)

    def beyond(self) -> "Slice":
        """The next one, when all of this one was taken."""
        edge_ms = self.span.since_ms if self.descending else self.span.until_ms
        return replace(self, edge_ms=edge_ms, width_ms=self.width_ms * GROWTH)

    def _edge_at(self, key: Key) -> int:
        # Rows of the same millisecond may come after it: the key itself tells which.
        return int(key[0]) + (1 if self.descending else 0)


def first_slice(start: Start, *, descending: bool, now_ms: int) -> Slice:
    """Where a list begins."""
    edge_ms = start.span.until_ms if descending else start.span.since_ms
    whole = Slice(start.span, descending, now_ms, start.key, edge_ms)
    return whole if start.key is None else replace(whole.after(start.key), width_ms=FIRST_WIDTH_MS)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Reads them.

    Attributes:
        readers: whose threads they take, one piece at a time.
        listing: which list.
        question: as asked.
        start: where it begins.
        now_ms: epoch milliseconds.
    """

    readers: Readers
    listing: Listing
    question: LogQuestion
    start: Start
    now_ms: int

    async def read(self, form: Callable[[Page], bytes]) -> AsyncIterator[bytes]:
        """The pieces in their form, which is made in the thread that read it.

        Raises:
            ClickHouseError: ClickHouse refuses or does not answer.
        """
        left = self.question.limit if "limit" in self.question.model_fields_set else None
        rows = PAYLOAD_ROWS if getattr(self.question, "payload", False) else PIECE_ROWS
        place: Slice | None = first_slice(self.start, descending=self.question.order == "desc", now_ms=self.now_ms)
        while place is not None and left != 0:
            wanted = rows if left is None else min(rows, left)
            try:
                page, piece = await self._piece(place, wanted, form)
            except DatabaseError as error:
                if error.code not in TOO_MUCH or rows == 1:
                    raise
                rows = max(1, wanted // GROWTH)
                continue
            left = None if left is None else left - len(page.rows)
            if page.rows:
                yield piece
            place = _next(place, page)

    async def _piece(self, place: Slice, rows: int, form: Callable[[Page], bytes]) -> tuple[Page, bytes]:
        question = self.question.model_copy(update={"limit": rows})
        start = Start(self.start.question, place.span, place.key)

        def read(client: Client) -> tuple[Page, bytes]:
            page = read_list(client, self.listing, question, start)
            return page, form(page)

        return await self.readers.run(read)


def _next(place: Slice, page: Page) -> Slice | None:
    if page.next_cursor is not None:
        return place.after(page.keys[-1])
    return None if place.last else place.beyond()
