"""How many events may wait for Kafka at once: who comes later is told at once, not when its own patience ends."""

from runtime.problem import ProblemError

MAX_WAITING_EVENTS = 3_000
"""Three quarters of the connections, so that the others get an answer. At an ack of 5 ms it is 600,000 events a second:
only a Kafka that is slow or gone comes here."""


class WaitingEvents:
    """Counts them.

    Args:
        max_count: how many there may be.

    Attributes:
        count: how many there are.
    """

    def __init__(self, max_count: int = MAX_WAITING_EVENTS) -> None:
        self._max_count = max_count
        self.count = 0

    def enter(self, count: int = 1) -> None:
        """Counts more of them; `leave` must follow.

        Raises:
            ProblemError: 503, there are too many.
        """
        if self.count + count > self._max_count:
            raise ProblemError(503, "overloaded", "too many events wait for Kafka", headers={"Retry-After": "5"})
        self.count += count

    def leave(self, count: int = 1) -> None:
        """Counts less of them."""
        self.count -= count
