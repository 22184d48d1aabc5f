"""The large bodies, which do not travel with their deliveries: read where the event stands, when an attempt starts.

All attempts of one event that start meanwhile share one reading and one copy. A delivery that waits holds none.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from runtime.positions import PositionReader, RecordGoneError
from schemas.delivery import BodyRef, Delivery
from schemas.streams import MAX_RECORD_BYTES

log = structlog.get_logger(__name__)

MAX_BYTES = 33_554_432
"""32 MiB twice: of bodies in memory, those that nobody uses any more included; and of attempts under way, each counted
with its whole body, because a connection may hold a copy of its own until the endpoint has read it. Sixteen of the
largest that there can be, so that with many slow endpoints one of a moderate size still finds room."""


@dataclass(slots=True, eq=False)
class _Body:
    ref: BodyRef
    reading: "asyncio.Task[bytes | None]"
    users: int = 0


@dataclass(slots=True, eq=False)
class _Waiting:
    size_bytes: int
    lane: str
    turn: "asyncio.Future[None]"


class Bodies:
    """Reads, shares and bounds them.

    The attempts of a subscription may take as much as is free (as in `lanes`), so that slow endpoints leave room.

    Args:
        reader: of the events stream.
        max_bytes: of bodies in memory, and of attempts under way; at least one record.
    """

    def __init__(self, reader: PositionReader, max_bytes: int = MAX_BYTES) -> None:
        self._reader = reader
        self._max_bytes = max(max_bytes, MAX_RECORD_BYTES)  # what never fits would wait for ever, and all behind it
        self._used: dict[BodyRef, _Body] = {}
        self._unused: OrderedDict[BodyRef, _Body] = OrderedDict()  # least recently used first
        self._lane_bytes: Counter[str] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self.held_bytes = 0
        self.under_way_bytes = 0
        self.reads = 0

    async def start(self) -> None:
        """Connects."""
        await self._reader.start()

    async def stop(self) -> None:
        """Disconnects."""
        await self._reader.stop()

    @property
    def running(self) -> bool:
        """Whether its reader lives."""
        return self._reader.running

    @contextlib.asynccontextmanager
    async def of(self, delivery: Delivery) -> AsyncIterator[Delivery | None]:
        """The delivery with its body, for as long as an attempt takes; waits for room, and for a broker that is away.

        Yields:
            `None` when nobody has the body any more.
        """
        ref = delivery.body_ref
        if ref is None:
            yield delivery
            return
        async with self._room(ref.size_bytes, delivery.subscription_id):
            body = self._take(ref)
            try:
                found = await asyncio.shield(body.reading)
                yield None if found is None else delivery.with_body(found)
            finally:
                self._leave(body)

    # room

    @contextlib.asynccontextmanager
    async def _room(self, size_bytes: int, lane: str) -> AsyncIterator[None]:
        place = _Waiting(size_bytes, lane, asyncio.get_running_loop().create_future())
        self._waiting.append(place)
        self._let_in()
        try:
            await place.turn
            yield
        finally:
            if place in self._waiting:  # cancelled before its turn
                self._waiting.remove(place)
            else:
                self.under_way_bytes -= size_bytes
                self._lane_bytes[lane] -= size_bytes
                if not self._lane_bytes[lane]:
                    del self._lane_bytes[lane]
            self._let_in()

    def _let_in(self) -> None:
        """In the order in which they came; a lane that has its share is passed over, too large a body is not."""
        for place in list(self._waiting):
            free_bytes = self._max_bytes - self.under_way_bytes
            if self._lane_bytes[place.lane] >= free_bytes > 0:
                continue
            if place.size_bytes > free_bytes:
                return
            self._waiting.remove(place)
            self.under_way_bytes += place.size_bytes
            self._lane_bytes[place.lane] += place.size_bytes
            if not place.turn.done():
                place.turn.set_result(None)

    # bodies

    def _take(self, ref: BodyRef) -> _Body:
        body = self._used.get(ref) or self._unused.pop(ref, None)
        if body is None:
            body = _Body(ref, asyncio.create_task(self._read(ref)))
            self.held_bytes += ref.size_bytes
            while self.held_bytes > self._max_bytes and self._unused:
                evicted, _ = self._unused.popitem(last=False)
                self.held_bytes -= evicted.size_bytes
        self._used[ref] = body
        body.users += 1
        return body

    def _leave(self, body: _Body) -> None:
        body.users -= 1
        if body.users:
            return
        del self._used[body.ref]
        if _has_bytes(body.reading):
            self._unused[body.ref] = body
        else:
            body.reading.cancel()
            self.held_bytes -= body.ref.size_bytes

    async def _read(self, ref: BodyRef) -> bytes | None:
        self.reads += 1
        try:
            body = await self._reader.value_at(ref.partition, ref.offset)
        except RecordGoneError as error:
            log.warning("body_gone", error=str(error))
            return None
        if not ref.is_of(body):
            log.warning("body_is_another", partition=ref.partition, offset=ref.offset)
            return None
        return body


def _has_bytes(reading: "asyncio.Task[bytes | None]") -> bool:
    over = reading.done() and not reading.cancelled()
    return over and reading.exception() is None and reading.result() is not None
