"""A thousand worlds under a virtual clock: nothing lost, nothing early, nothing too much, nothing for ever."""

import pytest

from tests.simulation.scenario import scenario_of
from tests.simulation.shrink import report_of
from tests.simulation.world import run

SEEDS = 1_000
CHUNK = 100


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_goes_wrong_every_delivery_ends_once_in_time_and_within_its_limits(first: int) -> None:
    for seed in range(first, first + CHUNK):
        if report := report_of(run, scenario_of(seed)):
            pytest.fail(report, pytrace=False)


def test_the_same_seed_is_the_same_world() -> None:
    first, second = run(scenario_of(7)), run(scenario_of(7))
    assert (first.clock.steps, first.books.finals) == (second.clock.steps, second.books.finals)
