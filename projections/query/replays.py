"""Asks for replays, and tells how far they are.

The events are chosen here, once, and appended to the replays stream as the places where they stand, in chunks; the
replay itself comes last, so that there is either all of it or nothing. What follows needs no ClickHouse.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator

import orjson
import structlog

from projections.query.readers import Readers
from projections.query.replay_choice import PAYLOAD_EXPIRED, Choice, Chooser
from projections.query.replay_copies import Copier
from projections.query.replay_request import ReplayRequest, wrong
from projections.query.replay_selection import Selected, is_known
from projections.query.resend import DAY_MS
from projections.query.shown import Document, shown_row
from projections.query.stored_replays import StoredReplays
from runtime.clickhouse import Client
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from runtime.problem import ProblemError
from schemas.headers import rfc3339
from schemas.ids import derived_id, new_id, ulid_time_ms
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

MAX_RECENT = 1_000
"""Replays that can be asked about before the table has them."""

KNOWN_POLLS = 12
KNOWN_POLL_S = 0.25
"""A subscription that was made just now reaches the tables within a second; three are patience enough."""

APPEND_S = 10.0

MINUTE_MS = 60_000
_TIME_CHARS = 10
"""Of a ULID; the other 16 are its random part."""


class Replayer:
    """Makes replays and tells of them.

    Args:
        readers: tell of replays.
        stored: tells when they know of all.
        chooser: chooses events.
        appender: stores.
        now_ms: the clock, epoch milliseconds.
    """

    def __init__(
        self,
        readers: Readers,
        stored: StoredReplays,
        chooser: Chooser,
        appender: Appender,
        now_ms: Callable[[], int],
    ) -> None:
        self._readers = readers
        self._stored = stored
        self._chooser = chooser
        self._appender = appender
        self._now_ms = now_ms
        self._recent: OrderedDict[str, Document] = OrderedDict()
        self._one_with_a_key = asyncio.Lock()

    async def count(self, request: ReplayRequest) -> Document:
        """What a request would send, and to whom; nothing is stored.

        Raises:
            ProblemError: 422, a field is wrong, or too much is asked for; 503, Kafka does not answer.
        """
        choice = await self._choice(request)
        where = choice.where.shown() if choice.where else None
        return {"mode": request.chosen_mode, **choice.facts.shown(), "where": where}

    async def _choice(self, request: ReplayRequest) -> Choice:
        request.check()
        if request.to:
            await self._until_known(request.to)
        return await self._chooser.choose(request, self._now_ms())

    async def _until_known(self, subscription_id: str) -> None:
        for _ in range(KNOWN_POLLS):
            if await self._readers.run(lambda client: is_known(client, subscription_id)):
                return
            await asyncio.sleep(KNOWN_POLL_S)
        raise wrong("to", "there is no such subscription")

    async def make(self, request: ReplayRequest, requested_by: str, key: str | None) -> Document:
        """Stores a replay; returns when the broker has all of it.

        With an idempotency key a repetition within a day gives the replay that the first call made.

        Raises:
            ProblemError: 422, a field is wrong, too much is asked for, or the key was used for something else; 503,
                Kafka did not confirm.
        """
        if key is None:
            return await self._make(request, requested_by, new_id(), "")
        async with self._one_with_a_key:
            replay_id = keyed_id(key, self._now_ms())
            earlier = await self._earlier(replay_id)
            if earlier is None:
                return await self._make(request, requested_by, replay_id, new_id())
        if earlier["asked"] != _asked(request):
            detail = "the Idempotency-Key was used for another request within a day"
            raise ProblemError(422, "idempotency_key_reused", detail)
        return earlier

    async def _earlier(self, replay_id: str) -> Document | None:
        """The replay that a request with the same key has made."""
        recent = next((one for one in reversed(self._recent) if same_key(one, replay_id)), None)
        since_ms = self._now_ms() - DAY_MS
        if recent is not None and (ulid_time_ms(recent) or 0) >= since_ms:
            return await self.one(recent)
        row = await self._readers.run(lambda client: _keyed_row(client, replay_id, since_ms))
        if row is None:  # it may be in Kafka, and whoever made it may have been killed before an answer
            await self._stored.until_all()
            row = await self._readers.run(lambda client: _keyed_row(client, replay_id, since_ms))
        return shown_replay(row) if row else None

    async def _make(self, request: ReplayRequest, requested_by: str, replay_id: str, chosen_by: str) -> Document:
        choice = await self._choice(request)
        copier = Copier(self._chooser.readers, self._appender, replay_id, choice.log)
        items, skipped = 0, Counter[str]()
        async for page in self._chooser.pages(choice):
            reasons = [choice.reason(one) for one in page]
            skipped.update(reason for reason in reasons if reason)
            found, lost = await copier.placed([one for one, reason in zip(page, reasons, strict=True) if not reason])
            skipped[PAYLOAD_EXPIRED] += lost
            for chunk in chunks_of(replay_id, found, chosen_by):
                await self._append(chunk)
            items += len(found)
        replay = Replay(
            replay_id=replay_id,
            asked=_asked(request),
            requested_by=requested_by,
            rate_per_s=request.rate_per_s,
            new_id=request.new_id,
            total=items + skipped.total(),
            items=items,
            skipped=dict(+skipped),
            updated_ms=self._now_ms(),
            choice=chosen_by,
        )
        await self._append(replay)
        log.info("replay_asked", replay_id=replay_id, total=replay.total, requested_by=requested_by)
        return self._remember(_document_of(replay))

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


def keyed_id(key: str, now_ms: int) -> str:
    """The id of the replay that an idempotency key makes in this minute: whoever else makes it now, makes the same."""
    return derived_id(now_ms // MINUTE_MS * MINUTE_MS, "replay", key)


def same_key(replay_id: str, keyed: str) -> bool:
    """Whether two replays were made with the same key: all but the time in their ids is a hash of it."""
    return replay_id[_TIME_CHARS:] == keyed[_TIME_CHARS:]


def _asked(request: ReplayRequest) -> Document:
    return request.model_dump(mode="json", exclude_defaults=True) | {"mode": request.chosen_mode}


def chunks_of(replay_id: str, selected: list[Selected], choice: str = "") -> Iterator[Chunk]:
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
        yield Chunk(replay_id=replay_id, destinations=list(places), items=items, choice=choice)


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


def _keyed_row(client: Client, keyed: str, since_ms: int) -> Document | None:
    found = client.query(
        "SELECT * FROM replays FINAL WHERE created_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')"
        " AND substring(replay_id, {begin:UInt8}) = {hash:String} ORDER BY created_at LIMIT 1",
        parameters={"since": since_ms, "begin": _TIME_CHARS + 1, "hash": keyed[_TIME_CHARS:]},
    )
    return next(iter(found.named_results()), None)
