"""ClickHouse's engine in the tests' own process: there can be one at a time, so each module has its own.

A module of tests imports the fixtures that it uses.
"""

import tempfile
from collections.abc import Callable, Iterator

import pytest

from projections.app import USERS_CONFIG
from projections.migrate import migrate
from runtime.clickhouse import Client, EmbeddedClickHouse

Count = Callable[[str], int]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedClickHouse]:
    """An engine with all tables."""
    before = tempfile.tempdir
    embedded = EmbeddedClickHouse(tmp_path_factory.mktemp("engine") / "clickhouse", USERS_CONFIG)
    embedded.create_database()
    tempfile.tempdir = before  # a service keeps to its data directory; the tests have other parts
    anchor = embedded.open_writer()
    migrate(anchor)
    yield embedded
    anchor.close()


@pytest.fixture
def writer(engine: EmbeddedClickHouse) -> Iterator[Client]:
    """A client that writes to empty tables."""
    client = engine.open_writer()
    for table in ("events", "attempts", "deliveries", "config_changes", "projection_errors", "rebuilds"):
        client.command(f"ALTER TABLE {table} DROP PARTITION ALL")
    yield client
    client.close()


@pytest.fixture
def count(writer: Client) -> Count:
    """How many rows a table has."""
    return lambda table: int(writer.command(f"SELECT count() FROM {table} FINAL"))  # noqa: S608 - the test's own table
