"""The circuit breaker of one subscription's endpoint: the one mechanism that slows deliveries down.

A cumulative sum (Page, "Continuous Inspection Schemes", 1954) decides that an endpoint fails: each failure adds its
weight, each success takes some away, never below nothing. It needs no window and no clock, so it works as well at one
request an hour as at a thousand a second, and forgets quickly. A run of failures opens it, and so does any mix with
more than a third of overloads or two thirds of other failures; an endpoint that fails now and then never gets there.
"""

from dataclasses import dataclass
from enum import StrEnum

from rules.retry import Answer
from rules.retry_after import retry_after_s

OPENS_AT = 20
"""Five overloads or twenty other failures in a row. At 10 % of overloads one success in ten thousand leads there, at
30 % of other failures one in a billion."""

OVERLOAD_WEIGHT = 4
FAILURE_WEIGHT = 1
"""A status 500 or 404 may be the fault of one event; it says little about the next."""

SUCCESS_WEIGHT = 2

OVERLOADED = frozenset({429, 502, 503, 504})
"""Standard Webhooks asks senders to slow down at 429, 502 and 504; 503 is the same (RFC 9110, section 15.6.4)."""

ASKS_FOR_TIME = frozenset({429, 503})
"""Whose `Retry-After` speaks for the whole endpoint."""

FIRST_COOLDOWN_S = 5.0
"""The shortest park stream."""

MAX_COOLDOWN_S = 300.0
"""After a long outage the endpoint is found alive within five minutes, and is asked 288 times a day before that."""

PROBE_S = 5.0
"""When to come again while the probes are on the wire: as soon as the shortest park stream can."""

REOPENS_AT = 4
"""During the ramp: one overload or four other failures."""

CLOSES_AFTER = 5
"""Successes while half open. One more may be in flight than have succeeded: 1, 2, 3, 4, 5."""


class BreakerState(StrEnum):
    """What an endpoint gets."""

    CLOSED = "closed"
    """Everything."""
    OPEN = "open"
    """Nothing."""
    HALF_OPEN = "half_open"
    """A probe, and a few more with each success."""


@dataclass(slots=True)
class Breaker:
    """What is known of one endpoint; lives as long as its worker."""

    state: BreakerState = BreakerState.CLOSED
    _score: int = 0
    _round: int = 0  # counts changes of the state: an answer to a request from before says what is known already
    _in_flight: int = 0  # of this round, while half open
    _successes: int = 0  # as above
    _cooldown_s: float = 0.0  # the last one; 0 while closed
    _open_ms: int = 0  # how long it is open
    _open_until_ms: int = 0
    _asked_until_ms: int = 0  # what a Retry-After asked for since the last success

    @property
    def fresh(self) -> bool:
        """Whether nothing speaks against the endpoint."""
        return self.state is BreakerState.CLOSED and not self._score

    @property
    def places(self) -> int | None:
        """How many more requests may start while it is half open; `None` in any other state."""
        return self._successes + 1 - self._in_flight if self.state is BreakerState.HALF_OPEN else None

    def admit(self, now_ms: int) -> float:
        """Whether a request may start now.

        Returns:
            0 when it may, and then `started` must be called before anything else is admitted; else in how many seconds
            to ask again.
        """
        if self.state is BreakerState.OPEN:
            self._open_until_ms = min(self._open_until_ms, now_ms + self._open_ms)  # the clock may have been set back
            if now_ms < self._open_until_ms:
                return (self._open_until_ms - now_ms) / 1_000
            self._become(BreakerState.HALF_OPEN)
        return PROBE_S if self.places is not None and self.places <= 0 else 0.0

    def started(self) -> int:
        """A request starts; returns what `ended` wants to know of it."""
        self._in_flight += 1
        return self._round

    def ended(self, started: int, now_ms: int, answer: Answer | None) -> None:
        """A request ended; every one that started must.

        Args:
            started: what `started` returned.
            now_ms: epoch milliseconds.
            answer: what came of it; `None` when it was cancelled or never sent.
        """
        if started != self._round:
            return
        self._in_flight -= 1
        if answer is None:
            return
        if answer.success:
            self._succeeded()
        else:
            self._failed(now_ms, answer)

    def _succeeded(self) -> None:
        self._score = max(0, self._score - SUCCESS_WEIGHT)
        self._asked_until_ms = 0
        if self.state is BreakerState.HALF_OPEN:
            self._successes += 1
            if self._successes >= CLOSES_AFTER:
                self._become(BreakerState.CLOSED)
                self._cooldown_s = 0.0

    def _failed(self, now_ms: int, answer: Answer) -> None:
        self._score += weight_of(answer)
        if answer.status_code in ASKS_FOR_TIME:
            asked_ms = retry_after_s(answer.retry_after, now_ms // 1_000) * 1_000
            self._asked_until_ms = max(self._asked_until_ms, now_ms + asked_ms)
        if self.state is BreakerState.CLOSED:
            opens = self._score >= OPENS_AT
        else:
            opens = not self._successes or self._score >= REOPENS_AT
        if opens:
            self._open(now_ms)

    def _open(self, now_ms: int) -> None:
        if not self._successes:  # it was seen alive otherwise, and is not left alone for longer
            self._cooldown_s = min(max(self._cooldown_s * 2, FIRST_COOLDOWN_S), MAX_COOLDOWN_S)
        self._open_ms = max(round(self._cooldown_s * 1_000), self._asked_until_ms - now_ms)
        self._open_until_ms = now_ms + self._open_ms
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self.state = state
        self._round += 1
        self._score = self._in_flight = self._successes = 0


def weight_of(answer: Answer) -> int:
    """How much a failure counts: no answer at all is as bad as an overload."""
    return OVERLOAD_WEIGHT if answer.error or answer.status_code in OVERLOADED else FAILURE_WEIGHT
