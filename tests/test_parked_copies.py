"""A parked delivery may be back before its parking is stored for good, when Kafka is slow."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from faust.types import TP
from msgspec.structs import replace

from processors.app import Worker
from processors.batchfed.acker import Token
from processors.deliver import agent
from processors.deliver.agent import DeliverAgent
from processors.deliver.gates import Stop
from processors.deliver.job import Job
from runtime.kafka import Appender, Outgoing
from runtime.settings import Settings
from runtime.streams import create_streams
from schemas.attempt import Attempt, AttemptKind, AttemptStatus, decode_attempt
from schemas.delivery import Delivery, encode_delivery
from schemas.streams import ATTEMPTS, DELIVERIES, INTAKE, MAX_RECORD_BYTES, StreamNames
from tests.kafka_fixture import RunningKafka
from tests.oracle.http import get
from tests.oracle.kafka_reader import read_stream
from tests.oracle.receiver import Receiver
from tests.oracle.stack import until

NOW_MS = 1_767_323_045_678

DELIVERY = Delivery(
    delivery_id="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
    event_id="01JD8Z7A0B1C2D3E4F5G6H7J8K",
    subscription_id="billing",
    topic_id="orders",
    source_id="shop",
    event_type="order.created",
    generation=1,
    config_version=0,
    received_ms=NOW_MS,
    body=b"{}",
)


class SlowlyParked:
    """An agent whose gate is shut, and whose first parking is stored only when the test says so."""

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.parked: list[int] = []
        self.stored = asyncio.Event()
        self.finished: set[tuple[Any, ...]] = set()
        spec = SimpleNamespace(max_in_flight=1, is_active=True, retry=None)
        subscription = SimpleNamespace(spec=spec, generation=1)
        self.agent = DeliverAgent(
            acker=cast("Any", SimpleNamespace(done=lambda token: self.acked.append(token.offset))),
            ownership=cast("Any", SimpleNamespace(holds=lambda _: True, settled=self._yes)),
            finished=cast(
                "Any",
                SimpleNamespace(
                    load=self._nothing,
                    has=lambda _, key: key in self.finished,
                    ended=lambda *_: False,
                    add=lambda _, key: self.finished.add(key),
                ),
            ),
            failing=cast("Any", SimpleNamespace(load=self._nothing)),
            step=cast("Any", SimpleNamespace(park=self._park, lease=self._nothing)),
            bodies=cast("Any", None),
            gates=cast(
                "Any",
                SimpleNamespace(
                    stop=lambda *_: Stop("breaker_open", cooldown_s=1.0),
                    delay_s=lambda *_: 0.1,
                    hold_s=lambda *_: 0.0,
                    clear=lambda: None,
                ),
            ),
            tables=cast("Any", SimpleNamespace(subscription=lambda _: subscription, as_new_as=self._nothing)),
            now_ms=lambda: NOW_MS,
            on_crash=lambda error: self.parked.append(-1 if error else -2),
        )

    async def _nothing(self, *_: object) -> None:
        """Takes no time."""

    async def _yes(self, *_: object) -> bool:
        return True

    async def _park(self, job: Job, _delay_s: float, _reason: str) -> None:
        self.parked.append(job.delivery.parks)
        await self.stored.wait()

    async def take(self, offset: int, delivery: Delivery) -> None:
        """The agent gets a record."""
        record = SimpleNamespace(
            partition=0, offset=offset, timestamp=NOW_MS, value=delivery.value, headers=encode_delivery(delivery)
        )
        await self.agent.take(1, [(Token((TP("deliveries", 0), 1), offset), cast("Any", record))])


async def test_a_drain_that_cancels_a_parking_before_its_first_step_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent, "MAX_LEAVING", 1)
    worker = SlowlyParked()
    worker.stored.set()
    async with asyncio.timeout(10):
        for offset in range(3):
            await worker.take(offset, DELIVERY)
            await worker.agent.drain(0, leaving=False)
        assert worker.parked == worker.acked == []
        await worker.take(3, DELIVERY)

    async def acked() -> bool:
        return worker.acked == [3]

    await until("the last one parked", acked)


@dataclass
class Real:
    """A whole worker on a real broker, and one subscription whose endpoint is away."""

    worker: Worker
    settings: Settings
    appender: Appender

    @property
    def names(self) -> StreamNames:
        return StreamNames(self.settings.kafka_prefix)

    async def deliver(self, number: int) -> None:
        """Appends a delivery, as dispatch does."""
        record = self.worker.clients.tables.subscription("billing")
        assert record is not None
        item = replace(
            DELIVERY,
            delivery_id=f"d{number}",
            event_id=f"e{number}",
            generation=record.generation,
            received_ms=time.time_ns() // 1_000_000,
        )
        await self.appender.append_surely(Outgoing(DELIVERIES, item.value, b"billing", encode_delivery(item)))

    async def take_attempts(self, most_bytes: int = MAX_RECORD_BYTES) -> None:
        """Lets the attempts stream take no record that is larger."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.settings.bootstrap)
        await admin.start()
        wanted = ATTEMPTS.settings() | {"max.message.bytes": str(most_bytes)}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.names(ATTEMPTS), wanted)])
        await admin.close()

    async def told(self, event_id: str) -> list[Attempt]:
        """The attempt records of an event."""
        found = await read_stream(self.settings.bootstrap, self.names(ATTEMPTS))
        return [item for rec in found if (item := decode_attempt(rec.value)).event_id == event_id]


