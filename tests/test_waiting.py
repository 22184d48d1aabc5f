"""How many requests and events may wait for Kafka at once."""

import pytest

from ingest.waiting import WaitingEvents
from runtime.problem import ProblemError


def test_requests_and_their_events_are_counted_apart() -> None:
    waiting = WaitingEvents(max_requests=2, max_events=10)
    waiting.enter(8)
    with pytest.raises(ProblemError) as refused:
        waiting.enter(3)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    waiting.enter(2)
    with pytest.raises(ProblemError):
        waiting.enter(0)  # two requests wait
    waiting.leave(8)
    waiting.enter(1)
    assert waiting.count == 3
