"""The config tables as every service holds them: current, read-your-writes, and not to be poisoned."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from runtime.kafka import Appender, Outgoing
from runtime.keyring import Keyring
from runtime.settings import Settings
from runtime.streams import create_streams
from runtime.tables import ConfigTables, LockedTablesError
from schemas.config import SourceSpec
from schemas.stored import Record, encode_record
from schemas.streams import TABLES, StreamNames
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack

KEYRING = Keyring.parse(f"a:{base64.b64encode(b'k' * 32).decode()}")
CAUGHT_UP_S = 200  # a broker that was killed reads what all tests of the session have left there


@dataclass
class Bench:
    """Tables, and the writer that the config agent is in a running Hooklog."""

    tables: ConfigTables
    appender: Appender

    async def write(self, name: str, version: int, *, generation: int = 0, record_id: str = "s") -> None:
        spec = SourceSpec(id=record_id, name=name, auth_type="github", secret="hush")
        await self.produce(record_id, encode_record(Record(spec, version, generation, "", ""), KEYRING.seal))

    async def delete(self, version: int, record_id: str = "s") -> None:
        await self.produce(record_id, None, ("hl-version", b"%d" % version))

    async def produce(self, key: str | bytes, value: bytes | None, *headers: tuple[str, bytes]) -> None:
        raw = key.encode() if isinstance(key, str) else key
        await self.appender.append_surely(Outgoing(TABLES["sources"], value, raw, headers))

    async def name(self, record_id: str = "s") -> str | None:
        await asyncio.wait_for(self.tables.catch_up(), CAUGHT_UP_S)
        record = self.tables.source(record_id)
        return record.spec.name if record else None


@pytest.fixture
async def bench(kafka: RunningKafka) -> AsyncIterator[Bench]:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, kafka_prefix=kafka.new_prefix(), partitions=1)
    await create_streams(settings)
    names = StreamNames(settings.kafka_prefix)
    appender = Appender(kafka.bootstrap, names)
    tables = ConfigTables(kafka.bootstrap, names, KEYRING)
    await appender.start()
    await tables.start()
    yield Bench(tables, appender)
    await tables.stop()
    await appender.stop()


async def test_what_was_written_before_catch_up_is_there_after_it(bench: Bench) -> None:
    for version in range(200):
        await bench.write(f"name {version}", version)
        assert await bench.name() == f"name {version}"


async def test_those_who_ask_at_once_share_an_answer_that_is_newer_than_every_call(bench: Bench) -> None:
    asked, ask = 0, bench.tables._ends.of

    async def counted(partitions: Any) -> Any:
        nonlocal asked
        asked += 1
        return await ask(partitions)

    bench.tables._ends.of = counted  # type: ignore[method-assign]
    await asyncio.gather(*(bench.tables.catch_up() for _ in range(100)))
    assert asked == 1
    crowd = [asyncio.create_task(bench.tables.catch_up()) for _ in range(100)]
    for version in range(50):
        await bench.write(f"name {version}", version)
        crowd.append(asyncio.create_task(bench.tables.catch_up()))
        assert await bench.name() == f"name {version}"
    await asyncio.gather(*crowd)


async def test_a_secret_is_readable_in_the_table_and_sealed_in_the_stream(bench: Bench) -> None:
    await bench.write("a", 1)
    await bench.tables.catch_up()
    record = bench.tables.source("s")
    assert record
    assert record.spec.all_secrets == ["hush"]
    assert b"hush" not in encode_record(record, KEYRING.seal)


async def test_a_deleted_record_is_gone_and_its_version_remembered(bench: Bench) -> None:
    await bench.write("a", 5)
    await bench.delete(7)
    assert await bench.name() is None
    assert bench.tables.table("sources").version_of("s") == 7


async def test_a_late_writer_with_an_older_version_changes_nothing(bench: Bench) -> None:
    await bench.write("new", 9)
    await bench.write("old", 8)
    await bench.delete(7)
    assert await bench.name() == "new"
    await bench.delete(10)
    await bench.write("older than the delete", 9)
    assert await bench.name() is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"s", b"not json"),
        (b"s", b"[]"),
        (b"s", b"{}"),
        (b"s", b'{"id":"s","auth_type":"none","version":"9","generation":1,"created_at":"","updated_at":""}'),
        (b"s", b'{"id":"s","auth_type":7,"version":9,"generation":1,"created_at":"","updated_at":""}'),
        (b"s", b'{"id":"s","secret":"in the clear","auth_type":"none","version":9,"generation":1}'),
        (b"s", None),
        (b"\xff\xfe", b"{}"),
        (b"s", b"[" * 200_000),
    ],
)
async def test_a_bad_record_is_counted_and_the_last_good_one_stays(
    bench: Bench, key: bytes, value: bytes | None
) -> None:
    await bench.write("good", 1)
    await bench.produce(key, value)
    assert await bench.name() == "good"
    assert bench.tables.table("sources").bad_records == 1
    assert bench.tables.current
    await bench.write("better", 2)
    assert await bench.name() == "better"


async def test_a_record_of_a_key_that_is_not_ours_locks_the_tables_until_it_is_replaced(bench: Bench) -> None:
    others = Keyring.parse(f"b:{base64.b64encode(b'o' * 32).decode()}")
    spec = SourceSpec(id="s", auth_type="github", secret="hush")
    await bench.write("ours", 1)
    await bench.produce("s", encode_record(Record(spec, 2, 1, "", ""), others.seal))
    await bench.tables.catch_up()
    assert bench.tables.locked == ["sources/s"]
    assert not bench.tables.current
    with pytest.raises(LockedTablesError, match="sources/s"):
        bench.tables.require_open()
    await bench.write("ours again", 3)
    assert await bench.name() == "ours again"
    assert bench.tables.current


async def test_an_id_whose_last_record_is_not_its_newest_is_known_as_outdated(bench: Bench) -> None:
    await bench.write("new", 9)
    await bench.write("late", 8)
    assert await bench.name() == "new"
    assert bench.tables.table("sources").outdated == {"s"}
    await bench.write("new", 9)
    await bench.tables.catch_up()
    assert bench.tables.table("sources").outdated == set()


async def test_a_position_behind_the_end_is_not_waited_for(bench: Bench) -> None:
    await bench.write("a", 1)
    await asyncio.wait_for(bench.tables.as_new_as("sources", 10**12), CAUGHT_UP_S)
    assert bench.tables.position("sources") == 1


async def test_a_record_sealed_for_another_id_is_not_taken(bench: Bench) -> None:
    spec = SourceSpec(id="other", auth_type="github", secret="hush")
    await bench.produce("s", encode_record(Record(spec, 1, 1, "", ""), KEYRING.seal))
    assert await bench.name() is None


async def test_listeners_hear_every_change_with_before_and_after(bench: Bench) -> None:
    heard: list[tuple[str, Any, Any]] = []
    bench.tables.table("sources").listeners.append(
        lambda record_id, before, after: heard.append(
            (record_id, before and before.spec.name, after and after.spec.name)
        )
    )
    await bench.write("a", 1)
    await bench.write("b", 2)
    await bench.delete(3)
    await bench.tables.catch_up()
    assert heard == [("s", None, "a"), ("s", "a", "b"), ("s", "b", None)]


async def test_tables_go_on_by_themselves_after_the_broker_was_killed(bench: Bench, kafka: RunningKafka) -> None:
    await bench.write("before", 1)
    await asyncio.to_thread(kafka.kill)
    waiting = asyncio.create_task(bench.name())
    await asyncio.to_thread(kafka.start)
    assert await waiting == "before"
    await bench.write("after", 2)
    assert await bench.name() == "after"
