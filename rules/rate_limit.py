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

    def take(self, now_ms: int) -> float:
        """Takes a place, if there is one.

        Args:
            now_ms: epoch milliseconds. A clock that was set back costs one burst at most.

        Returns:
            0 when it was taken, else in how many seconds to ask again: earlier there is none.
        """
        now_ns = now_ms * _MS_NS
        place_ns = -int(-_S_NS // self.per_second)  # rounded up: never more than allowed
        debt_ns = min(max(self._paid_until_ns - now_ns, 0), self.burst * place_ns)
        if (short_ns := debt_ns + place_ns - self.burst * place_ns) > 0:
            self._paid_until_ns = now_ns + debt_ns
            return -(-short_ns // _MS_NS) / 1_000
        self._paid_until_ns = now_ns + debt_ns + place_ns
        return 0.0
