"""When an endpoint is left alone, and how it is found alive again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.breaker import CLOSES_AFTER, FIRST_COOLDOWN_S, MAX_COOLDOWN_S, PROBE_S, Breaker, BreakerState
from rules.retry import Answer
from rules.retry_after import MAX_RETRY_AFTER_S

NOW_MS = 1_800_000_000_000
OK, ERROR, OVERLOAD, REFUSED = Answer(200), Answer(500), Answer(503), Answer(error="connect_refused")

answers = st.sampled_from(
    [OK, ERROR, OVERLOAD, REFUSED, Answer(404), Answer(429, retry_after="600"), Answer(503, retry_after="x")]
)


def tried(breaker: Breaker, now_ms: int, *given_answers: Answer) -> None:
    for answer in given_answers:
        assert breaker.admit(now_ms) == 0
        breaker.ended(breaker.started(), now_ms, answer)


def opened(*, after: Answer = OVERLOAD, now_ms: int = NOW_MS) -> Breaker:
    breaker = Breaker()
    while breaker.state is BreakerState.CLOSED:
        tried(breaker, now_ms, after)
    return breaker


@pytest.mark.parametrize(("answer", "failures"), [(OVERLOAD, 5), (REFUSED, 5), (Answer(429), 5), (ERROR, 20)])
def test_overloads_and_silence_open_sooner_than_errors(answer: Answer, failures: int) -> None:
    breaker = Breaker()
    tried(breaker, NOW_MS, *[answer] * (failures - 1))
    assert breaker.admit(NOW_MS) == 0
    tried(breaker, NOW_MS, answer)
    assert breaker.state is BreakerState.OPEN
    assert breaker.admit(NOW_MS) == FIRST_COOLDOWN_S


@pytest.mark.parametrize(("answer", "share"), [(ERROR, 0.3), (OVERLOAD, 0.05)])
@pytest.mark.parametrize("seed", range(5))
def test_an_endpoint_that_fails_now_and_then_is_never_left_alone(answer: Answer, share: float, seed: int) -> None:
    luck, breaker = random.Random(seed), Breaker()
    tried(breaker, NOW_MS, *[answer if luck.random() < share else OK for _ in range(10_000)])
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(("answer", "share"), [(ERROR, 0.8), (OVERLOAD, 0.5)])
def test_an_endpoint_that_fails_mostly_is_left_alone(answer: Answer, share: float) -> None:
    luck, breaker = random.Random(1), Breaker()
    for _ in range(1_000):
        if breaker.admit(NOW_MS):
            return
        tried(breaker, NOW_MS, answer if luck.random() < share else OK)
    pytest.fail("it never opened")


def test_one_probe_then_a_ramp_then_everything() -> None:
    breaker, now_ms = opened(), NOW_MS + 5_000
    for allowed in range(1, CLOSES_AFTER + 1):
        rounds = []
        while not breaker.admit(now_ms):
            rounds.append(breaker.started())
        assert len(rounds) == allowed
        assert breaker.admit(now_ms) == PROBE_S
        breaker.ended(rounds[0], now_ms, OK)
        for number in rounds[1:]:
            breaker.ended(number, now_ms, None)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.admit(now_ms) == 0


def test_the_cooldown_doubles_while_probes_fail_and_begins_anew_after_a_recovery() -> None:
    breaker, now_ms, cooldowns = opened(), NOW_MS, []
    for _ in range(8):
        cooldowns.append(breaker.admit(now_ms))
        now_ms += round(cooldowns[-1] * 1_000)
        tried(breaker, now_ms, ERROR)
    assert cooldowns == [5, 10, 20, 40, 80, 160, MAX_COOLDOWN_S, MAX_COOLDOWN_S]
    now_ms += round(MAX_COOLDOWN_S * 1_000)
    tried(breaker, now_ms, *[OK] * CLOSES_AFTER, *[OVERLOAD] * 5)
    assert breaker.admit(now_ms) == FIRST_COOLDOWN_S


def test_a_failure_during_the_ramp_does_not_make_the_cooldown_longer() -> None:
    breaker = opened()
    tried(breaker, NOW_MS + 5_000, OK, ERROR)
    assert breaker.state is BreakerState.HALF_OPEN
    tried(breaker, NOW_MS + 5_000, OVERLOAD)
    assert breaker.admit(NOW_MS + 5_000) == FIRST_COOLDOWN_S


@pytest.mark.parametrize(("code", "cooldown_s"), [(429, 600), (503, 600), (502, 5)])
def test_a_retry_after_is_the_least_that_the_endpoint_is_left_alone(code: int, cooldown_s: float) -> None:
    breaker = opened(after=Answer(code, retry_after="600"))
    assert breaker.admit(NOW_MS) == cooldown_s


def test_an_answer_from_before_the_change_changes_nothing() -> None:
    breaker = Breaker()
    old = [breaker.started() for _ in range(3)]
    tried(breaker, NOW_MS, *[OVERLOAD] * 5)
    breaker.ended(old[0], NOW_MS, OK)
    breaker.ended(old[1], NOW_MS, OVERLOAD)
    assert breaker.admit(NOW_MS) == FIRST_COOLDOWN_S
    assert breaker.admit(NOW_MS + 5_000) == 0
    breaker.started()
    breaker.ended(old[2], NOW_MS + 5_000, None)
    assert breaker.admit(NOW_MS + 5_000) == PROBE_S


def test_a_probe_that_was_never_sent_makes_room_for_another() -> None:
    breaker = opened()
    assert breaker.admit(NOW_MS + 5_000) == 0
    breaker.ended(breaker.started(), NOW_MS + 5_000, None)
    assert breaker.admit(NOW_MS + 5_000) == 0


def test_a_clock_that_was_set_back_makes_no_cooldown_longer() -> None:
    breaker = opened()
    assert breaker.admit(NOW_MS - 86_400_000) == FIRST_COOLDOWN_S


@given(st.lists(st.tuples(answers, st.integers(0, 400_000)), max_size=200))
def test_whatever_happens_it_is_asked_again_and_comes_back(steps: list[tuple[Answer, int]]) -> None:
    breaker, now_ms = Breaker(), NOW_MS
    for answer, gap_ms in steps:
        now_ms += gap_ms
        delay_s = breaker.admit(now_ms)
        assert 0 <= delay_s <= MAX_RETRY_AFTER_S
        if not delay_s:
            breaker.ended(breaker.started(), now_ms, answer)
    now_ms += round(breaker.admit(now_ms) * 1_000)
    tried(breaker, now_ms, *[OK] * CLOSES_AFTER)
    assert breaker.state is BreakerState.CLOSED
