"""How endpoints answer: the same request is answered alike however the world around it was made smaller."""

import zlib

from rules.retry import Answer
from tests.simulation.scenario import Mood, Target


def chance(seed: int, *parts: object) -> float:
    """A number in [0, 1) that depends on nothing else."""
    return zlib.crc32(repr((seed, *parts)).encode()) / 2**32


def answer_of(target: Target, at_ms: int, luck: float) -> tuple[Answer, int]:
    """What comes of a request, and after how many milliseconds.

    Args:
        target: whose endpoint.
        at_ms: milliseconds from the start.
        luck: of this request, in [0, 1).
    """
    phase = [phase for phase in target.phases if phase.from_ms <= at_ms][-1]
    quick_ms = 20 + round(luck * 180)
    asks = str(phase.retry_after_s) if phase.retry_after_s else ""
    answers = {
        Mood.HEALTHY: (Answer(200), quick_ms),
        Mood.FLAKY: (Answer(500 if luck < 0.33 else 200), quick_ms),
        Mood.REFUSING: (Answer(error="connect_refused"), 1),
        Mood.OVERLOADED: (Answer(429 if asks else 503, retry_after=asks), quick_ms),
        Mood.BROKEN: (Answer(500), quick_ms),
        Mood.HANGING: (Answer(error="read_timeout"), round(target.timeout_s * 1_000)),
        Mood.SLOW: (Answer(200), 1_000 + round(luck * 3_000)),
        Mood.GONE: (Answer(410), quick_ms),
    }
    return answers[phase.mood]
