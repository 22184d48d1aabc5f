"""ClickHouse clients: the embedded engine (chDB) in this process, or a server over HTTP; the same SQL on both.

A client serves one thread at a time. Whoever opens one closes it; the embedded engine must be closed before the
process exits, and lives as long as any of its clients.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from clickhouse_connect import get_client
from clickhouse_connect.driver.exceptions import ClickHouseError, ProgrammingError

from runtime.settings import Settings

DATABASE = "hooklog"

_FRESH = "_rebuild"
"""Ends the name of the database beside it; the embedded engine's user is granted this very name."""

CLICKHOUSE_ERRORS = (ClickHouseError, OSError)
"""What a client raises while ClickHouse is away, full or refuses something."""

Client = Any
"""A `clickhouse_connect` client, which ships no types."""

_WRITE_SETTINGS = {
    "async_insert": 0,  # 1 by default: an insert would be acknowledged before it is stored
    "date_time_input_format": "best_effort",
    "input_format_skip_unknown_fields": 0,  # a field without a column is our mistake, never silently dropped
    "max_partitions_per_insert_block": 0,  # a backlog may span more weeks than the default lets through
}
_CONNECT_TIMEOUT_S = 5
REQUEST_TIMEOUT_S = 60
"""Longer than any insert of 8 MiB takes; a server that hangs is asked again."""


class EngineInUseError(Exception):
    """Another process owns the embedded engine's directory: stop it, or use another directory."""


class ClickHouse(Protocol):
    """Where clients come from."""

    database: str

    def create_database(self) -> None:
        """Creates the database if it is not there."""

    @property
    def fresh(self) -> str:
        """The database that a rebuild fills."""

    def open_writer(self, database: str | None = None) -> Client:
        """A client that writes and migrates, in a database that is there."""

    def open_reader(self, limits: Mapping[str, int | str]) -> Client:
        """A client that can only read, within ClickHouse's own limit settings such as `max_execution_time`."""


def clickhouse_of(settings: Settings, users_config: Path) -> ClickHouse:
    """The ClickHouse that the settings name: a server's URL, else the embedded engine in the data directory.

    Args:
        settings: as read.
        users_config: what the embedded engine's user is granted (ClickHouse's users.xml).
    """
    if settings.clickhouse_url:
        return ClickHouseServer(settings.clickhouse_url, settings.clickhouse_reader_url)
    return EmbeddedClickHouse(settings.data_dir / "clickhouse", users_config)


class ClickHouseServer:
    """A server, over HTTP.

    Args:
        url: `http[s]://user:password@host:port/database`; the database is `hooklog` when there is none.
        reader_url: the same as another user, who reads; empty is the same user.
    """

    def __init__(self, url: str, reader_url: str = "") -> None:
        self.database = unquote(urlsplit(url).path.strip("/")) or DATABASE
        self._writing = _connection(url)
        self._reading = _connection(reader_url or url)

    @property
    def fresh(self) -> str:
        """The database that a rebuild fills."""
        return f"{self.database}{_FRESH}"

    def create_database(self) -> None:
        """Creates the database if it is not there.

        Raises:
            ClickHouseError: the server does not answer or refuses.
        """
        client = self._open(self._writing, None, {})
        try:
            client.command(_CREATE_DATABASE.format(self.database))
        finally:
            client.close()

    def open_writer(self, database: str | None = None) -> Client:
        """A client that writes and migrates, in a database that is there; in Hooklog's own when none is named.

        Raises:
            ClickHouseError: the server does not answer or refuses.
        """
        return self._open(self._writing, database or self.database, _WRITE_SETTINGS)

    def open_reader(self, limits: Mapping[str, int | str]) -> Client:
        """A client that can only read.

        Raises:
            ClickHouseError: the server does not answer or refuses.
        """
        return self._open(self._reading, self.database, {"final": 1, **limits, "readonly": 1})

    @staticmethod
    def _open(connection: Mapping[str, Any], database: str | None, settings: Mapping[str, Any]) -> Client:
        return get_client(
            **connection,
            database=database,
            settings=dict(settings),
            connect_timeout=_CONNECT_TIMEOUT_S,
            send_receive_timeout=REQUEST_TIMEOUT_S,
            autogenerate_session_id=False,  # a session would serve one query at a time
            tz_mode="aware",
        )


