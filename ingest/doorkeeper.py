"""Turns addresses away whose requests keep failing, before anything is looked up or read for them."""

import time
from collections.abc import Callable
from types import TracebackType

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

    def watch(self, address: str) -> "_Watch":
        """A context in which an address tries: entered only by who is welcome, and what fails there is noted.

        Raises:
            ProblemError: when it is entered, 429, later.
        """
        return _Watch(self._require_welcome, self._note_problem, address)

    def _require_welcome(self, address: str) -> None:
        now_ms = _now_ms()
        if self._guard is not None and (limit := self._guard.shut(address, now_ms)):
            headers = refusal_headers(POLICY, limit, now_ms, limit.wait_s(now_ms))
            raise ProblemError(429, "too_many_failures", "too many requests from here were refused", headers=headers)

    def _note_problem(self, address: str, problem: ProblemError) -> None:
        if self._guard is not None and problem.status in _FAILURES:
            self._guard.failed(address, _now_ms())

    def note_proof(self, address: str) -> None:
        """Notes that a request was made by somebody who has the secret."""
        if self._guard is not None:
            self._guard.proved(address, _now_ms())


class _Watch:
    """No generator: it is entered for every event.

    Args:
        enter: called with the address.
        failed: called with the address and the problem.
        address: that tries.
    """

    __slots__ = ("_address", "_enter", "_failed")

    def __init__(self, enter: Callable[[str], None], failed: Callable[[str, ProblemError], None], address: str) -> None:
        self._enter = enter
        self._failed = failed
        self._address = address

    def __enter__(self) -> None:
        self._enter(self._address)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ProblemError):
            self._failed(self._address, error)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
