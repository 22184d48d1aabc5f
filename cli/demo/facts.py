"""What the gateway says happened: its tables in ClickHouse, and its dead letters in Kafka."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cli.demo.api import Api
from cli.demo.cast import Cast
from cli.demo.stack import Place

States = dict[str, Counter[str]]
"""Deliveries by subscription and state."""

ENDED = ("SUCCESS", "FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Traffic:
    """The attempts of one subscription, durations in milliseconds."""

    attempts: int = 0
    retries: int = 0
    successes: int = 0
    p50_ms: float = 0.0
    p95_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """All of it, for the demo's topics.

    Attributes:
        event_ids: accepted events.
        rejections: refused requests.
        dispatched: events that were dispatched; `matched` is how many deliveries that made.
        states: of the deliveries.
        traffic: by subscription.
        dead: dead letters in Kafka, by subscription.
    """

    event_ids: frozenset[str] = frozenset()
    rejections: int = 0
    dispatched: int = 0
    matched: int = 0
    states: States = field(default_factory=dict)
    traffic: dict[str, Traffic] = field(default_factory=dict)
    dead: Counter[str] = field(default_factory=Counter)

    def total(self, *states: str) -> int:
        """Deliveries in these states; without any, all of them."""
        return sum(number for found in self.states.values() for state, number in found.items() if state in states)

    @property
    def deliveries(self) -> int:
        """All deliveries."""
        return sum(found.total() for found in self.states.values())


async def read_states(api: Api, cast: Cast) -> States:
    """Count the deliveries by state, now."""
    rows = await api.sql(
        "SELECT subscription_id, toString(status) AS status, count() AS n FROM deliveries FINAL "  # noqa: S608 - own ids
        f"WHERE {_ours(cast)} GROUP BY subscription_id, status"
    )
    states: States = {}
    for row in rows:
        states.setdefault(row["subscription_id"], Counter())[row["status"]] = int(row["n"])
    return states


async def read_facts(api: Api, cast: Cast, since_ms: int) -> Facts:
    """Read everything, dead letters from `since_ms` (epoch milliseconds) on."""
    ours = _ours(cast)
    events = await api.sql(f"SELECT event_id FROM events FINAL WHERE {ours}")  # noqa: S608 - own ids
    (refused,) = await api.sql(f"SELECT count() AS n FROM rejections FINAL WHERE {ours}")  # noqa: S608 - as above
    (dispatch,) = await api.sql(
        f"SELECT count() AS n, sum(matched) AS matched FROM dispatches FINAL WHERE {ours}"  # noqa: S608 - as above
    )
    traffic = await api.sql(
        "SELECT subscription_id, count() AS attempts, countIf(attempt > 1) AS retries, "  # noqa: S608 - as above
        "countIf(status = 'SUCCESS') AS successes, "
        "quantile(0.5)(duration_ms) AS p50_ms, quantile(0.95)(duration_ms) AS p95_ms "
        f"FROM attempts FINAL WHERE {ours} AND kind = 'attempt' GROUP BY subscription_id"
    )
    return Facts(
        event_ids=frozenset(row["event_id"] for row in events),
        rejections=int(refused["n"]),
        dispatched=int(dispatch["n"]),
        matched=int(dispatch["matched"]),
        states=await read_states(api, cast),
        traffic={row["subscription_id"]: _traffic(row) for row in traffic},
        dead=await read_dead(api.place, cast, since_ms),
    )


def _ours(cast: Cast) -> str:
    return "topic_id IN ({})".format(", ".join(f"'{topic_id}'" for topic_id in cast.topic_ids))


def _traffic(row: dict[str, Any]) -> Traffic:
    counts = {name: int(row[name]) for name in ("attempts", "retries", "successes")}
    return Traffic(**counts, p50_ms=float(row["p50_ms"]), p95_ms=float(row["p95_ms"]))


async def read_dead(place: Place, cast: Cast, since_ms: int) -> Counter[str]:
    """Count the dead letters in Kafka by subscription, each delivery once, of the demo's subscriptions."""
    from aiokafka import AIOKafkaConsumer

    from schemas.streams import DEAD, StreamNames

    ours = {subscription.id for subscription in cast.subscriptions}
    letters: set[tuple[str, str]] = set()
    async with AIOKafkaConsumer(bootstrap_servers=place.bootstrap, auto_offset_reset="earliest") as consumer:
        stream = StreamNames(place.kafka_prefix)(DEAD)
        partitions = await _partitions(place.bootstrap, stream)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        starts = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        for partition in partitions:
            consumer.seek(partition, starts[partition].offset if starts[partition] else ends[partition])
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                letters |= {_letter(record.headers) for record in records}
    return Counter(subscription_id for subscription_id, _ in letters if subscription_id in ours)


async def _partitions(bootstrap: str, stream: str) -> list[Any]:
    from aiokafka import TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([stream])
    finally:
        await admin.close()
    return [TopicPartition(stream, number) for number in range(len(found["partitions"]))]


def _letter(headers: Any) -> tuple[str, str]:
    found = {name: value.decode(errors="replace") for name, value in headers}
    return found.get("hl-subscription", ""), found.get("hl-delivery-id", "")
