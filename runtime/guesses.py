"""Turns addresses away that keep sending wrong keys, before a key of theirs is looked at.

API keys have 256 random bits and need it not; an admin key that somebody chose may.
"""

import math
import time
from typing import Protocol

from runtime.problem import ProblemError

FAILURES_PER_MINUTE = 30
"""Of one address, over a long time and at once: who has mistyped a key has seen it by then, and a guess in two seconds
finds no key of eight random letters in an attacker's lifetime."""


class Limit(Protocol):
    """A limit that an address has used up."""

    def wait_s(self, now_ms: int) -> float:
        """How long until it may try again."""


class Guard(Protocol):
    """Counts by address, in bounded memory; loopback is never turned away (`rules/address_guard.py`)."""

    def shut(self, address: str, now_ms: int) -> Limit | None:
        """The limit that an address has used up, or `None`: it may try."""

    def failed(self, address: str, now_ms: int) -> None:
        """Notes a wrong key."""

    def proved(self, address: str, now_ms: int) -> None:
        """Notes a right one: for a day, nobody from there is turned away, whatever fails beside it."""


class Guesses:
    """The guard of one process, with its clock.

    Args:
        guard: counts.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    def require_welcome(self, address: str) -> None:
        """Passes an address that may try.

        Raises:
            ProblemError: 429, later.
        """
        now_ms = _now_ms()
        if limit := self._guard.shut(address, now_ms):
            headers = {"Retry-After": str(max(math.ceil(limit.wait_s(now_ms)), 1))}
            raise ProblemError(429, "too_many_failures", "too many wrong keys came from here", headers=headers)

    def wrong(self, address: str) -> None:
        """Notes a key that there is not."""
        self._guard.failed(address, _now_ms())

    def right(self, address: str) -> None:
        """Notes a key that there is."""
        self._guard.proved(address, _now_ms())


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