def _connection(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "interface": parts.scheme,
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 0,
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
    }


class EmbeddedClickHouse:
    """chDB: ClickHouse's engine inside this process. One process owns its directory, and one directory a process.

    Args:
        folder: the engine's data; created when missing.
        users_config: what its user is granted.
    """

    def __init__(self, folder: Path, users_config: Path) -> None:
        self.database = DATABASE
        self.folder = folder.resolve()
        self.users_config = users_config.resolve()
        self.config = self.folder.with_name(f"{folder.name}-config.xml")
        self.temporary = self.folder.with_name(f"{folder.name}-inserts")

    def prepare(self) -> list[Path]:
        """Makes what the engine writes to, and gives it: all else can be closed to this process from then on."""
        self._write_config()
        for folder in (self.folder, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)
        return [self.folder, self.temporary]

    @property
    def fresh(self) -> str:
        """The database that a rebuild fills."""
        return f"{self.database}{_FRESH}"

    def create_database(self) -> None:
        """Creates the database if it is not there.

        Raises:
            EngineInUseError: another process owns the directory.
        """
        client = self._open(None, {}, {})
        try:
            client.command(_CREATE_DATABASE.format(self.database))
            self._clear_inserts()
        finally:
            client.close()

    def open_writer(self, database: str | None = None) -> Client:
        """A client that writes and migrates, in a database that is there; in Hooklog's own when none is named.

        Raises:
            EngineInUseError: another process owns the directory.
        """
        return self._open(database or self.database, {}, _WRITE_SETTINGS)

    def open_reader(self, limits: Mapping[str, int | str]) -> Client:
        """A client that can only read.

        Raises:
            EngineInUseError: another process owns the directory.
        """
        return self._open(self.database, {"final": 1, **limits, "readonly": 1}, {})

    def _open(self, database: str | None, options: Mapping[str, int | str], settings: Mapping[str, Any]) -> Client:
        self._write_config()
        try:
            return get_client(
                interface="chdb",
                path=str(self.folder),
                # Always a config file of ours: without one chDB takes any config.xml of the working directory.
                # Limits travel as options because a read-only connection refuses to be set afterwards.
                chdb_options={"config-file": str(self.config), **options},
                database=database,
                settings=dict(settings),
                tz_mode="aware",
            )
        except ProgrammingError as error:
            if self._is_locked():
                raise EngineInUseError(f"another process owns {self.folder}") from error
            raise

    def _write_config(self) -> None:
        if not self.config.exists() or self.config.read_text() != self._config_text():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.config.write_text(self._config_text())

    def _config_text(self) -> str:
        return f"<clickhouse><users_config>{escape(str(self.users_config))}</users_config></clickhouse>\n"

    def _clear_inserts(self) -> None:
        # The engine reads each insert from a temporary file; one that was killed leaves it behind.
        self.temporary.mkdir(parents=True, exist_ok=True)
        for left in self.temporary.iterdir():
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        tempfile.tempdir = str(self.temporary)

    def _is_locked(self) -> bool:
        # The engine says only that it could not start; its lock tells why.
        try:
            with (self.folder / "status").open("rb") as status:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


class Rows(NamedTuple):
    """What a query gave: the rows in their format, and how many rows were read and given."""

    body: bytes
    read: int
    given: int


def counted_rows(client: Client, query: str, values: Mapping[str, object], form: str) -> Rows:
    """Runs a query on the embedded engine as the client's own `raw_query` does, which throws the counts away.

    Raises:
        ClickHouseError: the engine refuses it, or a limit was reached.
    """
    texts = {name: str(value) for name, value in values.items()}
    backend = client._backend  # noqa: SLF001 - as above
    result = backend._run(f"{query} FORMAT {form}", form, params=texts, database=client.database)  # noqa: SLF001
    return Rows(result.bytes() or b"", result.storage_rows_read() or 0, result.rows_read() or 0)


_CREATE_DATABASE = "CREATE DATABASE IF NOT EXISTS `{}`"
