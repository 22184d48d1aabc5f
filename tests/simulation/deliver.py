"""Acts as the deliver agent does, for one assignment of one partition.

The order is the product's: request, what follows stored, attempt stored, finished, offset committed.
"""

from functools import partial
from typing import NamedTuple, Protocol

from rules.ladder import Ladder
from rules.parking import times_in_vain
from rules.retry import EXPIRED, Answer, Chance, NextStep, after_failure, end_ms_of
from schemas.delivery import Delivery
from tests.simulation.books import Books, Key, ParkKey
from tests.simulation.clock import START_MS, Action, VirtualClock
from tests.simulation.endpoint import answer_of, chance
from tests.simulation.lane import Job, Lane, Rules, lane_of
from tests.simulation.scenario import Scenario
from tests.simulation.streams import Broker, Log, Offsets, Stored

PATIENCE_S = 5.0
RECONSIDER_MS = 200
MAX_HELD = 5
GRACE_MS = 1_000
LEASE_POLL_MS = 500


class AttemptRecord(NamedTuple):
    """What `attempts` says: an ending of an attempt, a parking or a lease (`until_ms`)."""

    key: Key | ParkKey
    status: str
    until_ms: int = 0


class Surroundings(Protocol):
    """What an assignment needs of its world."""

    scenario: Scenario
    clock: VirtualClock
    broker: Broker
    books: Books
    rules: Rules
    ladder: Ladder
    parking: Ladder
    delays: dict[tuple[str, int], Log]
    deliveries: list[Log]
    attempts: list[Log]
    dead: list[Log]

    def posted(self) -> None:
        """A request started."""

    def made(self, target: int, answer: Answer) -> None:
        """An attempt is on record."""


