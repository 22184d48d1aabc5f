"""Acknowledges records one by one, in any order, and lets only the finished prefix be committed."""

from collections import deque

import msgspec
from aiokafka import ConsumerRecord
from faust.types import TP

from processors.batchfed.app import BatchApp
from processors.batchfed.consumer import Batch

Key = tuple[TP, int]
"""A partition in one assignment."""


class Token(msgspec.Struct, eq=False):
    """A record that is being worked on.

    Attributes:
        key: the partition, and the number of the assignment it was read in.
    """

    key: Key
    offset: int
    done: bool = False

    @property
    def partition(self) -> int:
        """The partition number."""
        return int(self.key[0].partition)

    @property
    def assignment(self) -> int:
        """The number of the assignment."""
        return self.key[1]


Work = list[tuple[Token, ConsumerRecord]]


class BatchAcker:
    """The unfinished records of one agent.

    Args:
        app: whose consumer is told what is finished.
    """

    def __init__(self, app: BatchApp) -> None:
        self._app = app
        self._queues: dict[Key, deque[Token]] = {}
        self._next: dict[Key, int] = {}
        self.rewinds = 0

    async def open(self, tp: TP, assignment: int, batch: Batch) -> Work:
        """The records to work on, each with its token; none of a batch that will come again.

        Every record is queued before the first is worked on: an agent that crashes in between leaves them unacked.
        """
        key = (tp, assignment)
        wanted = self._next.get(key)
        if wanted is None:
            wanted = self._app.consumer.start_of(tp)
        if batch.start != wanted or assignment != self._app.consumer_generation_id:
            if wanted is not None and batch.start > wanted:
                self.rewinds += 1
                await self._app.consumer.rewind(tp, assignment, wanted)
            return []
        tokens = [Token(key, record.offset) for record in batch]
        self._queue(key).extend(tokens)
        self._next[key] = batch[-1].offset + 1
        return list(zip(tokens, batch, strict=True))

    def done(self, token: Token) -> None:
        """The record is finished: everything that follows from it is stored."""
        token.done = True
        queue = self._queues.get(token.key)
        finished = None
        while queue and queue[0].done:
            finished = queue.popleft().offset
        if finished is not None:
            self._app.consumer.mark(*token.key, finished + 1)

    def unfinished(self) -> int:
        """How many records of this assignment are not finished."""
        current = self._app.consumer_generation_id
        return sum(len(queue) for (_, number), queue in self._queues.items() if number == current)

    def _queue(self, key: Key) -> deque[Token]:
        queue = self._queues.get(key)
        if queue is None:
            for old in [other for other in self._queues if other[1] != key[1]]:
                del self._queues[old]  # read again by the next owner, maybe this worker
                self._next.pop(old, None)
            queue = self._queues[key] = deque()
        return queue
