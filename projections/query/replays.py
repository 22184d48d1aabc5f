"""Asks for replays, and tells how far they are.

The events are chosen here, once, and appended to the replays stream as the places where they stand, in chunks; the
replay itself comes last, so that there is either all of it or nothing. What follows needs no ClickHouse.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial

import orjson
import structlog

from projections.query.readers import Readers
from projections.query.replay_request import ReplayRequest, wrong
from projections.query.replay_selection import (
    PAGE_ROWS,
    Selected,
    Selection,
    count_selected,
    is_known,
    read_selected,
    selection_of,
)
from projections.query.shown import Document, shown_row
from runtime.clickhouse import Client
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from runtime.problem import ProblemError
from schemas.headers import rfc3339
from schemas.ids import new_id, ulid_time_ms
from schemas.replay import (
    CHUNK_ITEMS,
    Cancel,
    Chunk,
    Destination,
    Item,
    Replay,
    ReplayRecord,
    ReplayState,
    encode_replay_record,
)
from schemas.streams import REPLAYS

log = structlog.get_logger(__name__)

MAX_ITEMS = 500_000
"""Of one replay: whoever asks waits while they are chosen, and a command waits for 30 seconds at most."""

MAX_RECENT = 1_000
"""Replays that can be asked about before the table has them."""

KNOWN_POLLS = 12
KNOWN_POLL_S = 0.25
"""A subscription that was made just now reaches the tables within a second; three are patience enough."""

APPEND_S = 10.0

EVENT_UNKNOWN = "event_unknown"


class Replayer:
    """Makes replays and tells of them.

    Args:
        readers: tell of replays.
        choosers: choose events, apart, because a million take seconds.
        appender: stores.
        now_ms: the clock, epoch milliseconds.
    """

    def __init__(self, readers: Readers, choosers: Readers, appender: Appender, now_ms: Callable[[], int]) -> None:
        self._readers = readers
        self._choosers = choosers
        self._appender = appender
        self._now_ms = now_ms
        self._recent: OrderedDict[str, Document] = OrderedDict()

    async def count(self, request: ReplayRequest) -> Document:
        """What a request would send, by subscription.

        Raises:
            ProblemError: 422, a field is wrong, or too much is asked for.
        """
        selection = self._selection(request)
        if request.to:
            await self._until_known(request.to)
        by_subscription = await self._choosers.run(lambda client: count_selected(client, selection))
        total = sum(by_subscription.values())
        if total > MAX_ITEMS:
            raise wrong("since", f"{total} deliveries match, and one replay has at most {MAX_ITEMS}: narrow it")
        return {"mode": request.chosen_mode, "total": total, "subscriptions": by_subscription}

    async def _until_known(self, subscription_id: str) -> None:
        for _ in range(KNOWN_POLLS):
            if await self._readers.run(lambda client: is_known(client, subscription_id)):
                return
            await asyncio.sleep(KNOWN_POLL_S)
        raise wrong("to", "there is no such subscription")

    async def make(self, request: ReplayRequest, requested_by: str) -> Document:
        """Stores a replay; returns when the broker has all of it.

        Raises:
            ProblemError: 422, a field is wrong, or too much is asked for; 503, Kafka did not confirm.
        """
        await self.count(request)
        selection, replay_id = self._selection(request), new_id()
        items, unknown = 0, 0
        async for page in self._pages(selection):
            found = [one for one in page if one.partition >= 0]
            for chunk in chunks_of(replay_id, found):
                await self._append(chunk)
            items, unknown = items + len(found), unknown + len(page) - len(found)
        replay = Replay(
            replay_id=replay_id,
            asked=request.model_dump(mode="json", exclude_defaults=True) | {"mode": request.chosen_mode},
            requested_by=requested_by,
            rate_per_s=request.rate_per_s,
            new_id=request.new_id,
            total=items + unknown,
            items=items,
            skipped={EVENT_UNKNOWN: unknown} if unknown else {},
            updated_ms=self._now_ms(),
        )
        await self._append(replay)
        log.info("replay_asked", replay_id=replay_id, total=replay.total, requested_by=requested_by)
        return self._remember(_document_of(replay))

    async def _pages(self, selection: Selection) -> AsyncIterator[list[Selected]]:
        last: Selected | None = None
        while True:
            page = await self._choosers.run(partial(read_selected, selection=selection, last=last))
            if page:
                yield page
                last = page[-1]
            if len(page) < PAGE_ROWS:
                return

    async def one(self, replay_id: str) -> Document:
        """A replay, and how far it is.

        Raises:
            ProblemError: 404, there is none.
        """
        row = await self._readers.run(lambda client: _row(client, replay_id))
        document = shown_replay(row) if row else self._recent.get(replay_id)
        if document is None:
            raise ProblemError(404, detail=f"there is no replay {replay_id}")
        return document

    async def cancel(self, replay_id: str, requested_by: str) -> Document:
        """Asks that a replay ends; what was sent by then stays sent.

        Raises:
            ProblemError: 404, there is none; 409, it has ended; 503, Kafka did not confirm.
        """
        document = await self.one(replay_id)
        if ReplayState(document["state"]).ended:
            raise ProblemError(409, "replay_ended", f"the replay is {document['state']}")
        await self._append(Cancel(replay_id=replay_id, requested_by=requested_by, at_ms=self._now_ms()))
        return document

    def _selection(self, request: ReplayRequest) -> Selection:
        request.check()
        return selection_of(request, request.span(self._now_ms()))

    async def _append(self, record: ReplayRecord) -> None:
        try:
            await self._appender.append(
                REPLAYS, encode_replay_record(record), key=record.replay_id.encode(), timeout_s=APPEND_S
            )
        except NotStoredError as error:
            detail = "Kafka did not confirm; look into the list of replays before you ask again"
            raise ProblemError(503, detail=detail, headers={"Retry-After": "5"}) from error
        except RecordTooLargeError as error:
            raise ProblemError(413, detail=str(error)) from error

    def _remember(self, document: Document) -> Document:
        self._recent[document["replay_id"]] = document
        while len(self._recent) > MAX_RECENT:
            self._recent.popitem(last=False)
        return document


def chunks_of(replay_id: str, selected: list[Selected]) -> Iterator[Chunk]:
    """Records of at most `CHUNK_ITEMS` items each."""
    for begin in range(0, len(selected), CHUNK_ITEMS):
        some = selected[begin : begin + CHUNK_ITEMS]
        places: dict[Destination, int] = {}
        items = [
            Item(
                one.partition,
                one.offset,
                one.event_id,
                places.setdefault(Destination(one.subscription_id, one.generation), len(places)),
            )
            for one in some
        ]
        yield Chunk(replay_id=replay_id, destinations=list(places), items=items)


def shown_replay(row: Document) -> Document:
    """A row of the table as it is shown."""
    document = shown_row(row)
    document["asked"] = orjson.loads(document["asked"])
    return document | _progress(document["total"], document["sent"], document["skipped"].values())


def _document_of(replay: Replay) -> Document:
    return {
        "replay_id": replay.replay_id,
        "created_at": rfc3339(ulid_time_ms(replay.replay_id) or 0),
        "updated_at": rfc3339(replay.updated_ms),
        "state": replay.state,
        "asked": replay.asked,
        "requested_by": replay.requested_by,
        "rate_per_s": replay.rate_per_s,
        "new_id": replay.new_id,
        "total": replay.total,
        "sent": replay.sent,
        "skipped": replay.skipped,
    } | _progress(replay.total, replay.sent, replay.skipped.values())


def _progress(total: int, sent: int, skipped: Iterable[int]) -> Document:
    return {"progress": round((sent + sum(skipped)) / total, 4) if total else 1.0}


def _row(client: Client, replay_id: str) -> Document | None:
    found = client.query(
        "SELECT * FROM replays FINAL WHERE replay_id = {id:String} LIMIT 1", parameters={"id": replay_id}
    )
    return next(iter(found.named_results()), None)
