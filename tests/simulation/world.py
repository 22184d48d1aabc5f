"""A world: puts the parts together, lets the traffic in and the faults happen, and closes the books."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from rules.failing import Disable, Failing, after_attempt
from rules.ladder import Ladder
from rules.retry import Answer
from schemas.delivery import Delivery
from schemas.streams import PARK_TIERS, RETRY_TIERS
from tests.simulation.books import Books
from tests.simulation.clock import START_MS, VirtualClock
from tests.simulation.delay import DelayModel
from tests.simulation.deliver import Assignment
from tests.simulation.lane import Rules
from tests.simulation.scenario import Fault, Scenario
from tests.simulation.streams import Broker, Log

SESSION_MS = 10_000
HANDOVER_MS = 1_000

STEPS_EACH = 5_000
"""For each delivery, on average: one that waits two days for a dead endpoint is parked 550 times."""


@dataclass(frozen=True)
class Parts:
    """What a world is made of; a test that plants an error hands others in."""

    rules: Rules = field(default_factory=Rules)
    assignment: Callable[["World", int, int], Assignment] = Assignment
    delay: type[DelayModel] = DelayModel


class World:
    """One run.

    Args:
        scenario: what happens.
        parts: who acts.
    """

    def __init__(self, scenario: Scenario, parts: Parts) -> None:
        self.scenario = scenario
        self.rules = parts.rules
        self.clock = VirtualClock(STEPS_EACH * (len(scenario.arrivals) + 1))
        self.broker = Broker(self.clock, partial(self._count, "stored"))
        self.books = Books(scenario)
        self.ladder, self.parking = Ladder(RETRY_TIERS), Ladder(PARK_TIERS)
        numbers = range(scenario.partitions)
        self.deliveries = [Log(f"deliveries[{number}]") for number in numbers]
        self.attempts = [Log(f"attempts[{number}]") for number in numbers]
        self.dead = [Log(f"dead[{number}]") for number in numbers]
        tiers = (*RETRY_TIERS, *PARK_TIERS)
        self.delays = {(tier.name, number): Log(f"{tier.name}[{number}]") for tier in tiers for number in numbers}
        self._failing = [Failing() for _ in scenario.targets]
        self._posts = 0
        self._assignments = 0
        self._assignment = parts.assignment
        self._owners: dict[int, Assignment] = {}
        self._delay = parts.delay(self.clock, self.broker, self.delays, (self.ladder, self.parking), self.deliveries)
        for number in numbers:
            self._assign(number)

    def run(self) -> None:
        """Runs to the end.

        Raises:
            AssertionError: something that must hold did not.
        """
        for number, (at_ms, target) in enumerate(self.scenario.arrivals):
            self.clock.at(START_MS + at_ms, partial(self._arrive, f"d{number}", target))
        self.clock.run()
        self._find()
        self.books.close()

    def _arrive(self, delivery_id: str, target: int) -> None:
        now_ms = self.clock.now_ms
        self.books.created(delivery_id, target, now_ms)
        delivery = Delivery(
            delivery_id=delivery_id,
            event_id=delivery_id,
            subscription_id=str(target),
            topic_id="",
            source_id="",
            event_type="",
            generation=0,
            config_version=0,
            received_ms=now_ms,
            body=b"",
        )
        self.broker.append(self.deliveries[target % self.scenario.partitions], delivery, lambda: None)

    def posted(self) -> None:
        """A request started."""
        self._posts += 1
        self._count("posted", self._posts)

    def made(self, target: int, answer: Answer) -> None:
        """An attempt is on record: the endpoint may be given up."""
        days = self.scenario.targets[target].disable_after_days
        known = self._failing[target]
        self._failing[target], steps = after_attempt(
            known, self.clock.now_ms, success=answer.success, disable_after_days=days
        )
        if any(isinstance(step, Disable) for step in steps):
            self.books.disabled(target, self.clock.now_ms, days)
        elif not answer.gone:
            return
        self.books.ended.setdefault(target, self.clock.now_ms)

    def _count(self, trigger: str, number: int) -> None:
        for trouble in self.scenario.troubles:
            if trouble.trigger == trigger and trouble.number == number:
                self.clock.after(1, partial(self._happen, trouble.fault, trouble.partition))

    def _happen(self, fault: Fault, partition: int) -> None:
        if fault is Fault.KILL_DELAY:
            self._delay.kill()
        elif (owner := self._owners.get(partition)) is not None and owner.active:
            self.deliveries[partition].on_record = self.attempts[partition].on_record = None
            if fault is Fault.KILL:
                owner.kill()
            else:
                owner.revoke()
            delay_ms = SESSION_MS if fault is Fault.KILL else HANDOVER_MS
            self.clock.after(delay_ms, partial(self._assign, partition))
        self._find()

    def _assign(self, partition: int) -> None:
        self._assignments += 1
        self._owners[partition] = self._assignment(self, partition, self._assignments)

    def _find(self) -> None:
        finished = {record.value.key for log in self.attempts for record in log.records if not record.value.until_ms}
        self.books.findable([*self.deliveries, *self.delays.values()], finished)


def run(scenario: Scenario, parts: Parts | None = None) -> World:
    """Runs a world to its end.

    Raises:
        AssertionError: something that must hold did not.
    """
    world = World(scenario, parts or Parts())
    world.run()
    return world
