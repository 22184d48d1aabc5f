"""SQL can read Hooklog's tables, and do nothing else; `hooklog sql` prints what comes back."""

import asyncio
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from clickhouse_connect.driver.exceptions import DatabaseError
from typer.testing import CliRunner, Result

from cli.sql import sql
from projections.query.readers import SETTINGS
from projections.query.readonly import MAX_QUERY_CHARS, NotReadOnlyError, readable
from runtime.clickhouse import Client, EmbeddedClickHouse
from runtime.embedded.broker_files import free_port
from tests.clickhouse_fixture import engine
from tests.projections_fixture import ADMIN_KEY, Projections, Stages, make_event, projections

__all__ = ["engine", "projections"]

pytestmark = pytest.mark.stack

READS = [
    "SELECT count() FROM attempts",
    "SELECT count() FROM hooklog.attempts FINAL; ",
    "WITH x AS (SELECT 1 AS a) SELECT a FROM x JOIN numbers(3) AS n ON n.number = x.a",
    "SELECT * FROM event_log WHERE payload_bytes > 3 AND status IN (SELECT status FROM deliveries) -- ';drop",
    "SELECT e.event_id IN ('x'), 1 IN (SELECT 1), e.topic_id NOT IN 'x' OR 1 IN (1, 2) FROM events AS e",
    "WITH ids AS (SELECT event_id FROM attempts) SELECT count() FROM events WHERE event_id IN ids",
    "SELECT 0 IN system.one",
    "SELECT name FROM system.columns WHERE database = 'hooklog' /* file('x') */",
    "EXPLAIN indexes = 1 SELECT * FROM attempts WHERE event_id = 'x'",
    "SHOW TABLES",
    "SHOW CREATE TABLE events",
    "DESCRIBE deliveries",
    "SELECT 'INTO OUTFILE', 'file(1)', 'it''s -- no; SETTINGS' AS `a b`",
    "SELECT headers['user-agent'], hasToken(payload, 'refund') FROM events",
]

ATTACKS = [
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT file('/etc/hostname')",
    "SELECT `file`('/etc/hostname')",
    "SELECT \"fi\\x6ce\"('/etc/hostname')",
    "SELECT * APPLY(file) FROM (SELECT '/etc/hostname' AS x)",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '/etc/hostname' AS x)",
    "SELECT * REPLACE(file('/etc/hostname') AS x) FROM (SELECT 1 AS x)",
    "SELECT arrayMap(file, ['/etc/hostname'])",
    "SELECT 1 // '\n, file('/etc/hostname') -- '",
    "SELECT 1 -- '\n, file('/etc/hostname') -- '",
    "SELECT 1 /* ' */ , file('/etc/hostname') /* ' */",
    "SELECT $$'$$, file('/etc/hostname') --'",
    "SELECT exists(SELECT 1 FROM file('/etc/hostname'))",
    "DESCRIBE file('/etc/hostname')",
    "EXPLAIN SELECT file('/etc/hostname')",
    "FROM file('/etc/hostname') SELECT *",
    "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
    "SELECT * FROM view(SELECT * FROM url('http://127.0.0.1:9/'))",
    "SELECT * FROM attempts, remote('127.0.0.1', system.one)",
    "SELECT * FROM s3('http://127.0.0.1:9/x')",
    "SELECT * FROM mysql('127.0.0.1:9', 'a', 'b', 'c', 'd')",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * FROM Python(client)",
    "SELECT * FROM merge('.*', '.*')",
    "SELECT * FROM default.`/etc/hostname`",
    "SELECT * FROM system.query_log",
    "SELECT 'UTC' IN system.time_zones",
    "SELECT * FROM system.server_settings",
    "SELECT aiGenerate('x')",
    "SELECT sleep(3)",
    "SELECT 1 INTO OUTFILE 'hooklog-attack'",
    "(SELECT 1) INTO OUTFILE 'hooklog-attack'",
    "SELECT 1 PARALLEL WITH DROP TABLE events",
    "INSERT INTO events (event_id) VALUES ('x')",
    "INSERT INTO FUNCTION file('hooklog-attack') SELECT 1",
    "WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x",
    "EXPLAIN INSERT INTO events SELECT * FROM events",
    "EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:9', 'a', 'b', 'c', 'd') COLUMNS (a Int8)",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "DROP TABLE events",
    "ALTER TABLE events DELETE WHERE 1",
    "TRUNCATE TABLE events",
    "OPTIMIZE TABLE events",
    "SYSTEM SHUTDOWN",
    "SET readonly = 0",
    "USE system",
    "GRANT ALL ON *.* TO default",
    "KILL QUERY WHERE 1",
    "BACKUP TABLE events TO Disk('x', 'y')",
    "SHOW CREATE TABLE default.x",
    "SHOW GRANTS",
    "SELECT 1; DROP TABLE events",
    "SELECT 1; SELECT 2",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
    "SELECT {x:String}",
    "",
    "this is no SQL",
    "SELECT " + "1," * MAX_QUERY_CHARS,
]


