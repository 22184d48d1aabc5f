"""The config agent on a real broker: what it stores, and what it does about a writer that comes too late."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from processors.config.agent import ConfigAgent, Hold
from processors.config.decide import ConfigRules
from processors.config.intake import Intake
from processors.metrics import WorkerMetrics
from processors.operations.tell import Operations
from rules.addresses import AddressPolicy
from runtime.kafka import Appender, NotStoredError, Outgoing
from runtime.keyring import Keyring
from runtime.settings import Settings
from runtime.streams import create_streams
from runtime.tables import ConfigTables
from schemas.outcome import decode_outcome
from schemas.streams import OUTCOMES, TABLES, Stream, StreamNames
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack

KEYRING = Keyring.parse(f"a:{base64.b64encode(b'k' * 32).decode()}")


async def yes() -> bool:
    return True


async def no() -> bool:
    return False


HELD = Hold(lambda: True, yes)
LOST_WHILE_STORING = Hold(lambda: True, no)


def intake(offset: int, value: bytes | None, key: bytes = b"s") -> Intake:
    return Intake(kind="sources", offset=offset, at_ms=offset, key=key, value=value, headers={})


def source(name: str) -> bytes:
    return json.dumps({"auth_type": "none", "name": name}).encode()


@dataclass
class Bench:
    """An agent with everything it needs."""

    agent: ConfigAgent
    tables: ConfigTables
    appender: Appender
    names: StreamNames
    bootstrap: str

    async def apply(self, *intakes: Intake, hold: Hold = HELD) -> None:
        await self.agent.apply(list(intakes), hold)

    async def last(self, stream: Stream) -> dict[bytes, bytes | None]:
        """What compaction would keep of a stream."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        tp = TopicPartition(self.names(stream), 0)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        kept: dict[bytes, bytes | None] = {}
        while await consumer.position(tp) < end:
            for record in (await consumer.getmany(timeout_ms=200)).get(tp, []):
                kept[record.key] = record.value
        await consumer.stop()
        return kept


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


async def test_a_batch_is_decided_one_record_after_the_other(bench: Bench) -> None:
    await bench.apply(intake(0, source("a")), intake(1, source("b")), intake(2, None), intake(3, source("c")))
    record = bench.tables.source("s")
    assert record is not None
    assert (record.spec.name, record.version, record.generation) == ("c", 3, 3)


async def test_a_batch_applied_twice_leaves_the_table_and_the_outcomes_as_they_were(bench: Bench) -> None:
    batch = [intake(0, source("a")), intake(1, b"{"), intake(2, source("b"), b"other")]
    await bench.apply(*batch)
    table, outcomes = await bench.last(TABLES["sources"]), await bench.last(OUTCOMES)
    await bench.apply(*batch)
    assert await bench.last(TABLES["sources"]) == table
    assert {key: decode_outcome(value) for key, value in (await bench.last(OUTCOMES)).items()} == {
        key: decode_outcome(value) for key, value in outcomes.items()
    }


async def test_what_a_late_writer_covered_is_stored_again_before_anything_else(bench: Bench) -> None:
    await bench.apply(intake(10, source("old")))
    late = (await bench.last(TABLES["sources"]))[b"s"]
    await bench.apply(intake(11, source("new")), intake(12, source("x"), b"gone"), intake(13, None, b"gone"))
    for key in (b"s", b"gone"):
        value = late if key == b"s" else (late or b"").replace(b'"id":"s"', b'"id":"gone"')
        await bench.appender.append_surely(Outgoing(TABLES["sources"], value, key))
    await bench.tables.catch_up()
    await bench.apply(intake(14, source("y"), b"unrelated"))
    kept = await bench.last(TABLES["sources"])
    assert json.loads(kept[b"s"] or b"")["name"] == "new"
    assert kept[b"gone"] is None


async def test_nobody_is_told_of_a_record_that_may_have_been_stored_after_the_next_owner_came(bench: Bench) -> None:
    with pytest.raises(NotStoredError):
        await bench.apply(intake(0, source("a")), hold=LOST_WHILE_STORING)
    assert list(await bench.last(TABLES["sources"])) == [b"s"]
    assert not await bench.last(OUTCOMES)
    await bench.apply(intake(0, source("a")))  # the next owner reads it again
    (told,) = (await bench.last(OUTCOMES)).values()
    assert decode_outcome(told).intake_offset == 0
