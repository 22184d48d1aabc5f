"""Durations as a histogram that can be added up: each stands for its neighbours.

Up to 63 ms each millisecond stands for itself. From there on every power of two has 32 steps of equal width, as in
HdrHistogram, and what falls into a step is counted at its middle. So a percentile of the histogram is within 1/64,
1.6 %, of the exact one.
"""

MAX_ERROR = 1 / 64
"""Of a percentile, relative to the exact one by nearest rank; below 64 ms there is none."""

_STEP_BITS = 5


def counted_at(duration_ms: int) -> int:
    """The milliseconds at which a duration is counted.

    Args:
        duration_ms: from 0 to 2^32 - 1.
    """
    shift = max(0, duration_ms.bit_length() - 1 - _STEP_BITS)
    return (duration_ms >> shift << shift) + ((1 << shift) - 1 >> 1)


# Whole numbers only: a logarithm may be off by one at the edge of a step. The ones of a power of two less one are its
# exponent.
_SHIFT = f"if(duration_ms < 64, 0, bitCount(roundToExp2(duration_ms) - 1) - {_STEP_BITS})"

COUNTED_AT = (
    f"toUInt32(bitShiftLeft(bitShiftRight(duration_ms, {_SHIFT}), {_SHIFT})"
    f" + bitShiftRight(bitShiftLeft(toUInt32(1), {_SHIFT}) - 1, 1))"
)
"""SQL for the same, of the column `duration_ms`."""
