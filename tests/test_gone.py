"""The end of subscriptions whose endpoint is gone: one record for each version, and the config agent decides."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from processors.config.agent import ConfigAgent, Hold
from processors.config.decide import ConfigRules
from processors.config.intake import Intake
from processors.deliver.gone import GoneSubscriptions
from processors.metrics import WorkerMetrics
from processors.operations.tell import Operations
from rules.addresses import AddressPolicy
from runtime.kafka import Appender, Outgoing
from runtime.keyring import Keyring
from runtime.settings import Settings
from runtime.streams import create_streams
from runtime.tables import ConfigTables
from schemas.config import SubscriptionSpec
from schemas.outcome import Outcome, decode_outcome
from schemas.stored import Record
from schemas.streams import INTAKE, OUTCOMES, Stream, StreamNames
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack

KEYRING = Keyring.parse(f"a:{base64.b64encode(b'k' * 32).decode()}")
SECRET = "whsec_" + base64.b64encode(b"s" * 24).decode()
SUBSCRIPTION = {
    "topic_id": "t",
    "target_url": "https://example.com/hook",
    "secret": SECRET,
    "headers": {"X-Team": "billing"},
    "retry": {"max_retries": 3},
}


async def held() -> bool:
    return True


@dataclass
class Bench:
    """A config agent that is told to read, and a deliver worker's part."""

    agent: ConfigAgent
    tables: ConfigTables
    appender: Appender
    names: StreamNames
    bootstrap: str

    def worker(self) -> GoneSubscriptions:
        return GoneSubscriptions(self.tables, KEYRING, self.appender)

    async def read(self, stream: Stream) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        tp = TopicPartition(self.names(stream), 0)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        records: list[ConsumerRecord] = []
        while await consumer.position(tp) < end:
            records += (await consumer.getmany(timeout_ms=200)).get(tp, [])
        await consumer.stop()
        return records

    async def intake(self) -> list[ConsumerRecord]:
        return await self.read(INTAKE["subscriptions"])

    async def produce(self, **changes: object) -> None:
        value = orjson.dumps(SUBSCRIPTION | changes)
        await self.appender.append_surely(Outgoing(INTAKE["subscriptions"], value, b"s"))
        await self.decide()

    async def decide(self) -> list[Outcome]:
        """Lets the config agent read everything; the last outcome of each record."""
        await self.agent.apply(
            [Intake.of("subscriptions", record) for record in await self.intake()], Hold(lambda: True, held)
        )
        outcomes = [decode_outcome(record.value) for record in await self.read(OUTCOMES)]
        return list({outcome.intake_offset: outcome for outcome in outcomes}.values())

    def subscription(self) -> Record[SubscriptionSpec]:
        record = self.tables.subscription("s")
        assert record is not None
        return record


@pytest.fixture
async def bench(kafka: RunningKafka) -> AsyncIterator[Bench]:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=1)
    await create_streams(settings)
    names = StreamNames(settings.kafka_prefix)
    appender, tables = Appender(kafka.bootstrap, names), ConfigTables(kafka.bootstrap, names, KEYRING)
    await appender.start()
    await tables.start()
    rules = ConfigRules(KEYRING, AddressPolicy.of([]))
    metrics = WorkerMetrics()
    operations = Operations(appender, lambda: 0, metrics)
    agent = ConfigAgent(rules, tables, KEYRING, appender=appender, operations=operations, metrics=metrics)
    yield Bench(agent, tables, appender, names, kafka.bootstrap)
    await tables.stop()
    await appender.stop()


async def test_the_subscription_is_inactive_and_otherwise_as_it_was(bench: Bench) -> None:
    await bench.produce()
    before = bench.subscription()
    await bench.worker().end(before)
    *_, outcome = await bench.decide()
    after = bench.subscription()
    assert after.spec == before.spec.model_copy(update={"is_active": False})
    assert after.spec.secret == SECRET
    assert (after.generation, after.created_at) == (before.generation, before.created_at)
    assert (outcome.result, outcome.actor, outcome.reason) == ("applied", "hooklog", "the endpoint answered 410 Gone")


async def test_the_record_shows_no_secret(bench: Bench) -> None:
    await bench.produce()
    await bench.worker().end(bench.subscription())
    *_, record = await bench.intake()
    assert SECRET.removeprefix("whsec_").encode() not in record.value
    assert b"hlenc:" in record.value


async def test_a_thousand_answers_at_once_make_one_record_that_is_there_when_any_of_them_goes_on(bench: Bench) -> None:
    await bench.produce()
    worker, before = bench.worker(), bench.subscription()
    ends = [asyncio.create_task(worker.end(before)) for _ in range(1_000)]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    assert len(await bench.intake()) == 2
    await asyncio.gather(*ends)
    await bench.decide()
    await worker.end(before)  # an answer to a request that was on the wire all the time
    assert len(await bench.intake()) == 2


async def test_whoever_gives_up_waiting_stops_nobody_else(bench: Bench) -> None:
    await bench.produce()
    worker, before = bench.worker(), bench.subscription()
    first, second = (asyncio.create_task(worker.end(before)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert len(await bench.intake()) == 2


async def test_two_workers_end_a_version_once(bench: Bench) -> None:
    await bench.produce()
    before = bench.subscription()
    await asyncio.gather(bench.worker().end(before), bench.worker().end(before))
    outcomes = await bench.decide()
    assert [(outcome.result, outcome.code) for outcome in outcomes[1:]] == [
        ("applied", ""),
        ("refused", "version_changed"),
    ]


async def test_what_a_person_changed_meanwhile_stays(bench: Bench) -> None:
    await bench.produce()
    before = bench.subscription()
    await bench.appender.append_surely(Outgoing(INTAKE["subscriptions"], orjson.dumps(SUBSCRIPTION), b"s"))
    await bench.worker().end(before)  # its table does not know of the change yet
    *_, outcome = await bench.decide()
    assert (outcome.result, outcome.code) == ("refused", "version_changed")
    assert bench.subscription().spec.is_active

    await bench.worker().end(before)  # now it does
    assert len(await bench.intake()) == 3


async def test_one_that_was_made_active_again_ends_again(bench: Bench) -> None:
    await bench.produce()
    worker = bench.worker()
    for _ in range(2):
        await bench.produce(is_active=True)
        await worker.end(bench.subscription())
        await bench.decide()
        assert not bench.subscription().spec.is_active


async def test_one_that_was_deleted_stays_deleted(bench: Bench) -> None:
    await bench.produce()
    before = bench.subscription()
    await bench.appender.append_surely(Outgoing(INTAKE["subscriptions"], None, b"s"))
    await bench.decide()
    await bench.worker().end(before)
    assert len(await bench.intake()) == 2
    await bench.worker().end(replace(before, version=before.version + 100))
    assert bench.tables.subscription("s") is None
