"""Bytes that are no valid request are refused or cut off in time, store nothing, and cost nobody else anything."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from secrets import token_hex

import pytest

from schemas.streams import EVENTS
from tests.attacks import GROUPS, Attack, request
from tests.ingest_fixture import Gateway
from tests.ingest_process import IngestProcess, ingest_processes
from tests.kafka_fixture import RunningKafka
from tests.oracle.http import Connection
from tests.oracle.slow_senders import DRIP_S, hold

DEADLINE_S = 50.0
"""Of the slowest way out, a body that never comes: 30 s; and a busy machine."""

MAX_GROWN_MIB = 64
"""All attacks of a group are on the way at the same time: at most 1 MiB of body each for the few with a large one,
64 KiB that the server reads ahead for each of the others, and what the allocator keeps of that."""

HEALTHY_EVERY_S = 0.02
ACCEPTED = 202
WARM_UP = b"warm-up"
SLOW_SENDERS = 1_000

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")


@dataclass
class Healthy:
    """A sender beside the attacks."""

    port: int
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    run: str = field(default_factory=lambda: token_hex(4))
    """In its bodies, so that no other's are taken for them."""

    @contextlib.asynccontextmanager
    async def posting(self) -> AsyncIterator[None]:
        """Posts, one after the other, as long as the block runs."""
        ended = asyncio.Event()
        task = asyncio.create_task(self._post_until(ended))
        try:
            yield
        finally:
            ended.set()
            await task

    async def _post_until(self, ended: asyncio.Event) -> None:
        async with Connection(self.port) as connection:
            while not ended.is_set() or not self.bodies:
                self.bodies.append(f"healthy {self.run} {len(self.bodies)}".encode())
                answer = await connection.request("POST", "/api/v1/ingest/t", self.bodies[-1])
                self.statuses.append(answer.status)
                await asyncio.sleep(HEALTHY_EVERY_S)


@dataclass
class Target:
    """What is attacked, and what it holds before."""

    gateway: Gateway
    process: IngestProcess
    rss_mib: float = 0.0
    bodies: set[bytes] = field(default_factory=lambda: {WARM_UP})

    def stored(self) -> list[bytes]:
        """The bodies of all events."""
        return [record.value or b"" for record in self.gateway.records(EVENTS)]


@pytest.fixture(scope="module")
def target(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    if session_kafka.pid is None:
        session_kafka.start()
    gateway = Gateway(session_kafka, tmp_path_factory.mktemp("attacked"))
    with gateway.processors(), ingest_processes(gateway, 1) as (process,), gateway.admin as admin:
        assert admin.put("/api/v1/sources/s", json={"auth_type": "none"}).status_code == 201
        assert admin.put("/api/v1/topics/t", json={"source_id": "s"}).status_code == 201
        found = Target(gateway, process)
        warm_up = Attack("warm-up", request(body=WARM_UP), frozenset({WARM_UP}))
        assert asyncio.run(_answered_all([warm_up] * 100, process.port)) == []  # code is read, memory taken
        found.rss_mib = process.rss_mib()
        yield found


async def _answer(attack: Attack, port: int) -> tuple[bytes, bool]:
    """What came back, and whether the server closed the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    sending = asyncio.create_task(_send(writer, attack.content))
    received = b""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while len(_STATUS.findall(received)) < attack.answers:
                piece = await reader.read(65_536)
                if not piece:
                    return received, True
                received += piece
    except ConnectionError:
        return received, True
    finally:
        sending.cancel()
        await asyncio.wait([sending])
        writer.close()
    return received, False


async def _send(writer: asyncio.StreamWriter, content: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(content)
        await writer.drain()


async def _answered_all(attacks: Sequence[Attack], port: int) -> list[str]:
    """What is wrong with the answers, by attack."""
    outcomes = await asyncio.gather(*(_answer(attack, port) for attack in attacks), return_exceptions=True)
    return [wrong for pair in zip(attacks, outcomes, strict=True) if (wrong := _wrong(*pair))]


def _wrong(attack: Attack, outcome: tuple[bytes, bool] | BaseException) -> str:
    if isinstance(outcome, BaseException):
        return f"{attack.name}: neither answered nor closed: {outcome!r}"
    received, closed = outcome
    statuses = [int(status) for status in _STATUS.findall(received)]
    if not statuses and not closed:
        return f"{attack.name}: {received[:60]!r}"
    refused = {status for status in statuses if status != ACCEPTED and not 400 <= status < 500} - {501, 505}
    if refused or (ACCEPTED in statuses and not attack.may_store):
        return f"{attack.name}: {sorted(set(statuses))}"
    return ""


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_no_request_is_refused_or_cut_off_and_stores_nothing(target: Target, group: str) -> None:
    attacks = GROUPS[group]
    healthy = Healthy(target.process.port)

    async def attacked() -> list[str]:
        async with healthy.posting():
            return await _answered_all(attacks, target.process.port)

    wrong = asyncio.run(attacked())
    assert not wrong, "\n".join(wrong)
    assert set(healthy.statuses) == {ACCEPTED}
    allowed = {body for attack in attacks for body in attack.may_store}
    new = [body for body in target.stored() if body not in target.bodies]
    assert [body[:60] for body in new if body not in allowed and not body.startswith(b"healthy ")] == []
    assert set(healthy.bodies) <= set(new) | target.bodies
    target.bodies |= set(new)
    assert target.process.alive
    assert target.process.rss_mib() - target.rss_mib < MAX_GROWN_MIB


def test_a_thousand_slow_senders_are_all_cut_off_and_nobody_else_waits(target: Target) -> None:
    healthy = Healthy(target.process.port)

    async def attacked() -> None:
        async with healthy.posting(), asyncio.timeout(2 * DEADLINE_S):
            senders = await hold(target.process.port, "t", SLOW_SENDERS)
            while not all(sender.cut_off for sender in senders):
                for sender in senders:
                    sender.drip()
                await asyncio.sleep(DRIP_S)
            for sender in senders:
                sender.close()

    asyncio.run(attacked())
    assert set(healthy.statuses) == {ACCEPTED}
    target.bodies |= set(healthy.bodies)
    assert target.process.rss_mib() - target.rss_mib < MAX_GROWN_MIB


def test_there_are_some_hundred_attacks() -> None:
    assert sum(len(attacks) for attacks in GROUPS.values()) > 300
