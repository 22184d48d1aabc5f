"""The streams are made as the table says, once, and unusable ones are refused."""

from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from runtime.settings import Settings
from runtime.streams import UnusableStreamsError, create_streams
from schemas.streams import (
    ALL_STREAMS,
    ATTEMPTS,
    DELIVERIES,
    EVENTS,
    EXPIRED,
    HEALTH,
    RETRY_TIERS,
    TABLES,
    Stream,
    StreamNames,
)
from tests.kafka_fixture import RunningKafka


def settings_for(kafka: RunningKafka, partitions: int = 3) -> Settings:
    """Settings with streams of their own."""
    return Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=partitions)


async def describe(kafka: RunningKafka, names: list[str]) -> tuple[dict[str, int], dict[str, dict[str, str]]]:
    """How many partitions and which settings the broker says that topics have."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    topics = await admin.describe_topics(names)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for _, _, _, name, entries in response.resources:
            configs[name] = {entry[0]: entry[1] for entry in entries}
    await admin.close()
    return {item["topic"]: len(item["partitions"]) for item in topics}, configs


@pytest.mark.stack
async def test_every_stream_is_made_as_the_table_says_and_only_once(kafka: RunningKafka) -> None:
    settings = settings_for(kafka)
    names = StreamNames(settings.kafka_prefix)
    assert sorted(await create_streams(settings)) == sorted(map(names, ALL_STREAMS))
    assert await create_streams(settings) == []
    partitions, configs = await describe(kafka, list(map(names, ALL_STREAMS)))
    for stream in ALL_STREAMS:
        assert partitions[names(stream)] == (1 if stream.single else 3)
        expected: dict[str, Any] = stream.settings()
        assert {key: configs[names(stream)][key] for key in expected} == expected


@pytest.mark.stack
@pytest.mark.parametrize("stream", [ATTEMPTS, DELIVERIES, EVENTS])
async def test_a_stream_with_another_number_of_partitions_is_refused(kafka: RunningKafka, stream: Stream) -> None:
    settings = settings_for(kafka)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(settings.kafka_prefix + stream.name, 2, 1)])
    await admin.close()
    with pytest.raises(UnusableStreamsError, match=rf"{stream.name} has 2 partitions"):
        await create_streams(settings)


def test_no_two_streams_have_the_same_name() -> None:
    assert len({stream.name for stream in ALL_STREAMS}) == len(ALL_STREAMS)


def test_the_retry_tiers_ascend_and_outlive_their_delay() -> None:
    delays = [tier.delay_s for tier in RETRY_TIERS]
    assert delays == sorted(set(delays))
    assert all(tier.retention_ms and tier.retention_ms > tier.delay_s * 1_000 for tier in RETRY_TIERS)


def test_only_tables_are_compacted() -> None:
    assert {stream for stream in ALL_STREAMS if stream.compacted} == {*TABLES.values(), HEALTH, EXPIRED}
