"""Appends the records of one request together, and tells of each what came of it."""

import asyncio
import contextlib
from collections.abc import Iterable

from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from runtime.kafka import Appender, NotStoredError, Outgoing, RecordTooLargeError

NotAppended = NotStoredError | RecordTooLargeError


class BatchAppender(Appender):
    """An appender that also takes many records at once: one wait for all acks, not a task and a timer for each."""

    async def append_each(self, records: Iterable[Outgoing], *, timeout_s: float) -> list[NotAppended | None]:
        """Appends every record once, in order, and waits for the acks of all of them together.

        Args:
            records: drawn one by one as the producer has room, so that a generator needs no memory for all.
            timeout_s: from the first record to the last ack.

        Returns:
            For each record `None` when the broker has it, else what `append` would have raised.

        Raises:
            NotStoredError: the producer has not started.
        """
        producer = self._started()
        begun: list[asyncio.Future[RecordMetadata] | NotAppended | KafkaError] = []
        waiting = iter(records)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for record in waiting:
                    begun.append(_late(timeout_s))  # unless it is taken in time
                    begun[-1] = await self._taken(record)
                acks = [one for one in begun if isinstance(one, asyncio.Future)]
                if acks:
                    await asyncio.wait(acks)
        outcomes = [_outcome(one, timeout_s) for one in begun] + [_late(timeout_s) for _ in waiting]
        if any(isinstance(one, NotStoredError) and isinstance(one.__cause__, KafkaError) for one in outcomes):
            with contextlib.suppress(TimeoutError):  # whoever waits for the answer has waited long enough
                async with asyncio.timeout(timeout_s):
                    await self._renew(producer)
        return outcomes

    async def _taken(self, record: Outgoing) -> "asyncio.Future[RecordMetadata] | NotAppended | KafkaError":
        try:
            return await self.send(
                record.stream, record.value, key=record.key, headers=record.headers, partition=record.partition
            )
        except (RecordTooLargeError, KafkaError) as error:
            return error


def _outcome(
    begun: "asyncio.Future[RecordMetadata] | NotAppended | KafkaError", timeout_s: float
) -> NotAppended | None:
    if isinstance(begun, asyncio.Future):
        if not begun.done():
            begun.cancel()  # it may still be stored; nobody waits to hear of it
            return _late(timeout_s)
        if begun.cancelled():
            return _late(timeout_s)
        error = begun.exception()
        if error is None:
            return None
        begun = error if isinstance(error, KafkaError) else KafkaError(repr(error))
    if isinstance(begun, KafkaError):
        not_stored = NotStoredError(repr(begun))
        not_stored.__cause__ = begun
        return not_stored
    return begun


def _late(timeout_s: float) -> NotStoredError:
    return NotStoredError(f"no ack within {timeout_s:g} s")
