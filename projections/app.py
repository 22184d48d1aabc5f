"""The projections service: builds every part, runs them, and stops them in order."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import structlog
import uvicorn
import uvloop
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from projections.audit.auditor import AUDIT_SETTINGS, WATCH_SETTINGS, Auditor
from projections.audit.watch import AuditMetrics, AuditWatch
from projections.followed_keys import FollowedKeys
from projections.migrate import MigrationChangedError, migrate
from projections.query.api import Parts, build_api
from projections.query.readers import LOG_SETTINGS, SETTINGS, STATS_SETTINGS, Readers
from projections.query.replay_selection import CHOICE_SETTINGS
from projections.query.replays import Replayer
from projections.query.resend import Resender
from projections.retention import apply_retention
from projections.sealing.sealer import Sealer
from projections.writer.metrics import WriterMetrics
from projections.writer.records import GROUP, Records, Revoked
from projections.writer.rows import PROJECTIONS
from projections.writer.writer import Writer
from rules.address_guard import AddressGuard
from rules.forwarded import client_address
from runtime.answer_headers import ANSWER_HEADERS
from runtime.authorizer import Authorizer
from runtime.bounded_bodies import BoundedBodies
from runtime.clickhouse import CLICKHOUSE_ERRORS, ClickHouse, Client, EngineInUseError, clickhouse_of
from runtime.expired import ExpiredRecords
from runtime.garbage import settle
from runtime.guesses import FAILURES_PER_MINUTE, Guesses
from runtime.health import Health
from runtime.hosts import AllowedHosts
from runtime.http_metrics import HttpMetrics
from runtime.https_server import HttpsServer
from runtime.kafka import Appender, wait_for_broker
from runtime.secrets_files import load_admin_key
from runtime.settings import Settings
from runtime.telemetry import configure_logging
from runtime.tls_files import served_tls
from runtime.trusted_proxies import TrustedProxies
from schemas.streams import StreamNames

log = structlog.get_logger(__name__)

USERS_CONFIG = Path(__file__).with_name("embedded_users.xml")

LOG_READERS = 2
"""A timeline takes 10 ms: two threads answer more than the machine has cores for."""

STATS_READERS = 1
"""A month of figures takes a core for a second; a dashboard asks for one after the other."""

CHOOSERS = 1
"""Choosing many events for a replay takes a core for seconds; the next one waits."""

SQL_READERS = 2
"""Queries of people and scripts; a third one waits."""

AUDITORS = 1
"""An audit reads everything there is, with two threads; the next one waits."""

RETRY_S = 1.0
CLOSE_S = 3
"""What a stop waits for answers on their way."""


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


class _Server(HttpsServer):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to the service, which has more to stop than a server."""
        yield


class _Service:
    """The parts, and their order.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clickhouse: ClickHouse = clickhouse_of(settings, USERS_CONFIG)
        self._registry = CollectorRegistry()
        self._logs = Readers(self._clickhouse, LOG_READERS, LOG_SETTINGS)
        self._stats = Readers(self._clickhouse, STATS_READERS, STATS_SETTINGS)
        self._choosers = Readers(self._clickhouse, CHOOSERS, CHOICE_SETTINGS)
        self._sql = Readers(self._clickhouse, SQL_READERS, SETTINGS)
        self._audits = Readers(self._clickhouse, AUDITORS, AUDIT_SETTINGS)
        self._watching = Readers(self._clickhouse, AUDITORS, WATCH_SETTINGS)
        self._readers = (self._logs, self._stats, self._choosers, self._sql, self._audits, self._watching)
        names = StreamNames(settings.kafka_prefix)
        self._appender = Appender(settings.bootstrap, names)
        self._expired = ExpiredRecords(settings.bootstrap, names, {GROUP}, _now_ms, self._registry)
        self._watch = AuditWatch(
            Auditor(settings, self._watching, _now_ms), AuditMetrics(self._registry), settings.audit_every_s
        )
        self._keys = FollowedKeys(settings.bootstrap, names)
        self._appending = False
        self._sealer = Sealer(self._clickhouse.open_writer, settings.retention_days, self._registry)
        self._writer: Writer | None = None
        self._tables_ready = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        with socket.create_server((self._settings.host, self._settings.query_port), backlog=1024) as listener:
            server = self._server()
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            writing = asyncio.create_task(self._write())
            connecting = asyncio.create_task(self._connect())
            self._keys.start()
            self._watch.start()
            await self._expired.start()
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({serving, writing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._stop()
            server.should_exit = True
            await serving
            await connecting
            await self._watch.stop()
            await self._keys.stop()
            await self._appender.stop()  # after the answers, which wait for its acks
            await writing
            await self._expired.stop()

    def _stop(self) -> None:
        self._stopping.set()
        self._sealer.stop()
        if self._writer is not None:
            self._writer.stop()

    def _server(self) -> _Server:
        authorizer = Authorizer(
            load_admin_key(self._settings), self._keys.known, Guesses(AddressGuard(FAILURES_PER_MINUTE)), _now_ms
        )
        parts = Parts(
            logs=self._logs,
            stats=self._stats,
            sql=self._sql,
            resender=Resender(self._logs, self._appender, _now_ms),
            replayer=Replayer(self._logs, self._choosers, self._appender, _now_ms),
            auditor=Auditor(self._settings, self._audits, _now_ms),
            now_ms=_now_ms,
            clocks_apart_ms=self._settings.clocks_apart_ms,
        )
        api = build_api(authorizer, self._health(), parts)
        hosts = AllowedHosts(BoundedBodies(api), self._settings.allowed_host_names)
        app = HttpMetrics(hosts, self._registry)
        proxies = self._settings.trusted_networks
        return _Server(
            uvicorn.Config(
                TrustedProxies(app, lambda peer, said: client_address(peer, said, proxies)),
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                headers=ANSWER_HEADERS,
                timeout_graceful_shutdown=CLOSE_S,
            ),
            served_tls(self._settings, self._registry),
        )

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
        client = await self._until_migrated()
        if client is None:
            return
        self._tables_ready = True
        for readers in self._readers:
            readers.start()
        sealing = asyncio.create_task(self._sealer.run())
        try:
            if await self._until_broker():
                self._writer = Writer(client, self._open_records, WriterMetrics(self._registry))
                await self._writer.run()
        finally:
            self._sealer.stop()
            await asyncio.wait({sealing})
            await asyncio.to_thread(self._close, client)
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
        migrate(client)
        apply_retention(client, self._settings)
        return client

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

    def _close(self, client: Client) -> None:
        # The embedded engine must be closed before the process ends, and ends with its last client.
        for readers in self._readers:
            readers.close()
        client.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
