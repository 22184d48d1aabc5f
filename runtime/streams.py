"""Creates the streams of the table, and refuses to run on streams that would break a promise."""

import asyncio
import contextlib

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from runtime.settings import Settings
from schemas.streams import ALL_STREAMS, Stream, StreamNames

log = structlog.get_logger(__name__)

_ALREADY_EXISTS = 36  # aiokafka does not raise for it
_VISIBLE_S = 20.0  # a busy single broker takes below a second; a cluster's slowest broker some
_POLL_S = 0.1


class UnusableStreamsError(Exception):
    """The cluster's topics cannot carry Hooklog: the message says which and why."""


async def create_streams(settings: Settings) -> list[str]:
    """Creates every stream that does not exist; returns the names of the new ones.

    Raises:
        UnusableStreamsError: one cannot be created, or exists with another number of partitions than its peers,
            which would break the promise that attempts stand in their delivery's partition.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        created = await _create(admin, settings)
        await _check_partitions(admin, settings)
    finally:
        await admin.close()
    if created:
        log.info("streams_created", count=len(created))
    return created


async def _create(admin: AIOKafkaAdminClient, settings: Settings) -> list[str]:
    names = StreamNames(settings.kafka_prefix)
    response = await admin.create_topics([_new_topic(stream, names, settings) for stream in ALL_STREAMS])
    created = []
    for topic, code, *message in response.topic_errors:
        if code == 0:
            created.append(topic)
        elif code != _ALREADY_EXISTS:
            raise UnusableStreamsError(f"{topic}: {for_code(code).__name__} {message}")
    return created


def _new_topic(stream: Stream, names: StreamNames, settings: Settings) -> NewTopic:
    return NewTopic(
        name=names(stream),
        num_partitions=partitions_of(stream, settings),
        replication_factor=settings.replication_factor,
        topic_configs=stream.settings(),
    )


async def _check_partitions(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    names = StreamNames(settings.kafka_prefix)
    found = await _partitions(admin, list(map(names, ALL_STREAMS)))
    for stream in ALL_STREAMS:
        expected = partitions_of(stream, settings)
        if found.get(names(stream)) != expected:
            raise UnusableStreamsError(
                f"{names(stream)} has {found.get(names(stream))} partitions, HOOKLOG_PARTITIONS says {expected}; "
                "attempts must have the partitions of deliveries, and dispatches those of events"
            )


async def _partitions(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, int]:
    # A broker tells of a new topic a moment after it was created; until then it has no partitions.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_VISIBLE_S):
            while not all((found := await _described(admin, topics)).values()):
                await asyncio.sleep(_POLL_S)
            return found
    return await _described(admin, topics)


async def _described(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, int]:
    return {item["topic"]: len(item["partitions"]) for item in await admin.describe_topics(topics)}


def partitions_of(stream: Stream, settings: Settings) -> int:
    """How many partitions a stream has."""
    return 1 if stream.single else settings.partitions
