"""A parked delivery may be back before its parking is stored for good, when Kafka is slow."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP

from processors.batchfed.acker import Token
from processors.deliver import agent
from processors.deliver.agent import DeliverAgent
from processors.deliver.gates import Stop
from processors.deliver.job import Job
from schemas.delivery import Delivery, encode_delivery
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
            ownership=cast("Any", SimpleNamespace(holds=lambda _: True, certain=lambda: True)),
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


async def test_a_parked_delivery_that_is_back_early_is_judged_again_and_not_taken_for_a_repeat() -> None:
    worker = SlowlyParked()
    await worker.take(0, DELIVERY)
    await worker.take(1, DELIVERY.parked(NOW_MS, "breaker_open"))
    await worker.take(2, DELIVERY)  # a repeat of the first
    worker.stored.set()

    async def all_acked() -> bool:
        return sorted(worker.acked) == [0, 1, 2]

    await until("every record acknowledged", all_acked)
    assert worker.parked == [0, 1]
