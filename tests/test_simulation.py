"""A thousand worlds under a virtual clock: nothing lost, nothing early, nothing too much, nothing for ever."""

import pytest

from schemas.retry import MAX_AGE_S
from tests.simulation import world
from tests.simulation.books import MAX_COMEBACK_MS
from tests.simulation.scenario import Mood, Phase, Scenario, Target, scenario_of
from tests.simulation.shrink import report_of
from tests.simulation.world import run

SEEDS = 1_000
CHUNK = 100

NEXT_MS = 66_000
"""A retry after a minute, and its jitter."""


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_every_delivery_ends_once_in_time_and_within_its_limits(first: int) -> None:
    for seed in range(first, first + CHUNK):
        if report := report_of(run, scenario_of(seed)):
            pytest.fail(report, pytrace=False)


def test_what_an_endpoint_that_is_never_back_has_parked_is_dead_after_six_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "STEPS_EACH", 50_000)  # it goes round for three times as long as in other worlds
    down = Target(phases=(Phase(0, Mood.OVERLOADED),), delays_s=(60.0,) * 50, max_age_s=MAX_AGE_S)
    arrivals = tuple((number * 1_000, 0) for number in range(60))
    books = run(Scenario(1, 1, 6, (down,), arrivals, ())).books
    assert MAX_AGE_S == 6 * 86_400
    late = {name for name, ends in books.finals.items() if ends == ["expired"]}
    assert len(late) > 40  # beside those that had used up their attempts before
    assert late <= {key[0] for key in books.parked}
    for name in late:
        assert books.dead[name] == 1
        over_ms = books.ended_ms[name] - books.created_ms[name] - MAX_AGE_S * 1_000
        assert -NEXT_MS <= over_ms <= MAX_COMEBACK_MS  # before it only when the next attempt would come too late


def test_the_same_seed_is_the_same_world() -> None:
    first, second = run(scenario_of(7)), run(scenario_of(7))
    assert (first.clock.steps, first.books.finals) == (second.clock.steps, second.books.finals)
