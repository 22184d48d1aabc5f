"""Makes a failing world as small as it stays failing."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.scenario import Phase, Scenario

MAX_TRIES = 400


def failure_of(run: Callable[[Scenario], object], scenario: Scenario) -> str:
    """What is wrong with a world, or nothing."""
    try:
        run(scenario)
    except AssertionError as error:
        return str(error) or repr(error)
    return ""


def shrunk(run: Callable[[Scenario], object], scenario: Scenario) -> Scenario:
    """The smallest failing world that was found: fewer deliveries, then fewer faults, then calmer endpoints."""
    tries = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(scenario):
            tries += 1
            if tries > MAX_TRIES:
                return scenario
            if failure_of(run, candidate):
                scenario, smaller = candidate, True
                break
    return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    arrivals, troubles = scenario.arrivals, scenario.troubles
    size = len(arrivals) // 2
    while size:
        for start in range(0, len(arrivals), size):
            yield replace(scenario, arrivals=arrivals[:start] + arrivals[start + size :])
        size //= 2
    for number in range(len(troubles)):
        yield replace(scenario, troubles=troubles[:number] + troubles[number + 1 :])
    for number, target in enumerate(scenario.targets):
        for calmer in (replace(target, phases=(Phase(0, target.phases[0].mood),)), replace(target, rate=None)):
            if calmer != target:
                yield replace(scenario, targets=(*scenario.targets[:number], calmer, *scenario.targets[number + 1 :]))


def report_of(run: Callable[[Scenario], object], scenario: Scenario) -> str:
    """What is wrong, how to see it alone, and the smallest world that shows it; empty when all is well."""
    failure = failure_of(run, scenario)
    if not failure:
        return ""
    small = shrunk(run, scenario)
    return (
        f"seed {scenario.seed}: {failure}\nalone: .venv/bin/python -m tests.simulation {scenario.seed}\n"
        f"smallest: {failure_of(run, small)}\n{small}"
    )
