"""How much may wait for Kafka at once: who comes later is told at once, not when its own patience ends."""

from runtime.problem import ProblemError

MAX_WAITING_REQUESTS = 3_000
"""Three quarters of the connections, so that the others get an answer. At an ack of 5 ms it is 600,000 requests a
second: only a Kafka that is slow or gone comes here."""

MAX_WAITING_EVENTS = 50_000
"""In batches many come with one request: a hundred of the largest, 200 MB with what an event takes beside its body."""


class WaitingEvents:
    """Counts them.

    Args:
        max_requests: how many requests may wait.
        max_events: how many events these may have.

    Attributes:
        count: how many events wait.
    """

    def __init__(self, max_requests: int = MAX_WAITING_REQUESTS, max_events: int = MAX_WAITING_EVENTS) -> None:
        self._max_requests = max_requests
        self._max_events = max_events
        self._requests = 0
        self.count = 0

    def enter(self, count: int = 1) -> None:
        """Counts the events of one more request; `leave` must follow.

        Raises:
            ProblemError: 503, there are too many.
        """
        if self._requests >= self._max_requests or self.count + count > self._max_events:
            raise ProblemError(503, "overloaded", "too many events wait for Kafka", headers={"Retry-After": "5"})
        self._requests += 1
        self.count += count

    def leave(self, count: int = 1) -> None:
        """Counts the events of one request less."""
        self._requests -= 1
        self.count -= count
