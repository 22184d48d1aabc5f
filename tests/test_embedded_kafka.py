"""The embedded Kafka is a real one: it keeps what it acknowledged, refuses what is wrong, leaves nobody behind."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from runtime.embedded.broker_files import free_port
from runtime.embedded.jar_lock import RefuseJarsError, read_lock
from runtime.embedded.jars import JarStore, kafka_class_path
from runtime.embedded.kafka import BrokerDiedError, EmbeddedKafka
from tests.kafka_fixture import RunningKafka

pytestmark = pytest.mark.stack


async def produce(kafka: RunningKafka, stream: str, value: bytes) -> None:
    """Create the stream and append one record, acknowledged."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(stream, 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True, max_request_size=3_000_000
    ) as producer:
        await producer.send_and_wait(stream, value)


async def read_one(kafka: RunningKafka, stream: str) -> bytes:
    """Read the stream's first record."""
    async with AIOKafkaConsumer(
        stream,
        bootstrap_servers=kafka.bootstrap,
        auto_offset_reset="earliest",
        fetch_max_bytes=4_000_000,
        max_partition_fetch_bytes=4_000_000,
    ) as consumer:
        record = await asyncio.wait_for(consumer.getone(), 20)
        value: bytes = record.value
        return value


async def test_a_record_of_two_mebibytes_comes_back_byte_for_byte(kafka: RunningKafka) -> None:
    stream, value = kafka.new_prefix() + "events", bytes(range(256)) * 8192
    await produce(kafka, stream, value)
    assert await read_one(kafka, stream) == value


async def test_an_acknowledged_record_survives_kill_9_and_a_restart(kafka: RunningKafka) -> None:
    stream = kafka.new_prefix() + "events"
    await produce(kafka, stream, b"kept")
    await asyncio.to_thread(kafka.kill)
    assert kafka.pid is None
    await asyncio.to_thread(kafka.start)
    assert await read_one(kafka, stream) == b"kept"


def repository_of_links(folder: Path) -> JarStore:
    """A repository of its own, with links to the machine's jars."""
    machine = JarStore.default()
    for jar in read_lock():
        (folder / jar.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / jar.path).symlink_to(machine.repository / jar.path)
    return JarStore(folder, folder / "cache")


async def test_a_jar_with_one_changed_byte_is_refused_by_name(kafka: RunningKafka, tmp_path: Path) -> None:
    assert kafka.pid is not None  # so the jars are on this machine
    store = repository_of_links(tmp_path / "jars")
    jar = next(jar for jar in read_lock() if "kafka-clients" in jar.path)
    content = bytearray((tmp_path / "jars" / jar.path).read_bytes())
    content[1000] ^= 1
    (tmp_path / "jars" / jar.path).unlink()
    (tmp_path / "jars" / jar.path).write_bytes(content)
    broker = EmbeddedKafka(tmp_path / "kafka", free_port(), jars=store)
    with pytest.raises(RefuseJarsError, match=jar.file_name):
        await broker.start()
    assert broker.pid is None


async def test_a_missing_jar_is_named(kafka: RunningKafka, tmp_path: Path) -> None:
    assert kafka.pid is not None
    store = repository_of_links(tmp_path / "jars")
    jar = read_lock()[0]
    (tmp_path / "jars" / jar.path).unlink()
    with pytest.raises(RefuseJarsError, match=f"{jar.file_name} is missing"):
        kafka_class_path(store)


async def test_a_port_in_use_is_said_and_no_broker_is_left(kafka: RunningKafka, tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", kafka.port)
    with pytest.raises(BrokerDiedError, match=f"port {kafka.port}"):
        await broker.start()
    assert broker.pid is None


async def test_a_broker_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", free_port())
    broker.files.folder.mkdir()
    broker.files.remember("not-formatted-at-all")
    with pytest.raises(
        BrokerDiedError, match=r"(?s)ended with exit code 1; the end of .*broker.log:.*No readable meta.properties"
    ):
        await broker.start()


@pytest.mark.parametrize("by_pipe", [False, True])
def test_a_child_dies_with_a_parent_that_is_killed_with_9(by_pipe: bool) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(int(by_pipe))], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.communicate(timeout=20)
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


PARENT = """
import asyncio, sys
from runtime.embedded.guarded import GuardedProcess
async def main():
    child = await GuardedProcess.start(["sleep", "300"], by_pipe=sys.argv[1] == "1")
    print(child.pid, flush=True)
    await child.wait()
asyncio.run(main())
"""


def test_a_broker_dies_with_a_process_that_is_killed_with_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BROKER_OWNER, str(tmp_path / "kafka"), str(free_port())]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    broker = psutil.Process(int(owner.stdout.readline()))
    assert "java" in broker.name()
    owner.kill()
    owner.communicate(timeout=20)
    psutil.wait_procs([broker], timeout=20)
    assert not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE


BROKER_OWNER = """
import asyncio, sys
from pathlib import Path
from runtime.embedded.kafka import EmbeddedKafka
async def main():
    broker = EmbeddedKafka(Path(sys.argv[1]), int(sys.argv[2]))
    await broker.start()
    print(broker.pid, flush=True)
    await broker.wait()
asyncio.run(main())
"""