@pytest.fixture
async def real(kafka: RunningKafka, receiver: Receiver, tmp_path: Path) -> AsyncIterator[Real]:
    settings = Settings(
        kafka_bootstrap=kafka.bootstrap,
        kafka_prefix=kafka.new_prefix(),
        partitions=1,
        data_dir=tmp_path / "not" / "there",
        egress_allow="127.0.0.0/8",
        encryption_keys=f"a:{base64.b64encode(b'k' * 32).decode()}",
        session_timeout_s=10,
    )
    await create_streams(settings)
    crashes: list[BaseException] = []
    worker = Worker(settings, crashes.append)
    appender = Appender(settings.bootstrap, StreamNames(settings.kafka_prefix))
    await appender.start()
    async with worker.clients.running(), worker.agents():
        url = receiver.url("/outage/copies")
        subscription = orjson.dumps({"topic_id": "orders", "target_url": url, "retry": {"delays_s": [600]}})
        await appender.append_surely(Outgoing(INTAKE["subscriptions"], subscription, b"billing"))

        async def applied() -> bool:
            return worker.clients.tables.subscription("billing") is not None

        await until("the subscription", applied)
        yield Real(worker, settings, appender)
    await appender.stop()
    assert crashes == []


async def test_a_parked_delivery_that_is_back_before_its_parking_is_stored_is_judged_again_and_not_taken_for_a_repeat(
    real: Real, receiver: Receiver
) -> None:
    for number in range(5):
        await real.deliver(number)

    async def broken() -> bool:
        return real.worker._gates.open == 1

    await until("an open breaker", broken)
    await real.take_attempts(most_bytes=100)
    await real.deliver(9)

    async def back() -> bool:
        records = await read_stream(real.settings.bootstrap, real.names(DELIVERIES))
        return any(rec.header("ce_id") == "e9" and rec.header("hl-parks") == "1" for rec in records)

    await until("the copy", back, 60)
    assert await real.told("e9") == []
    await real.take_attempts()
    await get(receiver.port, "/mend/copies")

    async def delivered() -> bool:
        return any(item.status is AttemptStatus.SUCCESS for item in await real.told("e9"))

    await until("the delivery", delivered, 90)
    kinds = [item.kind for item in await real.told("e9")]
    assert kinds[0] is AttemptKind.PARKED
    assert [entry.webhook_id for entry in await receiver.at("/outage/copies")].count("e9") == 1