@pytest.fixture(scope="module")
def reader(engine: EmbeddedClickHouse) -> Iterator[Client]:
    client = engine.open_reader(SETTINGS)
    yield client
    client.close()


@pytest.mark.parametrize("query", READS)
def test_what_reads_hooklogs_tables_runs(reader: Client, query: str) -> None:
    reader.raw_query(readable(reader, query).text, fmt="JSONEachRow")


@pytest.mark.parametrize("query", ATTACKS)
def test_what_does_anything_else_is_refused_before_it_runs(reader: Client, query: str) -> None:
    with pytest.raises((NotReadOnlyError, DatabaseError)):
        readable(reader, query)
    assert not Path("hooklog-attack").exists()


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO events (event_id) VALUES ('x')",
        "SET readonly = 0",
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
        "CREATE TABLE x (a Int8) ENGINE = Memory",
    ],
)
def test_grants_and_the_read_only_connection_refuse_by_themselves(reader: Client, query: str) -> None:
    with pytest.raises(DatabaseError):
        reader.raw_query(query)


def test_the_limits_of_a_connection_hold(reader: Client) -> None:
    with pytest.raises(DatabaseError) as refused:
        reader.raw_query(readable(reader, "SELECT number FROM numbers(1000000)").text, fmt="JSONEachRow")
    assert refused.value.code == 396


def hooklog_sql(port: int, *arguments: str, standard_input: str = "") -> Result:
    command = typer.Typer()
    command.command()(sql)
    variables = {"HOOKLOG_QUERY_PORT": str(port), "HOOKLOG_ADMIN_KEY": ADMIN_KEY, "COLUMNS": "100"}
    return CliRunner(env=variables).invoke(command, arguments, input=standard_input)


async def test_hooklog_sql_prints_tables_csv_and_one_json_object_a_row(projections: Projections) -> None:
    async with Stages(projections.settings) as stages:
        for kind in ("a", "b"):
            await stages.event(make_event(event_type=kind, body=b"\xff" if kind == "b" else b"{}"))
    projections.until_count("events", 2)
    port = projections.settings.query_port
    query = "SELECT event_type, payload_bytes, payload FROM events FINAL ORDER BY event_type"
    narrow = query.replace(", payload FROM", " FROM")
    as_json = await asyncio.to_thread(hooklog_sql, port, "--format", "json", query)
    assert as_json.exit_code == 0
    assert [json.loads(line)["event_type"] for line in as_json.stdout.splitlines()] == ["a", "b"]
    as_csv = await asyncio.to_thread(hooklog_sql, port, "--format", "csv", "-", standard_input=narrow)
    assert list(csv.reader(io.StringIO(as_csv.stdout))) == [["event_type", "payload_bytes"], ["a", "2"], ["b", "1"]]
    as_table = await asyncio.to_thread(hooklog_sql, port, query)
    assert "payload_bytes" in as_table.stdout
    assert "2 rows" in as_table.stdout
    asked = "SELECT {text:String} AS text, {many:Array(UInt8)} AS many"
    given = await asyncio.to_thread(
        hooklog_sql, port, "--format", "json", "--param", "text=a=b's", "--param", "many=[1,2]", asked
    )
    assert json.loads(given.stdout) == {"text": "a=b's", "many": [1, 2]}
    assert (await asyncio.to_thread(hooklog_sql, port, "--param", "text", asked)).exit_code == 2


def test_hooklog_sql_says_what_is_wrong_and_how_it_ended(projections: Projections, tmp_path: Path) -> None:
    projections.until_ready()
    port = projections.settings.query_port
    wrong = hooklog_sql(port, "SELECT nothing FROM events")
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    assert "Unknown expression identifier `nothing`" in wrong.stderr
    assert hooklog_sql(port, "DROP TABLE events").exit_code == 1
    assert hooklog_sql(port).exit_code == 2
    assert hooklog_sql(port, "--file", str(tmp_path / "none.sql")).exit_code == 2
    (tmp_path / "bytes.sql").write_bytes(b"SELECT '\xff'")
    assert hooklog_sql(port, "--file", str(tmp_path / "bytes.sql")).exit_code == 2
    silent = hooklog_sql(free_port(), "SELECT 1")
    assert silent.exit_code == 1
    assert "nothing answers" in silent.stderr
