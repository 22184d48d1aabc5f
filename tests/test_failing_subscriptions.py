"""A subscription that has only failed for days is disabled, however often its worker is started again meanwhile."""

import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from processors.deliver.failing import QUIET_S, FailingSubscriptions
from processors.deliver.reports import Reports
from processors.tasks import Tasks
from rules.failing import MIN_FAILURES, WARNINGS_PERCENT
from schemas.headers import MalformedRecordError
from schemas.health import decode_health
from schemas.operation import Operation, OperationKind
from schemas.streams import HEALTH
from tests.kafka_fixture import RunningKafka
from tests.oracle.kafka_reader import Rec, read_stream
from tests.test_gone import Bench, bench
from tests.test_lanes import crashed

__all__ = ["bench"]  # a fixture, found by pytest in this namespace

pytestmark = pytest.mark.stack

DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@dataclass
class Clinic:
    """A subscription, its endpoint, and workers that come and go; time passes when it is told to."""

    bench: Bench
    now_ms: int = 1_800_000_000_000
    told: list[int] = field(default_factory=list)
    workers: list[FailingSubscriptions] = field(default_factory=list)

    async def worker(self) -> FailingSubscriptions:
        """A worker that was just assigned the partition."""
        started = FailingSubscriptions(
            bootstrap=self.bench.bootstrap,
            kafka_topic=self.bench.names(HEALTH),
            appender=self.bench.appender,
            gone=self.bench.worker(),
            reports=Reports(Tasks(crashed), self.tell, lambda: self.now_ms),
            now_ms=lambda: self.now_ms,
            monotonic_s=lambda: self.now_ms / 1_000,
        )
        self.workers.append(started)
        await started.start()
        await started.load(0)
        return started

    async def tell(self, operation: Operation) -> None:
        assert (operation.kind, operation.subject_id) == (OperationKind.SUBSCRIPTION_FAILING, "s")
        self.told.append(int(operation.detail["percent"]))

    async def attempt(self, worker: FailingSubscriptions, *, success: bool = False) -> None:
        await worker.attempted(0, self.bench.subscription(), success=success)

    async def fail_for(self, worker: FailingSubscriptions, hours: int) -> None:
        """Two failures an hour."""
        for _ in range(2 * hours):
            await self.attempt(worker)
            self.now_ms += HOUR_MS // 2

    async def health(self) -> list[Rec]:
        return await read_stream(self.bench.bootstrap, self.bench.names(HEALTH))


@pytest.fixture
async def clinic(bench: Bench) -> AsyncIterator[Clinic]:
    await bench.produce()
    running = Clinic(bench)
    yield running
    for worker in running.workers:
        await worker.stop()


async def test_five_days_of_failures_end_it_after_three_warnings_with_a_record_a_transition(clinic: Clinic) -> None:
    worker = await clinic.worker()
    await clinic.fail_for(worker, 5 * 24)
    assert clinic.told == list(WARNINGS_PERCENT)
    assert len(await clinic.bench.intake()) == 1
    await clinic.attempt(worker)
    *_, outcome = await clinic.bench.decide()
    assert (outcome.result, outcome.actor, outcome.reason) == ("applied", "hooklog", "failing for 5 days")
    assert not clinic.bench.subscription().spec.is_active
    health = await clinic.health()
    assert len(health) <= MIN_FAILURES + len(WARNINGS_PERCENT) + 1  # of 241 attempts
    assert health[-1].value is None


async def test_the_days_go_on_with_another_worker_and_no_warning_comes_twice(clinic: Clinic) -> None:
    for _ in range(6):
        await clinic.fail_for(await clinic.worker(), 20)
    assert clinic.told == list(WARNINGS_PERCENT)
    await clinic.attempt(await clinic.worker())
    *_, outcome = await clinic.bench.decide()
    assert outcome.reason == "failing for 5 days"


async def test_one_success_is_enough_and_another_worker_knows_of_it(clinic: Clinic) -> None:
    worker = await clinic.worker()
    await clinic.fail_for(worker, 4 * 24)
    await clinic.attempt(worker, success=True)
    clinic.now_ms += 9 * DAY_MS
    await clinic.fail_for(await clinic.worker(), 24)
    assert clinic.told == [50, 75]
    assert len(await clinic.bench.intake()) == 1


async def test_whoever_changes_a_subscription_gives_it_the_whole_time_again(clinic: Clinic) -> None:
    worker = await clinic.worker()
    await clinic.fail_for(worker, 4 * 24)
    before = clinic.bench.subscription()
    await clinic.bench.produce(target_url="https://example.com/mended")
    await clinic.fail_for(worker, 2 * 24)
    await worker.attempted(0, before, success=False)  # it was on the wire all the time
    assert len(await clinic.bench.intake()) == 2
    assert (await clinic.health())[-1].value is not None
    assert decode_health((await clinic.health())[-1].value).version == clinic.bench.subscription().version


async def test_one_that_was_ended_and_made_active_again_has_the_whole_time(clinic: Clinic) -> None:
    worker = await clinic.worker()
    await clinic.fail_for(worker, 5 * 24 + 1)
    await clinic.bench.decide()
    await clinic.bench.produce(is_active=True)
    await clinic.fail_for(await clinic.worker(), 4 * 24)
    assert clinic.bench.subscription().spec.is_active


@pytest.mark.parametrize("days", [0, 30])
async def test_a_subscription_has_its_own_time(clinic: Clinic, days: int) -> None:
    await clinic.bench.produce(disable_after_days=days)
    await clinic.fail_for(await clinic.worker(), 7 * 24)
    assert clinic.told == []
    assert len(await clinic.bench.intake()) == 2


async def test_an_endpoint_that_flaps_costs_few_records(clinic: Clinic) -> None:
    worker, dice = await clinic.worker(), random.Random(1)
    minutes = 5
    for _ in range(minutes * 60):
        await clinic.attempt(worker, success=dice.random() < 0.5)
        clinic.now_ms += 1_000
    assert len(await clinic.health()) <= (minutes * 60 / QUIET_S + 1) * (MIN_FAILURES + 1)


async def test_a_record_that_is_none_is_passed_over(clinic: Clinic, kafka: RunningKafka) -> None:
    worker = await clinic.worker()
    await clinic.fail_for(worker, 1)
    await clinic.bench.appender.append(HEALTH, b"{", key=b"s", timeout_s=10)
    with pytest.raises(MalformedRecordError):
        decode_health(b"{")
    began = time.monotonic()
    await (await clinic.worker()).load(0)
    assert time.monotonic() > began
    assert kafka.pid
