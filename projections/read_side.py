"""What answers questions: the ports, and a pool of readers for each kind of question, so that none waits for others."""

import time

from prometheus_client import CollectorRegistry

from projections.audit.auditor import AUDIT_SETTINGS, WATCH_SETTINGS, Auditor
from projections.audit.watch import AuditMetrics, AuditWatch
from projections.http_server import UnsignalledServer, http_server, only_our_hosts
from projections.query.api import Parts, build_api
from projections.query.readers import LOG_SETTINGS, MAX_WAIT_S, STATS_SETTINGS, Readers
from projections.query.replay_choice import Chooser
from projections.query.replay_selection import CHOICE_SETTINGS
from projections.query.replays import Replayer
from projections.query.resend import Resender
from projections.query.sql_readers import SqlReaders
from projections.query.stored_replays import StoredReplays
from projections.query.tail import Tail
from projections.rebuild.rebuilder import Rebuilder
from projections.sqlport.port import SqlPort
from rules.addresses import AddressPolicy
from runtime.authorizer import Authorizer
from runtime.bounded_bodies import BoundedBodies
from runtime.clickhouse import ClickHouse
from runtime.health import Health
from runtime.http_metrics import HttpMetrics
from runtime.kafka import Appender
from runtime.log_range import LogRange
from runtime.settings import Settings
from runtime.tls_files import served_tls
from schemas.streams import StreamNames

LOG_READERS = 2
"""A timeline takes 10 ms: two threads answer more than the machine has cores for."""

STREAM_READERS = 1
"""Lists that are streamed take turns, piece by piece."""

STATS_READERS = 1
"""A month of figures takes a core for a second; a dashboard asks for one after the other."""

CHOOSERS = 1
"""Choosing many events for a replay takes a core for seconds; the next one waits."""

AUDITORS = 1
"""An audit reads everything there is, with two threads; the next one waits."""


class ReadSide:
    """The readers, and the servers in front of them.

    Args:
        settings: of this process.
        clickhouse: where the tables are.
        appender: appends what is asked for: retries and replays.
        authorizer: knows who may ask.
        registry: where it counts.
    """

    def __init__(
        self,
        settings: Settings,
        clickhouse: ClickHouse,
        appender: Appender,
        authorizer: Authorizer,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._database = clickhouse.database
        self._appender = appender
        self._registry = registry
        self._logs = Readers(clickhouse, LOG_READERS, LOG_SETTINGS, MAX_WAIT_S)
        self._streams = Readers(clickhouse, STREAM_READERS, LOG_SETTINGS)
        self._stats = Readers(clickhouse, STATS_READERS, STATS_SETTINGS, MAX_WAIT_S)
        self._choosers = Readers(clickhouse, CHOOSERS, CHOICE_SETTINGS)
        self._sql = SqlReaders(clickhouse, registry)
        self._audits = Readers(clickhouse, AUDITORS, AUDIT_SETTINGS)
        self._watching = Readers(clickhouse, AUDITORS, WATCH_SETTINGS)
        self._watch = AuditWatch(
            Auditor(settings, self._watching, now_ms), AuditMetrics(registry), settings.audit_every_s
        )
        names = StreamNames(settings.kafka_prefix)
        self._tail = Tail(settings.bootstrap, names)
        self._ranges = LogRange(settings.bootstrap, names, settings.partitions)
        self._authorizer = authorizer

    def start(self) -> None:
        """From now on there are tables to read."""
        for readers in self._pools():
            readers.start()

    def stop(self) -> None:
        """Ends what would never end by itself: answers to watchers."""
        self._tail.close()

    def watch(self) -> None:
        """From now on the last day is audited now and then."""
        self._watch.start()

    async def unwatch(self) -> None:
        """No more."""
        await self._watch.stop()

    def close(self) -> None:
        """Waits for what is asked, and closes every client."""
        for readers in self._pools():
            readers.close()

    def _pools(self) -> tuple[Readers | SqlReaders, ...]:
        ours = (self._logs, self._streams, self._stats, self._choosers, self._audits, self._watching)
        return *ours, self._sql

    def servers(self, health: Health, rebuilder: Rebuilder) -> list[tuple[UnsignalledServer, str, int]]:
        """Each with the host and port that it listens at.

        Raises:
            UnusableTlsFilesError: certificate, key or authorities cannot be used.
        """
        settings, tls = self._settings, served_tls(self._settings, self._registry)
        api = build_api(self._authorizer, health, self._parts(rebuilder))
        app = HttpMetrics(only_our_hosts(settings, BoundedBodies(api)), self._registry)
        servers = [(http_server(settings, app, tls), settings.host, settings.query_port)]
        if settings.serves_sql:
            sql = SqlPort(self._authorizer.caller, self._sql, self._database, self._registry)
            port = only_our_hosts(settings, BoundedBodies(sql))
            servers.append((http_server(settings, port, tls), settings.sql_host, settings.sql_port))
        return servers

    def _parts(self, rebuilder: Rebuilder) -> Parts:
        return Parts(
            logs=self._logs,
            streams=self._streams,
            stats=self._stats,
            sql=self._sql,
            tail=self._tail,
            resender=Resender(self._logs, self._appender, now_ms),
            replayer=Replayer(
                self._logs,
                StoredReplays(self._settings),
                Chooser(self._choosers, self._ranges),
                self._appender,
                now_ms,
            ),
            choosers=self._choosers,
            egress=AddressPolicy.of(self._settings.egress_networks),
            rebuilder=rebuilder,
            auditor=Auditor(self._settings, self._audits, now_ms),
            now_ms=now_ms,
            clocks_apart_ms=self._settings.clocks_apart_ms,
        )


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
