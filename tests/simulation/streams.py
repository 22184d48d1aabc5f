"""Streams as Kafka keeps them: ordered, stored before they are acknowledged, read from a committed offset."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.simulation.clock import Action, VirtualClock

ACK_MS = 4
COMMIT_MS = 1_000


class Stored(NamedTuple):
    """A record with its place."""

    offset: int
    appended_ms: int
    value: Any


@dataclass(eq=False)
class Log:
    """One partition of one stream, and how far its one group has read it."""

    name: str
    records: list[Stored] = field(default_factory=list)
    committed: int = 0
    on_record: Callable[[Stored], None] | None = None


class Broker:
    """Stores records.

    Args:
        clock: the time.
        on_stored: told how many records there are after each.
    """

    def __init__(self, clock: VirtualClock, on_stored: Callable[[int], None]) -> None:
        self._clock = clock
        self._on_stored = on_stored
        self._count = 0

    def append(self, log: Log, value: Any, then: Action) -> None:
        """Stores a record at once; `then` runs when that is acknowledged."""
        record = Stored(len(log.records), self._clock.now_ms, value)
        log.records.append(record)
        self._clock.after(ACK_MS, then)
        self._count += 1
        self._on_stored(self._count)
        if log.on_record is not None:
            log.on_record(record)


class Offsets:
    """What of a log is done, committed now and then.

    Args:
        log: that is read.
        clock: the time.
    """

    def __init__(self, log: Log, clock: VirtualClock) -> None:
        self._log = log
        self._clock = clock
        self._next = log.committed
        self._done: set[int] = set()
        self._planned = False
        self.closed = False

    def done(self, offset: int) -> None:
        """One record needs nothing any more."""
        self._done.add(offset)
        while self._next in self._done:
            self._done.remove(self._next)
            self._next += 1
        if not self._planned:
            self._planned = True
            self._clock.after(COMMIT_MS, self.commit)

    def commit(self) -> None:
        """Commits, unless the log belongs to another one now."""
        self._planned = False
        if not self.closed:
            self._log.committed = self._next
