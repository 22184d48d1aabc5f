"""Tables are made once, by files that never change."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from projections.migrate import MIGRATIONS, MigrationChangedError, migrate, read_migrations, split_statements
from runtime.clickhouse import Client, EmbeddedClickHouse, EngineInUseError
from tests.clickhouse_fixture import engine, writer

__all__ = ["engine", "writer"]

pytestmark = pytest.mark.stack


def test_migrations_run_once_and_do_nothing_the_second_time(writer: Client) -> None:
    assert migrate(writer) == []
    applied = writer.query("SELECT name FROM schema_migrations FINAL ORDER BY version").result_rows
    assert [name for (name,) in applied] == [migration.name for migration in read_migrations()]


def test_a_migration_that_was_cut_off_runs_again_from_its_first_statement(writer: Client) -> None:
    writer.command("ALTER TABLE schema_migrations DROP PARTITION ALL")
    assert migrate(writer) == [migration.name for migration in read_migrations()]


def test_two_processes_may_migrate_at_once(engine: EmbeddedClickHouse, writer: Client) -> None:
    kinds = writer.query(
        "SELECT name, if(engine = 'View', 'VIEW', 'TABLE') FROM system.tables WHERE database = currentDatabase()"
    ).result_rows
    for name, kind in kinds:
        writer.command(f"DROP {kind} {name} SYNC")
    others = [engine.open_writer(), engine.open_writer()]
    together = threading.Barrier(len(others))

    def start(client: Client) -> list[str]:
        together.wait(10)
        return migrate(client)

    with ThreadPoolExecutor(len(others)) as threads:
        applied = [name for names in threads.map(start, others) for name in names]
    assert set(applied) == {migration.name for migration in read_migrations()}
    made = writer.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
    assert {name for (name,) in made} == {name for name, _ in kinds}
    assert migrate(writer) == []
    for client in others:
        client.close()


def test_a_migration_that_was_applied_must_not_change(writer: Client, tmp_path: Path) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    first = next(folder.glob("0001_*.sql"))
    first.write_text(first.read_text() + "\n-- changed")
    with pytest.raises(MigrationChangedError, match="0001_"):
        migrate(writer, folder)


def test_every_table_and_every_column_says_what_it_is(writer: Client) -> None:
    bare = writer.query(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = ''"
        " UNION ALL SELECT name, '' FROM system.tables WHERE database = currentDatabase() AND comment = ''"
    )
    assert bare.result_rows == []


def test_semicolons_in_texts_and_comments_end_no_statement() -> None:
    sql = "-- one; two\nSELECT 'a;''b\\';c' AS `x;y`; -- three;\nSELECT 4 - 1;\n"
    assert split_statements(sql) == ["SELECT 'a;''b\\';c' AS `x;y`", "SELECT 4 - 1"]


def test_a_field_without_a_column_is_an_error_and_never_dropped(writer: Client) -> None:
    with pytest.raises(DatabaseError):
        writer.raw_insert("events", insert_block=b'{"event_id":"a","evnt_type":"b"}', fmt="JSONEachRow")


def test_a_second_engine_on_the_same_directory_is_refused_by_name(engine: EmbeddedClickHouse) -> None:
    program = (
        "import sys; from pathlib import Path; from runtime.clickhouse import EmbeddedClickHouse;"
        "EmbeddedClickHouse(Path(sys.argv[1]), Path(sys.argv[2])).create_database()"
    )
    command = [sys.executable, "-c", program, str(engine.folder), str(engine.users_config)]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert f"{EngineInUseError.__name__}: another process owns {engine.folder}" in other.stderr
