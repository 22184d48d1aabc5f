"""Makes events of the items of a batch: all of them appended together, each with an outcome of its own."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from ingest.accept import ACK_DEADLINE_S, Acceptor
from ingest.contents import Several
from ingest.event_making import Common
from ingest.received import Received
from ingest.reception import Reception
from ingest.waiting import WaitingEvents
from rules.told import Item
from runtime.batch_appender import BatchAppender, NotAppended
from runtime.kafka import NotStoredError, Outgoing
from runtime.problem import ProblemError
from schemas.event import Event, encode_event
from schemas.streams import EVENTS

QUEUED, REFUSED, NOT_STORED = "QUEUED", "REFUSED", "NOT_STORED"

MAX_BUSY_S = 0.01
"""Then others have a turn: making 500 events takes about as long, unless a schema is held against each."""

_HTTP = {QUEUED: 202, NOT_STORED: 503}
_REFUSED_HTTP = {"too_large": 413, "schema_mismatch": 422, "event_type_unknown": 422}

_Made = tuple[Event, str]  # and the key of its record


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item.

    Attributes:
        status: `QUEUED`, `REFUSED` (sending it again is in vain) or `NOT_STORED` (send it again).
        event: of an item that is stored.
        code: why it is not, stable; empty when it is.
        detail: the same for people.
        duplicate: whether it is known to repeat another event.
    """

    item: Item
    status: str
    event: Event | None = None
    code: str = ""
    detail: str = ""
    duplicate: bool = False

    @property
    def http_status(self) -> int:
        """What the item alone would have been answered."""
        return _HTTP.get(self.status) or _REFUSED_HTTP.get(self.code, 400)


class BatchAcceptor:
    """Accepts batches.

    Args:
        appender: stores events.
        acceptor: makes events of items.
        waiting: counts the events that wait for their ack.
    """

    def __init__(self, appender: BatchAppender, acceptor: Acceptor, waiting: WaitingEvents) -> None:
        self._appender = appender
        self._acceptor = acceptor
        self._waiting = waiting

    async def accept(self, reception: Reception, received: Received, several: Several) -> list[Outcome]:
        """What came of each item, in order; the request was verified as a whole.

        Raises:
            ProblemError: 503, too many events wait for Kafka; nothing of it is stored.
        """
        made = await self._made(reception, received, several)
        events = [one for one in made if not isinstance(one, Outcome)]
        errors = iter(await self._append(events))
        return [
            one if isinstance(one, Outcome) else self._outcome(item, one, next(errors))
            for item, one in zip(several.items, made, strict=True)
        ]

    async def _made(self, reception: Reception, received: Received, several: Several) -> list[Outcome | _Made]:
        made = await self._made_by(reception, received, several)
        if any(isinstance(one, Outcome) and not one.item.fault for one in made):
            # A schema may have been changed a moment ago: refuse only by the newest.
            newest = await self._acceptor.newest(reception, received)
            if newest is not None:
                return await self._made_by(reception, newest, several)
        return made

    async def _made_by(self, reception: Reception, received: Received, several: Several) -> list[Outcome | _Made]:
        common = Common.of(reception, several.content_type)

        def event(index: int, item: Item) -> Outcome | _Made:
            if item.fault:
                return Outcome(item, REFUSED, code=item.fault_code, detail=item.fault)
            try:
                return self._acceptor.event_of(reception, received, item, common, _among(index, item))
            except ProblemError as problem:
                return Outcome(item, REFUSED, code=problem.code, detail=problem.detail)

        made, began_s = [], time.monotonic()
        for index, item in enumerate(several.items):
            made.append(event(index, item))
            if time.monotonic() - began_s > MAX_BUSY_S:
                await asyncio.sleep(0)  # a schema may ask for much, and others wait
                began_s = time.monotonic()
        return made

    async def _append(self, made: Sequence[_Made]) -> Sequence[NotAppended | None]:
        self._waiting.enter(len(made))
        try:
            return await self._appender.append_each(_records(made), timeout_s=ACK_DEADLINE_S)
        except NotStoredError as error:
            return [error] * len(made)
        finally:
            self._waiting.leave(len(made))

    def _outcome(self, item: Item, made: _Made, error: NotAppended | None) -> Outcome:
        event, key = made
        if error is None:
            return Outcome(item, QUEUED, event, duplicate=self._acceptor.recent.repeats(event, key))
        if isinstance(error, NotStoredError):
            # Although it may be stored: the sender's next try has the same dedup id.
            return Outcome(item, NOT_STORED, code="not_stored", detail="Kafka has not confirmed it; send it again")
        return Outcome(item, REFUSED, code="too_large", detail="it is too large for one record with the headers")


def _records(made: Sequence[_Made]) -> Iterator[Outgoing]:
    for event, key in made:
        yield Outgoing(EVENTS, event.body, key.encode(), encode_event(event))


def _among(index: int, item: Item) -> str:
    # The place alone would not do: of a batch that is sent again without what was stored, each item has another, and
    # would be taken for a repetition of what stood there before. Nor the bytes alone: two equal items are two events.
    return f"{index} {blake2b(item.body, digest_size=16).hexdigest()}"
