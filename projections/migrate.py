"""Brings the tables to the newest version: numbered SQL files, forward only, each applied once."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import structlog

from runtime.clickhouse import Client

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
# A statement ends at a semicolon that stands in no text and no comment.
_PIECE = re.compile(r"'(?:[^'\\]|\\.|'')*'|`[^`]*`|--[^\n]*|;|[^'`;-]+|-", re.DOTALL)

_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    version    UInt32             COMMENT 'number of the migration',
    name       String             COMMENT 'its file',
    checksum   String             COMMENT 'SHA-256 of the file as it was applied',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when'
)
ENGINE = ReplacingMergeTree ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'migrations that were applied'
"""


class MigrationChangedError(Exception):
    """A migration that was applied has another text now: restore the file and add a new one instead."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations of a folder, in order.

    Raises:
        ValueError: two have the same number.
    """
    found = [
        Migration(int(match[1]), path.name, path.read_text(encoding="utf-8"))
        for path in sorted(folder.iterdir())
        if (match := _NAME.fullmatch(path.name))
    ]
    if len({migration.version for migration in found}) != len(found):
        raise ValueError(f"two migrations of {folder} have the same number")
    return found


def migrate(client: Client, folder: Path = MIGRATIONS) -> list[str]:
    """Applies what is new, and gives the names of those files; safe to run twice, at once, and again after a crash.

    Each statement may be run twice, and by two processes at a time; a file is noted after its last one, so nobody goes
    on with half of it.

    Raises:
        MigrationChangedError: a file that was applied has changed.
        ClickHouseError: the server does not answer or refuses a statement.
    """
    client.command(_LEDGER)
    migrations = read_migrations(folder)
    applied = _applied(client)
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise MigrationChangedError(f"{migration.name} was applied with another text")
    # Asked again before each: another process may be at the same, and is not to be undone by what it had done before.
    return [migration.name for migration in migrations if _apply_new(client, migration)]


def _applied(client: Client) -> dict[int, str]:
    return dict(client.query("SELECT version, checksum FROM schema_migrations FINAL").result_rows)


def _apply_new(client: Client, migration: Migration) -> bool:
    if migration.version in _applied(client):
        return False
    _apply(client, migration)
    return True


def _apply(client: Client, migration: Migration) -> None:
    for statement in split_statements(migration.sql):
        client.command(statement)
    client.insert(
        "schema_migrations",
        [[migration.version, migration.name, migration.checksum]],
        column_names=["version", "name", "checksum"],
    )
    log.info("migrated", migration=migration.name)


def split_statements(sql: str) -> list[str]:
    """The statements of a file, without their comments and semicolons."""
    statements = [""]
    for piece in _PIECE.findall(sql):
        if piece == ";":
            statements.append("")
        elif not piece.startswith("--"):
            statements[-1] += piece
    return [text for text in map(str.strip, statements) if text]
