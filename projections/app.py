"""The projections service: builds every part, runs them, and stops them in order."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import structlog
import uvloop
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from projections.confined import confine_projections
from projections.followed_keys import FollowedKeys
from projections.http_server import UnsignalledServer
from projections.migrate import MigrationChangedError, migrate
from projections.read_side import ReadSide, now_ms
from projections.rebuild.kafka_log import KafkaLog
from projections.rebuild.rebuilder import Rebuilder
from projections.retention import apply_retention
from projections.sealing.sealer import Sealer
from projections.writer.metrics import WriterMetrics
from projections.writer.records import GROUP, Records, Revoked
from projections.writer.rows import PROJECTIONS
from projections.writer.writer import Writer
from rules.address_guard import AddressGuard
from runtime.authorizer import Authorizer
from runtime.clickhouse import (
    CLICKHOUSE_ERRORS,
    ClickHouse,
    Client,
    EmbeddedClickHouse,
    EngineInUseError,
    clickhouse_of,
)
from runtime.expired import ExpiredRecords
from runtime.garbage import settle
from runtime.guesses import FAILURES_PER_MINUTE, Guesses
from runtime.health import Health
from runtime.kafka import Appender, wait_for_broker
from runtime.secrets_files import load_admin_key
from runtime.settings import Settings
from runtime.telemetry import configure_logging
from schemas.streams import StreamNames

log = structlog.get_logger(__name__)

USERS_CONFIG = Path(__file__).with_name("embedded_users.xml")

RETRY_S = 1.0


def run(settings: Settings) -> None:
    """Runs the service until SIGTERM or SIGINT.

    Raises:
        SystemExit: with the reason, when it cannot run here: the port is taken, another process owns the embedded
            engine's directory, or the tables were made by other migrations.
        SetSecretError: there is no admin key.
        UnusableTlsFilesError: certificate, key or authorities cannot be used.
    """
    configure_logging(settings.log_level)
    settle()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_Service(settings).run())
    except (EngineInUseError, MigrationChangedError, OSError) as error:
        raise SystemExit(f"hooklog projections: {error}") from error


class _Service:
    """The parts, and their order.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        admin_key = load_admin_key(settings)  # before the kernel closes its file to us
        self._clickhouse: ClickHouse = clickhouse_of(settings, USERS_CONFIG)
        self._registry = CollectorRegistry()
        if isinstance(self._clickhouse, EmbeddedClickHouse):
            os.environ["TMPDIR"] = str(self._clickhouse.temporary)  # which the engine asks for as soon as it is loaded
            confine_projections(settings, self._clickhouse, self._registry)
        names = StreamNames(settings.kafka_prefix)
        self._appender = Appender(settings.bootstrap, names)
        self._expired = ExpiredRecords(settings.bootstrap, names, {GROUP}, now_ms, self._registry)
        self._keys = FollowedKeys(settings.bootstrap, names)
        guesses = Guesses(AddressGuard(FAILURES_PER_MINUTE))
        authorizer = Authorizer(admin_key, self._keys.known, guesses, now_ms)
        self._read_side = ReadSide(settings, self._clickhouse, self._appender, authorizer, self._registry)
        self._appending = False
        self._sealer = Sealer(self._clickhouse.open_writer, settings.retention_days, self._registry)
        self._client: Client | None = None
        self._writer: Writer | None = None
        self._gate = asyncio.Lock()
        self._rebuilder = Rebuilder(
            self._clickhouse, self._open_log, self._prepare, self._gate, alone=not settings.clickhouse_url
        )
        self._tables_ready = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        with contextlib.ExitStack() as open_sockets:
            servers = self._read_side.servers(self._health(), self._rebuilder)
            listeners = [open_sockets.enter_context(_listener(host, port)) for _, host, port in servers]
            served = _serve([server for server, _, _ in servers], listeners)
            serving = asyncio.create_task(served)
            writing = asyncio.create_task(self._write())
            connecting = asyncio.create_task(self._connect())
            self._keys.start()
            self._read_side.watch()
            await self._expired.start()
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({serving, writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._stop()
            for server, _, _ in servers:
                server.should_exit = True
            await serving
            await connecting
            await self._read_side.unwatch()
            await self._keys.stop()
            await self._appender.stop()  # after the answers, which wait for its acks
            try:
                await writing
            finally:
                await asyncio.to_thread(self._close)  # after whoever asks: no reader opens again
            await self._expired.stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._read_side.stop()
        self._sealer.stop()
        if self._writer is not None:
            self._writer.stop()

    def _health(self) -> Health:
        checks = {
            "tables": lambda: self._tables_ready,
            "kafka": lambda: self._writer is not None and self._writer.reading_works,
            "clickhouse": lambda: self._writer is not None and self._writer.storing_works,
            "producer": lambda: self._appending,
            "keys": lambda: self._keys.current,
            "records": lambda: self._expired.none,
        }
        return Health("projections", checks, self._registry, self._expired.reasons)

    async def _write(self) -> None:
        """Migrates, then writes until the service stops."""
        self._client = client = await self._until_migrated()
        if client is None or not await self._until_settled():
            return
        self._tables_ready = True
        self._read_side.start()
        sealing = asyncio.create_task(self._sealer.run())
        try:
            if await self._until_broker():
                self._writer = Writer(client, self._open_records, WriterMetrics(self._registry), self._gate)
                await self._writer.run()
        finally:
            await self._rebuilder.stop()
            self._sealer.stop()
            await asyncio.wait({sealing})
        sealing.result()

    async def _connect(self) -> None:
        """Starts the appender as soon as a broker answers."""
        while await self._until_broker():
            try:
                await self._appender.start()
            except KafkaError as error:
                log.warning("producer_failed", error=repr(error))
                await self._appender.stop()
                await self._pause()
            else:
                self._appending = True
                return

    def _open_records(self, on_revoked: Revoked) -> Records:
        streams = [projection.stream for projection in PROJECTIONS]
        # The embedded engine's lock makes sure that there is one such member.
        instance = None if self._settings.clickhouse_url else "embedded"
        return Records(self._settings, streams, on_revoked, self._expired.of_group(GROUP), instance)

    def _open_log(self) -> KafkaLog:
        return KafkaLog(self._settings, [projection.stream for projection in PROJECTIONS])

    async def _until_settled(self) -> bool:
        """Whether what an earlier rebuild left is in order, rather than that the service stops."""
        settling = asyncio.create_task(self._rebuilder.settle())
        stopping = asyncio.create_task(self._stopping.wait())
        done, rest = await asyncio.wait({settling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.wait(rest)
        return settling in done and settling.result() is None

    async def _until_migrated(self) -> Client | None:
        while not self._stopping.is_set():
            try:
                return await asyncio.to_thread(self._migrated)
            except CLICKHOUSE_ERRORS as error:
                log.warning("clickhouse_away", error=str(error)[:500])
                await self._pause()
        return None

    def _migrated(self) -> Client:
        self._clickhouse.create_database()
        client = self._clickhouse.open_writer()
        self._prepare(client)
        return client

    def _prepare(self, client: Client) -> None:
        migrate(client)
        apply_retention(client, self._settings)

    async def _until_broker(self) -> bool:
        while not self._stopping.is_set():
            try:
                await wait_for_broker(self._settings.bootstrap, timeout_s=RETRY_S)
            except TimeoutError:
                log.warning("kafka_away", bootstrap=self._settings.bootstrap)
            else:
                return True
        return False

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), RETRY_S)

    def _close(self) -> None:
        # The embedded engine must be closed before the process ends, and ends with its last client.
        self._read_side.close()
        if self._client is not None:
            self._client.close()


async def _serve(servers: list[UnsignalledServer], listeners: list[socket.socket]) -> None:
    await asyncio.gather(*(server.serve(sockets=[at]) for server, at in zip(servers, listeners, strict=True)))


def _listener(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024)
