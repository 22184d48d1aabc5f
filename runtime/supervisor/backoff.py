"""How long to wait before a child that ended is started again."""

FIRST_DELAY_S = 0.2  # a crash by accident should cost nobody anything
LAST_DELAY_S = 10.0  # a crash by design should cost little CPU, and heal soon after its cause has
HEALTHY_S = 30.0  # a child that was ready this long has not the same trouble as before


class Backoff:
    """Doubling delays from 0.2 s to 10 s; a child's healthy life starts them again."""

    def __init__(self) -> None:
        self._next_s = FIRST_DELAY_S

    def after_life(self, ready_s: float) -> float:
        """Return the delay after a child that had been ready for `ready_s` ended, in seconds."""
        if ready_s >= HEALTHY_S:
            self._next_s = FIRST_DELAY_S
        delay_s = self._next_s
        self._next_s = min(self._next_s * 2, LAST_DELAY_S)
        return delay_s
