"""What a world is made of, drawn from a seed."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from schemas.retry import RetrySpec

HOUR_MS = 3_600_000
MINUTE_MS = 60_000


class Mood(StrEnum):
    """How an endpoint answers for a while."""

    HEALTHY = "healthy"
    FLAKY = "flaky"
    """A third of the answers is 500."""
    REFUSING = "refusing"
    """No connection."""
    OVERLOADED = "overloaded"
    """503, or 429 with `Retry-After`."""
    BROKEN = "broken"
    """500."""
    HANGING = "hanging"
    """No answer before the timeout."""
    SLOW = "slow"
    GONE = "gone"


DOWN = frozenset({Mood.REFUSING, Mood.OVERLOADED, Mood.BROKEN, Mood.HANGING})


@dataclass(frozen=True, slots=True)
class Phase:
    """From when an endpoint is in a mood, in milliseconds from the start."""

    from_ms: int
    mood: Mood
    retry_after_s: int = 0


@dataclass(frozen=True)
class Target:
    """A subscription and its endpoint."""

    phases: tuple[Phase, ...] = (Phase(0, Mood.HEALTHY),)
    delays_s: tuple[float, ...] = (5, 60, 600, 3_600)
    max_age_s: float = 86_400
    max_in_flight: int = 4
    timeout_s: float = 15
    rate: tuple[float, int] | None = None
    disable_after_days: float = 0

    @property
    def retry(self) -> RetrySpec:
        """Its policy."""
        return RetrySpec(delays_s=list(self.delays_s), max_age_s=self.max_age_s)

    @property
    def up_from_ms(self) -> int:
        """From when it only takes what comes; beyond all time when it never does."""
        last = self.phases[-1]
        return last.from_ms if last.mood is Mood.HEALTHY else 1 << 62


class Fault(StrEnum):
    """What goes wrong."""

    KILL = "kill"
    """The worker of a partition loses its memory; after its session another one begins at the committed offset."""
    REBALANCE = "rebalance"
    """Another worker takes the partition over in good order."""
    KILL_DELAY = "kill_delay"
    """The delay service begins again at its committed offsets."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault, right after the broker stored the record of that number, or the request of that number started."""

    fault: Fault
    partition: int
    trigger: str
    number: int


@dataclass(frozen=True)
class Scenario:
    """A world before it runs. `arrivals` are (milliseconds from the start, target)."""

    seed: int
    partitions: int
    max_jobs: int
    targets: tuple[Target, ...]
    arrivals: tuple[tuple[int, int], ...]
    troubles: tuple[Trouble, ...]


_SCHEDULES: tuple[tuple[float, ...], ...] = ((), (5, 60, 600, 3_600), (1, 2, 4), (30, 300, 7_200, 21_600), (5, 5))


def scenario_of(seed: int) -> Scenario:
    """The world of a seed."""
    luck = Random(seed)
    targets = tuple(_target(luck) for _ in range(luck.randint(2, 5)))
    arrivals = [(luck.randrange(36 * HOUR_MS), luck.randrange(len(targets))) for _ in range(luck.randint(20, 90))]
    if luck.random() < 0.6:  # a flood for one of them, at a bad time if it has any
        flooded = luck.randrange(len(targets))
        bad = luck.choice(targets[flooded].phases).from_ms + luck.randrange(MINUTE_MS)
        arrivals += [(bad + number * luck.randint(0, 20), flooded) for number in range(luck.randint(20, 60))]
    partitions = luck.randint(1, 2)
    return Scenario(
        seed=seed,
        partitions=partitions,
        max_jobs=luck.choice((6, 12, 30)),
        targets=targets,
        arrivals=tuple(sorted(arrivals)),
        troubles=tuple(_trouble(luck, len(arrivals), partitions) for _ in range(luck.choice((0, 0, 1, 2, 4)))),
    )


def _trouble(luck: Random, arrivals: int, partitions: int) -> Trouble:
    trigger = luck.choice(("stored", "posted"))
    number = luck.randrange(1, arrivals * (4 if trigger == "stored" else 1))
    return Trouble(luck.choice((Fault.KILL, Fault.KILL, *Fault)), luck.randrange(partitions), trigger, number)


def _target(luck: Random) -> Target:
    return Target(
        phases=_phases(luck),
        delays_s=luck.choice(_SCHEDULES),
        max_age_s=luck.choice((4 * 3_600, 16 * 3_600, 48 * 3_600)),
        max_in_flight=luck.choice((1, 2, 4, 8)),
        timeout_s=luck.choice((5, 15)),
        rate=luck.choice((None, None, (0.5, 1), (2.0, 3), (5.0, 10))),
        disable_after_days=luck.choice((0, 0.25, 1)),
    )


def _phases(luck: Random) -> tuple[Phase, ...]:
    kind = luck.random()
    if kind < 0.35:
        return (Phase(0, Mood.HEALTHY),)
    if kind < 0.5:
        return (Phase(0, luck.choice((Mood.FLAKY, Mood.SLOW))),)
    if kind < 0.6:  # for ever, or until it is gone
        return (Phase(0, luck.choice(sorted(DOWN))), Phase(luck.randint(1, 20) * HOUR_MS, Mood.GONE))
    phases, now_ms = [Phase(0, Mood.HEALTHY)], 0
    for _ in range(luck.randint(1, 2)):
        now_ms += luck.randint(1, 12 * HOUR_MS)
        phases.append(Phase(now_ms, luck.choice(sorted(DOWN)), luck.choice((0, 20, 900, 3_600))))
        now_ms += luck.choice((MINUTE_MS, 20 * MINUTE_MS, luck.randint(1, 5) * HOUR_MS))
        phases.append(Phase(now_ms, Mood.HEALTHY))
    return tuple(phases)
