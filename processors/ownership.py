"""Whether this worker may act on a partition: nothing new starts once somebody else may own it."""

import asyncio
import time
from collections.abc import Callable

from processors.batchfed.app import BatchApp

SAFE_SESSION_SHARE = 0.8
"""The group gives our partitions away one session after our last heartbeat; we stop some time before that."""

_POLL_S = 0.05


class Ownership:
    """What this worker's place in the group allows.

    Args:
        app: whose assignments are meant.
        session_timeout_s: the group's session.
        monotonic_s: the clock.
    """

    def __init__(
        self, app: BatchApp, session_timeout_s: float, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._safe_s = session_timeout_s * SAFE_SESSION_SHARE
        self._monotonic_s = monotonic_s
        self._since_s = monotonic_s()
        self._fenced = 0

    def holds(self, assignment: int) -> bool:
        """Whether an assignment is the current one and was not revoked."""
        return bool(self._fenced < assignment == self._app.consumer_generation_id)

    def fence(self) -> None:
        """Nothing of the assignments up to now may start any more."""
        self._fenced = self._app.consumer_generation_id

    def certain(self) -> bool:
        """Whether the group cannot have given our partitions away yet."""
        beat_s: float = self._app.consumer.last_beat_s
        return self._monotonic_s() - beat_s < self._safe_s

    async def settled(self, assignment: int) -> bool:
        """Waits until it is certain, or known to be over; whether an assignment is still held then."""
        while self.holds(assignment) and not self.certain():
            await asyncio.sleep(_POLL_S)
        return self.holds(assignment)

    async def replaced(self, assignment: int) -> bool:
        """Whether others got an assignment while this worker was silent for long, as after a pause of its machine."""
        return not self.certain() and not await self.settled(assignment)

    def silent_s(self) -> float:
        """How long ago the last good heartbeat was sent, or, before the first one, how long ago we began."""
        beat_s: float = self._app.consumer.last_beat_s
        return self._monotonic_s() - max(beat_s, self._since_s)
