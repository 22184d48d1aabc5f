"""A clock that jumps from one action to the next."""

import heapq
import math
from collections.abc import Callable
from itertools import count

Action = Callable[[], None]

START_MS = 1_800_000_000_000


class BusyLoopError(AssertionError):
    """More happened than there is work."""


class VirtualClock:
    """Runs actions in the order of their times; those of one time in the order in which they were planned.

    Args:
        max_steps: how many may run.
    """

    def __init__(self, max_steps: int) -> None:
        self.now_ms = START_MS
        self.steps = 0
        self._max_steps = max_steps
        self._planned: list[tuple[int, int, Action]] = []
        self._numbers = count()

    def at(self, when_ms: float, action: Action) -> None:
        """Plans an action, at once when the time has passed."""
        heapq.heappush(self._planned, (max(math.ceil(when_ms), self.now_ms), next(self._numbers), action))

    def after(self, delay_ms: float, action: Action) -> None:
        """Plans an action."""
        self.at(self.now_ms + delay_ms, action)

    def run(self) -> None:
        """Runs until nothing is planned."""
        planned = self._planned
        while planned:
            self.now_ms, _, action = heapq.heappop(planned)
            self.steps += 1
            if self.steps > self._max_steps:
                raise BusyLoopError(f"more than {self._max_steps} steps")
            action()