class Assignment:
    """From the moment a partition is assigned until it is taken away.

    Args:
        world: around it.
        partition: its number.
        number: of the assignment.
    """

    def __init__(self, world: Surroundings, partition: int, number: int) -> None:
        self.world = world
        self.partition = partition
        self.number = number
        self.alive = True  # the process is there, and its requests go on
        self.active = True  # and owns the partition
        self.log = world.deliveries[partition]
        self.position = self.log.committed
        self.offsets = Offsets(self.log, world.clock)
        self.finished: set[Key | ParkKey] = set()
        self.ended: set[str] = set()
        self.leases: dict[Key, int] = {}
        self.live: dict[Key, Job] = {}
        self.open: dict[Key | ParkKey, Job] = {}  # on the wire, or on the way to be stored
        self.lanes: dict[int, Lane] = {}
        self.jobs = 0
        self.reconsidering = False
        self.load()
        self.log.on_record = lambda _: self.read()
        world.attempts[partition].on_record = self.watch
        self.read()

    def load(self) -> None:
        """Reads which attempts are finished."""
        for record in self.world.attempts[self.partition].records:
            self.watch(record)

    def watch(self, record: Stored) -> None:
        """Sees what another worker still stores."""
        attempt: AttemptRecord = record.value
        if attempt.until_ms:
            self.leases[attempt.key[:2]] = attempt.until_ms
        else:
            self.finish(attempt.key, attempt.status)

    def finish(self, key: Key | ParkKey, status: str) -> None:
        """An attempt or a parking is on record, and maybe the end of its delivery."""
        self.finished.add(key)
        if status not in {"retrying", "parked"}:
            self.ended.add(key[0])

    def done(self, key: Key | ParkKey) -> bool:
        """Whether it needs nothing more: it was made, or another branch has ended the delivery."""
        return key in self.finished or key[0] in self.ended

    def kill(self) -> None:
        """The process is gone, with all that it knew."""
        self.alive = self.active = False
        self.offsets.closed = True
        for key in self.open:
            self.world.books.exposed[key] += 1

    def revoke(self) -> None:
        """The partition goes to another one: what has not started is left to it, what is on the wire is leased."""
        self.active = False
        for job in [job for key, job in self.open.items() if len(key) == 2 and job.until_ms]:
            lease = AttemptRecord(job.key, "lease", job.until_ms)
            self.world.broker.append(self.world.attempts[self.partition], lease, lambda: None)
        self.offsets.commit()
        self.offsets.closed = True

    def read(self) -> None:
        """Takes what there is, while there is room."""
        while self.active and self.position < len(self.log.records):
            record = self.log.records[self.position]
            if self.jobs >= self.world.scenario.max_jobs or not self._take(record):
                self._reconsider()
                return
            self.position += 1

    def _reconsider(self) -> None:
        if not self.reconsidering:
            self.reconsidering = True
            self.world.clock.after(RECONSIDER_MS, self._again)

    def _again(self) -> None:
        self.reconsidering = False
        self.read()

    def _take(self, record: Stored) -> bool:
        delivery: Delivery = record.value
        key = (delivery.delivery_id, delivery.attempt)
        if self.done(key) or (*key, delivery.parks) in self.finished:
            self.offsets.done(record.offset)
        elif delivery.due_ms > self.world.clock.now_ms:
            raise AssertionError(f"{key} was released {delivery.due_ms - self.world.clock.now_ms} ms early")
        elif key in self.live:
            self.live[key].offsets.append(record.offset)
        else:
            return self._admit(Job(delivery, self.world.books.target_of[delivery.delivery_id], [record.offset]))
        return True

    def lane_of(self, target: int) -> Lane:
        """The lane that a target's jobs wait in."""
        if target not in self.lanes:
            self.lanes[target] = lane_of(self.world.rules, self.world.scenario.targets[target])
        return self.lanes[target]

    def _admit(self, job: Job) -> bool:
        target, lane = self.world.scenario.targets[job.target], self.lane_of(job.target)
        if self._over(job):
            self._enter(job)
            self._end(job, lane)
            return True
        cooldown_s = lane.breaker.admit(self.world.clock.now_ms)
        if lane.breaker.places is not None and len(lane.waiting) < MAX_HELD:
            cooldown_s = 0.0  # it waits in its lane for the end of the probe
        crowded = lane.running >= target.max_in_flight or lane.waiting
        overflows = bool(crowded) and len(lane.waiting) >= self.world.scenario.max_jobs - self.jobs
        if cooldown_s or (overflows and lane.drains_in_s(target) > PATIENCE_S):
            self._enter(job)
            self.park(job, lane, cooldown_s)
        elif overflows:
            return False
        else:
            self._enter(job)
            lane.waiting.append(job)
            self._pump(lane)
        return True

    def _enter(self, job: Job) -> None:
        self.live[job.key] = job
        self.jobs += 1

    def _over(self, job: Job) -> bool:
        return job.target in self.world.books.ended or self.world.clock.now_ms > self.end_ms(job)

    def end_ms(self, job: Job) -> int:
        """When the delivery expires."""
        return end_ms_of(job.delivery.received_ms, "", self.world.scenario.targets[job.target].retry)

    def _end(self, job: Job, lane: Lane) -> None:
        lane.running += 1  # it is stored like an attempt
        cancelled = job.target in self.world.books.ended
        self.store(job, lane, "cancelled" if cancelled else "expired", None if cancelled else job.delivery)

    def _pump(self, lane: Lane) -> None:
        world = self.world
        while self.active and lane.waiting:
            job = lane.waiting[0]
            if lane.running >= self.in_flight(job):
                return
            if cooldown_s := lane.breaker.admit(world.clock.now_ms):
                if lane.breaker.places is not None:
                    return  # the end of the probe comes here again
                while lane.waiting:
                    self.park(lane.waiting.popleft(), lane, cooldown_s)
                return
            if lane.rate is not None and (wait_s := lane.rate.take(world.clock.now_ms)):
                moment_ms = world.clock.now_ms + round(wait_s * 1_000)
                if lane.asleep_until_ms != moment_ms:
                    lane.asleep_until_ms = moment_ms
                    world.clock.at(moment_ms, partial(self._pump, lane))
                return
            self.start(lane.waiting.popleft(), lane)

    def in_flight(self, job: Job) -> int:
        """How many of its target may run."""
        return self.world.scenario.targets[job.target].max_in_flight

    def start(self, job: Job, lane: Lane) -> None:
        """Takes a place in flight."""
        lane.running += 1
        job.round = lane.breaker.started()
        self._attempt(job, lane)

    def _attempt(self, job: Job, lane: Lane) -> None:
        world, now_ms = self.world, self.world.clock.now_ms
        if not self.active:
            return
        if self.done(job.key) or self._over(job) or now_ms < self.leases.get(job.key, 0):
            self._wait_or_end(job, lane)
            return
        target = world.scenario.targets[job.target]
        self.open[job.key] = job
        job.until_ms = now_ms + round(target.timeout_s * 1_000) + GRACE_MS
        world.books.started(job.key, now_ms, self.number, lane.running)
        world.posted()
        luck = chance(world.scenario.seed, *job.key, world.books.posts[job.key])  # a repeat may be answered otherwise
        answer, takes_ms = answer_of(target, now_ms - START_MS, luck)
        world.clock.after(takes_ms, partial(self._answered, job, lane, answer, takes_ms))

    def _wait_or_end(self, job: Job, lane: Lane) -> None:
        if not self.done(job.key) and not self._over(job):
            self.world.clock.after(LEASE_POLL_MS, partial(self._attempt, job, lane))
            return
        lane.breaker.ended(job.round, self.world.clock.now_ms, None)
        if self.done(job.key):
            self.leave(job, lane)
        else:
            lane.running -= 1
            self._end(job, lane)

    def _answered(self, job: Job, lane: Lane, answer: Answer, took_ms: int) -> None:
        if not self.alive:
            return
        world, now_ms, delivery = self.world, self.world.clock.now_ms, job.delivery
        world.books.answered(job.key, now_ms, answer)
        lane.breaker.ended(job.round, now_ms, answer)
        lane.took(took_ms)
        step = NextStep(None, "") if answer.success else self.next_step(job, answer)
        if answer.success:
            status, follow_up = "success", None
        elif step.due_ms is None:
            status, follow_up = EXPIRED if step.reason == EXPIRED else "failed", delivery.given_up(step.reason)
        else:
            status, follow_up = "retrying", delivery.next_attempt(step.due_ms, step.reason)
        self.store(job, lane, status, follow_up, answer)

    def next_step(self, job: Job, answer: Answer) -> NextStep:
        """What follows from a failure."""
        world, target = self.world, self.world.scenario.targets[job.target]
        luck = Chance(world.clock.now_ms, chance(world.scenario.seed, "jitter", *job.key))
        return after_failure(answer, target.retry, job.delivery.attempt, self.end_ms(job), luck)

    def store(
        self, job: Job, lane: Lane, status: str, follow_up: Delivery | None, answer: Answer | None = None
    ) -> None:
        """Stores what follows, then the attempt, then counts it as finished."""
        self.open[job.key] = job
        attempt = partial(self.store_attempt, job, status, partial(self._stored, job, lane, status, answer))
        if follow_up is None:
            attempt()
        else:
            self.append_follow_up(job, follow_up, attempt)

    def append_follow_up(self, job: Job, follow_up: Delivery, then: Action) -> None:
        """Appends a retry or a dead letter."""
        world = self.world
        if follow_up.attempt == job.delivery.attempt:
            world.books.dead[follow_up.delivery_id] += 1
            log = world.dead[self.partition]
        else:
            remaining_ms = follow_up.due_ms - world.clock.now_ms
            tier = world.ladder.next_tier(remaining_ms) or world.ladder.tiers[0]
            log = world.delays[tier.name, self.partition]
        world.broker.append(log, follow_up, partial(self._if_alive, then))

    def store_attempt(self, job: Job, status: str, then: Action) -> None:
        """Appends the record of an attempt."""
        world = self.world
        world.books.stored(job.delivery.delivery_id, status, world.clock.now_ms, self.end_ms(job))
        record = AttemptRecord(job.key, status)
        world.broker.append(world.attempts[self.partition], record, partial(self._if_alive, then))

    def _if_alive(self, then: Action) -> None:
        if self.alive:
            then()

    def _stored(self, job: Job, lane: Lane, status: str, answer: Answer | None) -> None:
        self.finish(job.key, status)
        if answer is not None:
            self.world.made(job.target, answer)
        self.leave(job, lane)

    def leave(self, job: Job, lane: Lane) -> None:
        """Gives the place in flight back."""
        lane.running -= 1
        self._settled(job, job.key)
        self._pump(lane)
        self.read()

    def _settled(self, job: Job, key: Key | ParkKey) -> None:
        self.open.pop(key, None)
        self.live.pop(job.key, None)
        self.jobs -= 1
        for offset in job.offsets:
            self.offsets.done(offset)

    def park(self, job: Job, lane: Lane, cooldown_s: float) -> None:
        """Puts a delivery aside: its copy, then the record that it was, then it counts as finished."""
        world, target, now_ms = self.world, self.world.scenario.targets[job.target], self.world.clock.now_ms
        delay_s = lane.parking.delay_s(
            now_ms,
            in_vain=times_in_vain(job.delivery.parks, lane.breaker.state),
            cooldown_s=cooldown_s,
            place_s=lane.drains_in_s(target),
            per_second=lane.per_second(target),
            jitter=chance(world.scenario.seed, "park", *job.park_key),
        )
        world.books.put_aside(job.park_key, now_ms, breaker_open=bool(cooldown_s))
        self.open[job.park_key] = job
        aside = job.delivery.parked(now_ms + round(delay_s * 1_000), "lane_full")
        tier = world.parking.next_tier(delay_s * 1_000) or world.parking.tiers[0]
        then = partial(self._if_alive, partial(self.record_parking, job))
        world.broker.append(world.delays[tier.name, self.partition], aside, then)

    def record_parking(self, job: Job) -> None:
        """Keeps a repeat from being put aside again."""
        record = AttemptRecord(job.park_key, "parked")
        then = partial(self._if_alive, partial(self._parked, job))
        self.world.broker.append(self.world.attempts[self.partition], record, then)

    def _parked(self, job: Job) -> None:
        self.finish(job.park_key, "parked")
        self._settled(job, job.park_key)
        self.read()
