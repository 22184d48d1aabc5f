"""Acts as the delay service does: releases each record when its time has come."""

from functools import partial

from rules.ladder import Ladder
from schemas.delivery import Delivery
from schemas.streams import Stream
from tests.simulation.clock import VirtualClock
from tests.simulation.streams import Broker, Log, Offsets, Stored

RESTART_MS = 5_000


class DelayModel:
    """One delay service for all streams.

    Args:
        clock: the time.
        broker: stores.
        logs: of every delay stream, by stream and partition.
        ladders: each with its own streams.
        deliveries: where due records go, by partition.
    """

    def __init__(
        self,
        clock: VirtualClock,
        broker: Broker,
        logs: dict[tuple[str, int], Log],
        ladders: tuple[Ladder, ...],
        deliveries: list[Log],
    ) -> None:
        self._clock = clock
        self._broker = broker
        self._logs = logs
        self._homes = {tier.name: (tier, ladder) for ladder in ladders for tier in ladder.tiers}
        self._deliveries = deliveries
        self._life = 0
        self._offsets: dict[tuple[str, int], Offsets] = {}
        self._begin()

    def kill(self) -> None:
        """Forgets everything, and begins again later."""
        self._life += 1
        for key, log in self._logs.items():
            self._offsets[key].closed = True
            log.on_record = None
        self._clock.after(RESTART_MS, partial(self._begin_again, self._life))

    def _begin_again(self, life: int) -> None:
        if life == self._life:
            self._begin()

    def _begin(self) -> None:
        for key, log in self._logs.items():
            self._offsets[key] = Offsets(log, self._clock)
            log.on_record = partial(self._read, self._life, key)
            for record in log.records[log.committed :]:
                self._read(self._life, key, record)

    def release_ms(self, ladder: Ladder, tier: Stream, record: Stored) -> float:
        """When a record leaves."""
        return ladder.release_ms(tier, record.appended_ms, record.value.due_ms)

    def _read(self, life: int, key: tuple[str, int], record: Stored) -> None:
        tier, ladder = self._homes[key[0]]
        self._clock.at(self.release_ms(ladder, tier, record), partial(self._release, life, key, record))

    def _release(self, life: int, key: tuple[str, int], record: Stored) -> None:
        if life != self._life:
            return
        delivery: Delivery = record.value
        remaining_ms = delivery.due_ms - self._clock.now_ms
        _, ladder = self._homes[key[0]]
        log = self._deliveries[key[1]]
        if remaining_ms > 0:
            tier = ladder.next_tier(remaining_ms)
            if tier is None:
                self._clock.at(delivery.due_ms, partial(self._release, life, key, record))
                return
            log = self._logs[tier.name, key[1]]
        self._broker.append(log, delivery, partial(self._released, life, key, record.offset))

    def _released(self, life: int, key: tuple[str, int], offset: int) -> None:
        if life == self._life:
            self._offsets[key].done(offset)
