"""The delay ladder, walked with a virtual clock."""

from hypothesis import given
from hypothesis import strategies as st

from rules.ladder import SLACK_MS, Ladder
from schemas.retry import DEFAULT_DELAYS_S
from schemas.streams import DELIVERIES, RETRY_TIERS, Stream

LADDER = Ladder(RETRY_TIERS)
START_MS = 1_800_000_000_000


def walk(due_ms: float, lateness_ms: list[int]) -> tuple[list[Stream], float]:
    """The streams that a delivery goes through until it is due, and when it comes out."""
    now_ms: float = START_MS
    hops: list[Stream] = []
    late = iter(lateness_ms)
    while due_ms > now_ms:
        tier = LADDER.next_tier(due_ms - now_ms)
        if tier is None:
            now_ms = due_ms  # too short for any stream: it waits where it is
            break
        hops.append(tier)
        now_ms = LADDER.release_ms(tier, now_ms, due_ms) + next(late, 0)
    return hops, now_ms


@given(st.integers(1, 7 * 86_400), st.lists(st.integers(0, 400), max_size=200))
def test_a_delivery_leaves_the_ladder_never_early_and_at_most_one_lateness_late(
    delay_s: int, lateness_ms: list[int]
) -> None:
    due_ms = START_MS + delay_s * 1_000
    _, out_ms = walk(due_ms, lateness_ms)
    assert due_ms <= out_ms <= due_ms + max(lateness_ms, default=0)


@given(st.integers(1, 7 * 86_400))
def test_a_delay_takes_the_longest_streams_first_and_at_most_45_hops(delay_s: int) -> None:
    hops, _ = walk(START_MS + delay_s * 1_000, [])
    assert [hop.delay_s for hop in hops] == sorted((hop.delay_s for hop in hops), reverse=True)
    assert sum(hop.delay_s for hop in hops) == delay_s
    assert len(hops) <= 45


def test_the_default_schedule_without_jitter_takes_30_hops() -> None:
    assert sum(len(walk(START_MS + delay_s * 1_000, [])[0]) for delay_s in DEFAULT_DELAYS_S) == 30


@given(st.floats(0, 86_400_000 * 8))
def test_the_next_stream_is_the_largest_that_ends_no_later_than_the_slack_allows(remaining_ms: float) -> None:
    tier = LADDER.next_tier(remaining_ms)
    allowed = [stream for stream in RETRY_TIERS if stream.delay_s * 1_000 <= remaining_ms + SLACK_MS]
    assert tier == (max(allowed, key=lambda stream: stream.delay_s) if allowed else None)


def test_deliveries_are_no_stream_of_the_ladder() -> None:
    assert DELIVERIES not in LADDER.tiers
