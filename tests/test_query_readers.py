"""Questions wait for a reader, and those whose asker must have given up are not run before those of who is there."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from projections.query.readers import LOG_SETTINGS, Readers
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.problem import ProblemError
from tests.clickhouse_fixture import engine

__all__ = ["engine"]

pytestmark = pytest.mark.stack

MAX_WAIT_S = 0.5


@pytest.fixture
def readers(engine: EmbeddedClickHouse) -> Iterator[Readers]:
    pool = Readers(engine, 1, LOG_SETTINGS, MAX_WAIT_S)
    pool.start()
    yield pool
    pool.close()


async def test_what_has_waited_too_long_is_refused_and_what_comes_then_is_answered(readers: Readers) -> None:
    free, ran = threading.Event(), []

    def hold(_: Client) -> None:
        free.wait(60)

    def note(client: Client) -> int:
        ran.append(client)
        return int(client.command("SELECT 1"))

    holding = asyncio.create_task(readers.run(hold))
    waiting = [asyncio.create_task(readers.run(note)) for _ in range(5)]
    await asyncio.wait(waiting, timeout=2 * MAX_WAIT_S)  # nobody is answered in that time
    last = asyncio.create_task(readers.run(note))
    await asyncio.sleep(0)
    free.set()
    refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert [isinstance(one, ProblemError) and (one.status, one.code) for one in refused] == [(503, "crowded")] * 5
    assert (await last, len(ran)) == (1, 1)
    await holding
