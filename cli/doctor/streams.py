"""Checks of Kafka: it answers, it has the streams, and its clock is ours."""

import asyncio
import time
from collections.abc import Iterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from cli.doctor.finding import Finding, Site, State, not_up
from runtime.embedded.kafka_probe import is_port_open, serves_metadata
from runtime.expired import read_expired
from runtime.streams import partitions_of
from schemas.streams import ALL_STREAMS, EVENTS, OUTCOMES

DEADLINE_S = 15.0
"""A broker that is alive answers within milliseconds."""

MAX_SKEW_S = 2.0
"""Signatures of senders hold for 300 s, and retries are to the second."""

MAX_NAMED = 5

OFFSETS_KEPT = "offsets.retention.minutes"
MINUTES_A_DAY = 1_440
OFFSETS_KEPT_DAYS = 60
MIN_OFFSETS_DAYS = 30
"""Events are kept so long: a group that comes back before they are gone must know where it was."""


async def check_kafka(site: Site) -> Iterator[Finding]:
    """Kafka answers; when it does, its streams and its clock are looked at, too."""
    if not await _answers(site.bootstrap):
        remedy = "look at what hooklog up prints" if site.settings.embedded else "check HOOKLOG_KAFKA_BOOTSTRAP"
        return iter([not_up(site, "kafka", f"no Kafka answers at {site.bootstrap}", remedy)])
    findings = [Finding("kafka", State.OK, f"answers at {site.bootstrap}")]
    try:
        async with asyncio.timeout(DEADLINE_S):
            findings.append(await _streams(site))
            if findings[-1].state is State.OK:
                findings += [await _clock(site), await _expired(site), *await _offsets_kept(site)]
    except (KafkaError, OSError, TimeoutError) as error:
        text = f"cannot be asked: {error or type(error).__name__}"
        findings.append(Finding("streams", State.FAIL, text, "look at Kafka's own log"))
    return iter(findings)


async def _answers(bootstrap: str) -> bool:
    servers = [server.strip().rpartition(":") for server in bootstrap.split(",")]
    ports = [(host.strip("[]"), int(port)) for host, _, port in servers if port.isdigit()]
    if not any([await is_port_open(host, port) for host, port in ports]):
        return False
    return await serves_metadata(bootstrap)


async def _streams(site: Site) -> Finding:
    names = site.names
    expected = {names(stream): partitions_of(stream, site.settings) for stream in ALL_STREAMS}
    admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics(list(expected))
    finally:
        await admin.close()
    found = {item["topic"]: len(item["partitions"]) for item in described}
    missing = [name for name in expected if not found.get(name)]
    wrong = [name for name, count in expected.items() if name not in missing and found[name] != count]
    if missing:
        return Finding(
            "streams", State.FAIL, f"{len(missing)} are missing: {_some(missing)}", "hooklog init makes them"
        )
    if wrong:
        text = f"HOOKLOG_PARTITIONS is {site.settings.partitions}, but another number have {_some(wrong)}"
        return Finding("streams", State.FAIL, text, f"set HOOKLOG_PARTITIONS={found[names(EVENTS)]} everywhere")
    return Finding("streams", State.OK, f"all {len(expected)} are there, with their partitions")


async def _clock(site: Site) -> Finding:
    # Nothing is written to learn the time: a record that was stored after now proves that the clocks differ.
    newest_s = await _newest_append_s(site)
    if newest_s is None:
        return Finding("clock", State.OK, "no record yet to compare it with")
    ahead_s = newest_s - time.time()
    if ahead_s > MAX_SKEW_S:
        remedy = "set both clocks by NTP (chrony, systemd-timesyncd)"
        return Finding("clock", State.FAIL, f"Kafka's is at least {ahead_s:.0f} s ahead of this machine's", remedy)
    return Finding("clock", State.OK, "no record of Kafka's is from the future")


async def _expired(site: Site) -> Finding:
    known = await read_expired(site.bootstrap, site.names)
    missed = [item.text for item in known.values() if not item.acknowledged_ms]
    if missed:
        remedy = "hooklog expired lists them, and --acknowledge takes note"
        return Finding("expired records", State.FAIL, "; ".join(missed[:MAX_NAMED]), remedy)
    return Finding("expired records", State.OK, "nothing expired before it was read, or somebody has taken note")


async def _offsets_kept(site: Site) -> list[Finding]:
    admin = AIOKafkaAdminClient(bootstrap_servers=site.bootstrap)
    await admin.start()
    try:
        brokers = (await admin.describe_cluster())["brokers"]
        asked = [ConfigResource(ConfigResourceType.BROKER, str(broker["node_id"])) for broker in brokers]
        answers = await admin.describe_configs(asked)
    finally:
        await admin.close()
    entries = [entry for answer in answers for resource in answer.resources for entry in resource[4]]
    minutes = [int(entry[1]) for entry in entries if entry[0] == OFFSETS_KEPT and entry[1]]
    if not minutes:
        return []  # the cluster does not tell
    days = min(minutes) / MINUTES_A_DAY
    if days < MIN_OFFSETS_DAYS:
        text = f"{OFFSETS_KEPT} is {min(minutes)}: a group that stands still for {days:g} days forgets its place"
        return [Finding("offsets", State.WARN, text, f"set it to {OFFSETS_KEPT_DAYS * MINUTES_A_DAY}")]
    return [Finding("offsets", State.OK, f"Kafka keeps the places of groups for {days:g} days")]


async def _newest_append_s(site: Site) -> float | None:
    names = site.names
    consumer = AIOKafkaConsumer(bootstrap_servers=site.bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [
            TopicPartition(names(stream), number)
            for stream in (EVENTS, OUTCOMES)
            for number in range(partitions_of(stream, site.settings))
        ]
        starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        last = {place: end - 1 for place, end in ends.items() if end > starts[place]}
        if not last:
            return None
        consumer.assign(list(last))
        for place, offset in last.items():
            consumer.seek(place, offset)
        newest = [(await consumer.getone(place)).timestamp for place in last]
        return float(max(newest)) / 1000
    finally:
        await consumer.stop()


def _some(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
