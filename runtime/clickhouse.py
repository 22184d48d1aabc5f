"""ClickHouse clients: the embedded engine (chDB) in this process, or a server over HTTP; the same SQL on both.

A client serves one thread at a time. Whoever opens one closes it; the embedded engine must be closed before the
process exits, and lives as long as any of its clients.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from clickhouse_connect import get_client
from clickhouse_connect.driver.exceptions import ClickHouseError, ProgrammingError

from runtime.settings import Settings

DATABASE = "hooklog"

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

    def open_writer(self) -> Client:
        """A client that writes and migrates."""

    def open_reader(self, limits: Mapping[str, int]) -> Client:
        """A client that can only read, within ClickHouse's own limit settings such as `max_execution_time`."""


def clickhouse_of(settings: Settings, users_config: Path) -> ClickHouse:
    """The ClickHouse that the settings name: a server's URL, else the embedded engine in the data directory.

    Args:
        settings: as read.
        users_config: what the embedded engine's user is granted (ClickHouse's users.xml).
    """
    if settings.clickhouse_url:
        return ClickHouseServer(settings.clickhouse_url)
    return EmbeddedClickHouse(settings.data_dir / "clickhouse", users_config)


class ClickHouseServer:
    """A server, over HTTP.

    Args:
        url: `http[s]://user:password@host:port/database`; the database is `hooklog` when there is none.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.database = unquote(parts.path.strip("/")) or DATABASE
        self._connection = {
            "interface": parts.scheme,
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or 0,
            "username": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
        }

    def create_database(self) -> None:
        """Creates the database if it is not there.

        Raises:
            ClickHouseError: the server does not answer or refuses.
        """
        client = self._open(None, {})
        try:
            client.command(_CREATE_DATABASE.format(self.database))
        finally:
            client.close()

    def open_writer(self) -> Client:
        """A client that writes and migrates.

        Raises:
            ClickHouseError: the server does not answer or refuses.
        """
        return self._open(self.database, _WRITE_SETTINGS)

    def open_reader(self, limits: Mapping[str, int]) -> Client:
        """A client that can only read.

        Raises:
            ClickHouseError: the server does not answer or refuses.
        """
        return self._open(self.database, {"final": 1, **limits, "readonly": 1})

    def _open(self, database: str | None, settings: Mapping[str, Any]) -> Client:
        return get_client(
            **self._connection,
            database=database,
            settings=dict(settings),
            connect_timeout=_CONNECT_TIMEOUT_S,
            send_receive_timeout=REQUEST_TIMEOUT_S,
            autogenerate_session_id=False,  # a session would serve one query at a time
            tz_mode="aware",
        )


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
        self._config = self.folder.with_name(f"{folder.name}-config.xml")
        self._inserts = self.folder.with_name(f"{folder.name}-inserts")

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

    def open_writer(self) -> Client:
        """A client that writes and migrates.

        Raises:
            EngineInUseError: another process owns the directory.
        """
        return self._open(self.database, {}, _WRITE_SETTINGS)

    def open_reader(self, limits: Mapping[str, int]) -> Client:
        """A client that can only read.

        Raises:
            EngineInUseError: another process owns the directory.
        """
        return self._open(self.database, {"final": 1, **limits, "readonly": 1}, {})

    def _open(self, database: str | None, options: Mapping[str, int], settings: Mapping[str, Any]) -> Client:
        self._write_config()
        try:
            return get_client(
                interface="chdb",
                path=str(self.folder),
                # Always a config file of ours: without one chDB takes any config.xml of the working directory.
                # Limits travel as options because a read-only connection refuses to be set afterwards.
                chdb_options={"config-file": str(self._config), **options},
                database=database,
                settings=dict(settings),
                tz_mode="aware",
            )
        except ProgrammingError as error:
            if self._is_locked():
                raise EngineInUseError(f"another process owns {self.folder}") from error
            raise

    def _write_config(self) -> None:
        if not self._config.exists() or self._config.read_text() != self._config_text():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._config.write_text(self._config_text())

    def _config_text(self) -> str:
        return f"<clickhouse><users_config>{escape(str(self.users_config))}</users_config></clickhouse>\n"

    def _clear_inserts(self) -> None:
        # The engine reads each insert from a temporary file; one that was killed leaves it behind.
        shutil.rmtree(self._inserts, ignore_errors=True)
        self._inserts.mkdir(parents=True)
        tempfile.tempdir = str(self._inserts)

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


_CREATE_DATABASE = "CREATE DATABASE IF NOT EXISTS `{}`"
