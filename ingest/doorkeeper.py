"""Turns addresses away whose requests keep failing, before anything is looked up or read for them."""

import time

from rules.address_guard import AddressGuard
from rules.quota_headers import refusal_headers
from runtime.problem import ProblemError

POLICY = "address"
_FAILURES = frozenset({403, 404})
"""What somebody gets who does not know the secret, or guesses where to send."""


class Doorkeeper:
    """The guard of one process.

    Args:
        failures_per_minute: of one address; 0 turns nobody away.
    """

    def __init__(self, failures_per_minute: int) -> None:
        self._guard = AddressGuard(failures_per_minute) if failures_per_minute else None

    def require_welcome(self, address: str) -> None:
        """Passes an address that may try.

        Raises:
            ProblemError: 429, later.
        """
        now_ms = _now_ms()
        if self._guard is not None and (limit := self._guard.shut(address, now_ms)):
            headers = refusal_headers(POLICY, limit, now_ms, limit.wait_s(now_ms))
            raise ProblemError(429, "too_many_failures", "too many requests from here were refused", headers=headers)

    def note_problem(self, address: str, problem: ProblemError) -> None:
        """Notes why a request was not accepted."""
        if self._guard is not None and problem.status in _FAILURES:
            self._guard.failed(address, _now_ms())

    def note_proof(self, address: str) -> None:
        """Notes that a request was made by somebody who has the secret."""
        if self._guard is not None:
            self._guard.proved(address, _now_ms())


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
