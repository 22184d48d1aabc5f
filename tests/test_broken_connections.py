"""A client of Kafka outlives every moment at which its connection may break, on uvloop too."""

import asyncio

import pytest
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from runtime.broken_connections import lives
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack

MOMENTS = 8
"""Turns of the loop after the transport was closed; after three at the most the connection knows."""


async def broken_at(kafka: RunningKafka, turns: int) -> bool:
    """Whether a request that many turns after its transport was closed fails as requests do."""
    host, port = kafka.bootstrap.split(":")
    connection = await create_conn(host, int(port), request_timeout_ms=2_000)
    connection._writer.transport.abort()
    for _ in range(turns):
        await asyncio.sleep(0)
    try:
        await connection.send(MetadataRequest([]))
    except KafkaError:
        return True
    return False


def test_a_request_to_a_transport_that_uvloop_has_closed_fails_as_requests_do(kafka: RunningKafka) -> None:
    async def each() -> list[bool]:
        return [await broken_at(kafka, turns) for turns in range(MOMENTS)]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(each()) == [True] * MOMENTS


def test_a_client_that_keeps_no_metadata_any_more_is_found_out(kafka: RunningKafka) -> None:
    async def found_out() -> tuple[bool, bool]:
        async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as consumer:
            before = lives(consumer)
            consumer._client._sync_task.cancel()
            await asyncio.wait([consumer._client._sync_task])
            return before, lives(consumer)

    assert asyncio.run(found_out()) == (True, False)
