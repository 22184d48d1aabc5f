"""Days of retries on a virtual clock: a delivery whose every attempt fails, through slow brokers and dead workers."""

import random
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from rules.ladder import SLACK_MS, Ladder
from rules.retry import Answer, Chance, after_failure, delays_of, end_ms_of
from schemas.retry import RetrySpec
from schemas.streams import RETRY_TIERS, Stream

START_MS = 1_800_000_000_000

policies = st.one_of(
    st.none(),
    st.builds(
        RetrySpec, delays_s=st.lists(st.floats(1, 90_000), max_size=6), max_age_s=st.none() | st.floats(1, 9_000)
    ),
    st.builds(RetrySpec, base_delay_s=st.floats(1, 60), factor=st.floats(1, 10), max_retries=st.integers(0, 8)),
)
SEEDS = st.integers(0, 2**32)


@dataclass
class World:
    """One delivery, one clock, and whatever may come between them.

    Args:
        seed: of everything that is left to luck.
        scale: shortens every delay.
        slow_ms: how long an append may take.
        down_ms: how long the delay service may be away when a record should leave.
        skew_ms: how far its clock may be ahead of the one that deliver reads.
    """

    seed: int
    scale: float = 1.0
    slow_ms: int = 0
    down_ms: int = 0
    skew_ms: int = 0
    now_ms: float = START_MS
    dues_ms: list[int] = field(default_factory=list)
    attempts_ms: list[float] = field(default_factory=list)
    allowed_ms: list[float] = field(default_factory=list)
    """How late each attempt may be: what its last way through a stream cost beside the delay."""
    hops: list[Stream] = field(default_factory=list)
    _luck: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._luck = random.Random(self.seed)
        self._ladder = Ladder(RETRY_TIERS, self.scale)

    def live(self, retry: RetrySpec | None, answer: Answer) -> str:
        """Attempts until the delivery gives up; the reason."""
        end_ms = end_ms_of(START_MS, "", retry)
        for attempt in range(1, 100):
            if self.now_ms > end_ms:
                return "expired"
            self.attempts_ms.append(self.now_ms)
            chance = Chance(int(self.now_ms), self._luck.random(), self.scale)
            step = after_failure(answer, retry, attempt, end_ms, chance)
            if step.due_ms is None:
                return step.reason
            self.dues_ms.append(step.due_ms)
            self.allowed_ms.append(self._wait(step.due_ms))
        raise AssertionError("it never gave up")

    def _wait(self, due_ms: int) -> float:
        """Through the ladder and back to deliver, which sends back what comes too soon."""
        while True:
            cost_ms = self._climb(due_ms)
            self.now_ms += (appended_ms := self._luck.randint(0, self.slow_ms))
            if self.now_ms >= due_ms:
                return cost_ms + appended_ms

    def _climb(self, due_ms: int) -> float:
        cost_ms, tier = 0.0, self._ladder.next_tier(due_ms - self.now_ms) or RETRY_TIERS[0]
        while True:
            remaining_ms = due_ms - self.now_ms
            assert self._ladder.tier_ms(tier) <= remaining_ms + SLACK_MS * self.scale or tier is RETRY_TIERS[0]
            self.hops.append(tier)
            appended_ms = self._luck.randint(0, self.slow_ms)
            self.now_ms += appended_ms
            release_ms = self._ladder.release_ms(tier, self.now_ms, due_ms) - self._luck.randint(0, self.skew_ms)
            down_ms = self._luck.randint(0, self.down_ms) if self._luck.random() < 0.2 else 0  # read again, by another
            self.now_ms = max(self.now_ms, release_ms) + down_ms
            cost_ms = appended_ms + down_ms
            seen_ms = self.now_ms + self._luck.randint(0, self.skew_ms)
            if seen_ms >= due_ms:
                return cost_ms
            following = self._ladder.next_tier(due_ms - seen_ms)
            if following is None:  # too short for any stream: it keeps its place
                self.now_ms = max(self.now_ms, due_ms - self._luck.randint(0, self.skew_ms))
                return cost_ms
            tier = following


worlds = st.builds(
    World,
    seed=SEEDS,
    scale=st.just(1.0) | st.floats(0.01, 1),
    slow_ms=st.sampled_from([0, 5, 400, 5_000]),
    down_ms=st.sampled_from([0, 2_000, 3_600_000]),
    skew_ms=st.sampled_from([0, 50, 2_000]),
)


@given(worlds, policies)
def test_no_attempt_is_made_before_it_is_due(world: World, retry: RetrySpec | None) -> None:
    reason = world.live(retry, Answer(503))
    assert reason in {"http_503", "expired"}
    assert all(made_ms >= due_ms for made_ms, due_ms in zip(world.attempts_ms[1:], world.dues_ms, strict=False))


@given(worlds, policies)
def test_an_attempt_is_late_by_no_more_than_its_last_hop_cost(world: World, retry: RetrySpec | None) -> None:
    world.live(retry, Answer(503))
    made = zip(world.attempts_ms[1:], world.dues_ms, world.allowed_ms, strict=False)
    assert all(made_ms - due_ms <= allowed_ms + 1e-3 for made_ms, due_ms, allowed_ms in made)


@given(worlds, policies, st.integers(0, 7_200))
def test_a_delivery_is_attempted_as_often_as_its_policy_says_unless_it_expires(
    world: World, retry: RetrySpec | None, asked_s: int
) -> None:
    reason = world.live(retry, Answer(503, "", str(asked_s)))
    most = len(delays_of(retry)) + 1
    assert len(world.attempts_ms) == most if reason == "http_503" else len(world.attempts_ms) <= most
    assert world.attempts_ms[-1] <= end_ms_of(START_MS, "", retry)
    gaps_s = [(late - early) / 1_000 for early, late in zip(world.attempts_ms, world.attempts_ms[1:], strict=False)]
    assert all(gap_s >= asked_s * world.scale - 1e-3 for gap_s in gaps_s)


@given(SEEDS)
def test_the_default_schedule_takes_between_30_and_80_hops_through_a_broker_that_is_quick(seed: int) -> None:
    world = World(seed, slow_ms=20)
    assert world.live(None, Answer(503)) == "http_503"
    assert len(world.attempts_ms) == 10
    assert 30 <= len(world.hops) <= 80


def test_the_default_schedule_takes_about_50_hops_with_its_jitter() -> None:
    worlds = [World(seed, slow_ms=20) for seed in range(500)]
    for world in worlds:
        world.live(None, Answer(503))
    assert 45 <= sum(len(world.hops) for world in worlds) / len(worlds) <= 55
