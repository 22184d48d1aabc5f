"""What happened in a world, and what must hold. It keeps its own accounts and asks no rule of the product."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from rules.retry import Answer
from tests.simulation.clock import START_MS
from tests.simulation.scenario import Fault, Mood, Scenario, Target
from tests.simulation.streams import ACK_MS, Log

Key = tuple[str, int]
ParkKey = tuple[str, int, int]

OUTAGE_MS = {Fault.KILL: 25_000, Fault.REBALANCE: 20_000, Fault.KILL_DELAY: 10_000}
"""How long a fault may hold anything up, a request on the wire that has to be waited for included."""

SECOND_MS = 1_000
MAX_COOLDOWN_MS = 300 * SECOND_MS
MAX_COMEBACK_MS = 360 * SECOND_MS
"""The longest wait of a parked delivery that has come in vain again and again."""


LONG_PARK_S, PARK_HOUR_MS = 1_440, 3_600 * SECOND_MS
"""Whoever is asked to wait for longer than twelve hops of two minutes comes again by the hour."""


class ViolationError(AssertionError):
    """Something that must hold did not."""


def require(holds: bool, what: str) -> None:
    """Judges."""
    if not holds:
        raise ViolationError(what)


@dataclass(eq=False)
class Books:
    """The accounts of one world."""

    scenario: Scenario
    created_ms: dict[str, int] = field(default_factory=dict)
    target_of: dict[str, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)  # targets that were disabled or are gone, and when
    finals: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    dead: Counter[str] = field(default_factory=Counter)
    exposed: Counter[Key | ParkKey] = field(default_factory=Counter)
    posts: Counter[Key] = field(default_factory=Counter)
    parked: Counter[ParkKey] = field(default_factory=Counter)
    in_vain: Counter[Key] = field(default_factory=Counter)
    taken_ms: dict[tuple[int, int], list[int]] = field(default_factory=lambda: defaultdict(list))
    success_ms: dict[int, int] = field(default_factory=dict)
    ended_ms: dict[str, int] = field(default_factory=dict)
    not_before_ms: dict[Key, int] = field(default_factory=dict)

    def target(self, delivery_id: str) -> Target:
        """Its target."""
        return self.scenario.targets[self.target_of[delivery_id]]

    def created(self, delivery_id: str, target: int, now_ms: int) -> None:
        """A delivery begins."""
        self.created_ms[delivery_id] = now_ms
        self.target_of[delivery_id] = target

    def started(self, key: Key, now_ms: int, assignment: int, in_flight: int) -> None:
        """A request goes out."""
        number = self.target_of[key[0]]
        require(number not in self.ended, f"{key} was sent though its target was disabled")
        ready_ms = self._ready_ms(key)
        require(now_ms >= ready_ms, f"{key} was sent {ready_ms - now_ms} ms early")
        require(in_flight <= self.target(key[0]).max_in_flight, f"{key} makes {in_flight} in flight")
        ended_ms = self.ended_ms.get(key[0], now_ms)
        require(now_ms - ended_ms <= ACK_MS, f"{key} was sent {now_ms - ended_ms} ms after its delivery had ended")
        self.posts[key] += 1
        if self.posts[key] == 1:
            self._on_time(key, now_ms)
        require(self.posts[key] <= 1 + self.exposed[key], f"{key} was sent again without a crash to blame")
        self.taken_ms[assignment, number].append(now_ms - START_MS)

    def _ready_ms(self, key: Key) -> int:
        return self.created_ms[key[0]] if key[1] == 1 else self.not_before_ms[key]

    def answered(self, key: Key, now_ms: int, answer: Answer) -> None:
        """A request was answered; the next one has to wait for the schedule and for what the endpoint asked."""
        target = self.target(key[0])
        if answer.success:
            self.success_ms[self.target_of[key[0]]] = now_ms
        elif key[1] <= len(target.delays_s):
            wait_s = max(target.delays_s[key[1] - 1], float(answer.retry_after or 0))
            moment_ms = now_ms + round(wait_s * SECOND_MS)
            following = (key[0], key[1] + 1)
            self.not_before_ms[following] = min(moment_ms, self.not_before_ms.get(following, moment_ms))

    def _on_time(self, key: Key, now_ms: int) -> None:
        late_ms = now_ms - max(self._ready_ms(key), START_MS + self._up_from_ms(key[0]))
        bound_ms = self.bound_ms(key[0])
        require(late_ms <= bound_ms, f"{key} was sent {late_ms} ms late, {bound_ms} are allowed")

    def _up_from_ms(self, delivery_id: str) -> int:
        target = self.target(delivery_id)
        return 0 if _steady(target) else target.up_from_ms

    def bound_ms(self, delivery_id: str) -> int:
        """How late a request may start once the endpoint is up: as long as its own kind takes, not as others do."""
        target, number = self.target(delivery_id), self.target_of[delivery_id]
        count = sum(each == number for _, each in self.scenario.arrivals)
        takes_s = 4.0 if any(phase.mood is Mood.SLOW for phase in target.phases) else 0.2
        pace_s = max(takes_s / target.max_in_flight, 1 / target.rate[0] if target.rate else 0)
        faults_ms = sum(OUTAGE_MS[trouble.fault] for trouble in self.scenario.troubles)
        jitter_ms = round(max(target.delays_s, default=0) * SECOND_MS / 10)  # a delay may be 10 % longer than it says
        own_ms = 20_000 + faults_ms + jitter_ms + round(3 * count * pace_s * SECOND_MS)
        if _steady(target):
            return own_ms
        asked_s = max(phase.retry_after_s for phase in target.phases)
        asked_ms = asked_s * SECOND_MS + (PARK_HOUR_MS if asked_s > LONG_PARK_S else 0)
        return own_ms + max(asked_ms, MAX_COOLDOWN_MS) + MAX_COMEBACK_MS + count * SECOND_MS // 10

    def stored(self, delivery_id: str, status: str, now_ms: int, end_ms: int) -> None:
        """The record of an ending was stored."""
        if status == "expired" and self.target_of[delivery_id] not in self.ended:
            ready_ms = START_MS + self._up_from_ms(delivery_id) + self.bound_ms(delivery_id)
            waited = self.created_ms[delivery_id] + self.bound_ms(delivery_id)
            require(end_ms <= max(ready_ms, waited) or now_ms <= end_ms, f"{delivery_id} expired, but could be sent")
        if status != "retrying":
            self.finals[delivery_id].append(status)
            self.ended_ms.setdefault(delivery_id, now_ms)

    def put_aside(self, key: ParkKey, now_ms: int, *, breaker_open: bool) -> None:
        """A delivery is parked: more and more seldom for an open breaker, and else when it has a place."""
        self.parked[key] += 1
        require(self.parked[key] <= 1 + self.exposed[key], f"{key} was parked again without a crash to blame")
        self.in_vain[key[:2]] += breaker_open
        passed_ms = now_ms - self._ready_ms(key[:2])
        bound = 8 + 2 * passed_ms // (320 * SECOND_MS)  # once more each time while it is probed
        require(self.in_vain[key[:2]] <= bound, f"{key} was parked for an open breaker more often than {bound} times")
        bound = 1 + passed_ms // (5 * SECOND_MS)
        require(key[2] < bound, f"{key} was parked more often than {bound} times")

    def disabled(self, number: int, now_ms: int, days: float) -> None:
        """A target is given up."""
        require(bool(days), f"target {number} was disabled, but never may be")
        silent_ms = now_ms - self.success_ms.get(number, START_MS)
        require(silent_ms >= days * 86_400_000, f"target {number} was disabled {silent_ms} ms after a success")

    def findable(self, logs: list[Log], finished: set[Key | ParkKey]) -> None:
        """Every delivery that has not ended stands in a stream, where the next reader begins or behind it."""
        there = set()
        for log in logs:
            for record in log.records[log.committed :]:
                delivery = record.value
                key = (delivery.delivery_id, delivery.attempt)
                if key not in finished and (*key, delivery.parks) not in finished:
                    there.add(delivery.delivery_id)
        lost = self.created_ms.keys() - self.finals.keys() - there
        require(not lost, f"{sorted(lost)[:3]} are in no stream")

    def close(self) -> None:
        """Judges what can only be judged at the end."""
        forked = {key[0] for key in self.exposed}
        for delivery_id in self.created_ms:
            ends = self.finals[delivery_id]
            require(bool(ends), f"{delivery_id} never ended")
            require(len(ends) == 1 or delivery_id in forked, f"{delivery_id} ended more than once: {ends}")
            letters = sum(end in {"failed", "expired"} for end in ends)
            exact = letters == self.dead[delivery_id]
            require(exact or delivery_id in forked, f"{delivery_id} has {self.dead[delivery_id]} dead letters: {ends}")
            require(self.dead[delivery_id] >= letters, f"{delivery_id} failed without a dead letter")
            cancelled = "cancelled" in ends
            require(not cancelled or self.target_of[delivery_id] in self.ended, f"{delivery_id} was cancelled")
        for (_, number), times in self.taken_ms.items():
            rate = self.scenario.targets[number].rate
            if rate is not None:
                _within(times, *rate)


def _steady(target: Target) -> bool:
    """Whether nothing but its own pace ever holds an endpoint's deliveries up."""
    return all(phase.mood in {Mood.HEALTHY, Mood.SLOW} for phase in target.phases)


def _within(times_ms: list[int], per_second: float, burst: int) -> None:
    lowest = 0.0
    for number, now_ms in enumerate(sorted(times_ms)):
        share = now_ms / SECOND_MS * per_second
        lowest = min(lowest, number - share) if number else -share
        taken = number + 1 - share - lowest
        require(taken <= burst + 1e-6, f"{taken} requests above the share of {per_second} a second, burst {burst}")
