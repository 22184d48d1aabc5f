"""How many requests a second an endpoint takes: GCRA, the generic cell rate algorithm (ITU-T I.371).

One number for each limit, no timer. In any window of `w` seconds at most `burst + w * per_second` are allowed, and
whoever asks again when told to gets all of them. The clock has milliseconds: a burst of 1 is at most one in each.
"""

from dataclasses import dataclass

_MS_NS = 1_000_000
_S_NS = 1_000_000_000
"""Whole nanoseconds: sums of epoch seconds in floats would drift, and let one too many through."""


@dataclass(slots=True)
class RateLimit:
    """One limit. `per_second` and `burst` may be changed at any time: the time that was taken stays taken.

    Attributes:
        per_second: how many in a second, over a long time; above 0.
        burst: how many at once, from 1.
    """

    per_second: float
    burst: int
    _paid_until_ns: int = 0  # when everything that was taken will have been worked off: "theoretical arrival time"

    def take(self, now_ms: int, count: int = 1) -> float:
        """Takes places, all or none.

        Args:
            now_ms: milliseconds of any clock. One that was set back costs one burst at most.
            count: how many, at most `burst`: more there never are.

        Returns:
            0 when it was taken, else in how many seconds to ask again: earlier there is none.
        """
        now_ns = now_ms * _MS_NS
        debt_ns, place_ns = self._debt_ns(now_ns), self._place_ns()
        wait_s = self.wait_s(now_ms, count - 1)
        self._paid_until_ns = now_ns + debt_ns + (0 if wait_s else count * place_ns)
        return wait_s

    def wait_s(self, now_ms: int, ahead: int = 0) -> float:
        """In how many seconds there is a place, after `ahead` others have taken theirs; takes nothing."""
        short_ns = self._debt_ns(now_ms * _MS_NS) + (1 + ahead - self.burst) * self._place_ns()
        return -(-short_ns // _MS_NS) / 1_000 if short_ns > 0 else 0.0

    def left(self, now_ms: int) -> tuple[int, float]:
        """How many places there are now, and in how many seconds the whole burst is there again."""
        debt_ns = self._debt_ns(now_ms * _MS_NS)
        return self.burst - -(-debt_ns // self._place_ns()), debt_ns / _S_NS

    def _debt_ns(self, now_ns: int) -> int:
        return min(max(self._paid_until_ns - now_ns, 0), self.burst * self._place_ns())

    def _place_ns(self) -> int:
        return -int(-_S_NS // self.per_second)  # rounded up: never more than allowed
