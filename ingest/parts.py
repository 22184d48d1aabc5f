"""Everything that ingest works with, built in one place and started and stopped in order."""

import asyncio

import structlog
from prometheus_client import CollectorRegistry

from ingest.accept import Acceptor
from ingest.batch import BatchAcceptor
from ingest.body import BodyBudget
from ingest.config_commands import ConfigCommands
from ingest.config_index import ConfigIndex
from ingest.directory import Directory
from ingest.doorkeeper import Doorkeeper
from ingest.event_schemas import EventSchemas
from ingest.metrics import IngestMetrics
from ingest.rejections import RejectionLog
from ingest.waiting import WaitingEvents
from runtime.batch_appender import BatchAppender
from runtime.expected_streams import ExpectedStreams
from runtime.health import Check
from runtime.kafka import wait_for_broker
from runtime.keyring import Keyring
from runtime.known_keys import KnownKeys
from runtime.outcomes import OutcomeReader
from runtime.refresh import Refresher
from runtime.settings import Settings
from runtime.tables import ConfigTables
from schemas.streams import EVENTS, INTAKE, OUTCOMES, REJECTIONS, TABLES, StreamNames

log = structlog.get_logger(__name__)

NEEDED = (EVENTS, REJECTIONS, OUTCOMES, *INTAKE.values(), *TABLES.values())


class Parts:
    """The parts of one ingest process.

    Args:
        settings: of the process.
        keyring: seals and opens secrets.
    """

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        names = StreamNames(settings.kafka_prefix)
        self._bootstrap = settings.bootstrap
        self._streams = ExpectedStreams(settings.bootstrap, names, NEEDED)
        self.registry = CollectorRegistry()
        self.metrics = IngestMetrics(self.registry)
        self.budget = BodyBudget()
        # Senders wait for the ack, so there is no pace: batches form by themselves under load.
        self.appender = BatchAppender(settings.bootstrap, names)
        self.tables = ConfigTables(settings.bootstrap, names, keyring)
        self.index = ConfigIndex(self.tables)
        self.outcomes = OutcomeReader(settings.bootstrap, names)
        self.rejections = RejectionLog(self.appender, self.metrics)
        refresher = Refresher(self.tables)
        self.keys = KnownKeys(self.tables, refresher)
        directory = Directory(self.tables, self.index, refresher)
        waiting = WaitingEvents()
        self.acceptor = Acceptor(
            directory,
            EventSchemas(self.metrics),
            self.appender,
            settings.max_body_bytes,
            doorkeeper=Doorkeeper(settings.ingest_failures_per_minute),
            waiting=waiting,
        )
        self.batches = BatchAcceptor(self.appender, self.acceptor, waiting)
        self.metrics.show_waiting(lambda: waiting.count, lambda: self.budget.held_bytes)
        self.commands = ConfigCommands(self.appender, self.outcomes, self.tables, keyring)
        self._connected = False

    def checks(self) -> dict[str, Check]:
        """What must hold before ingest can do its job."""
        return {
            "streams": lambda: self._streams.there,
            "producer": lambda: self._connected,
            "tables": lambda: self.tables.current,
            "outcomes": lambda: self.outcomes.current,
        }

    def reasons(self) -> list[str]:
        """What people should know of what does not hold."""
        return [*self._streams.reasons(), *self.tables.reasons()]

    async def start(self) -> None:
        """Connects as soon as there is a broker, and the streams on it, however long that takes."""
        await self._wait_for_broker()
        await self._streams.wait()
        await self.appender.start()
        self.rejections.start()
        await self.outcomes.start()
        self._connected = True
        await self.tables.start()
        log.info("ingest_ready", bootstrap=self._bootstrap)

    async def stop(self) -> None:
        """Stops what was started, the readers before the writer."""
        self._connected = False
        await self.tables.stop()
        await self.outcomes.stop()
        await self.rejections.stop()
        await self.appender.stop()

    async def _wait_for_broker(self) -> None:
        while True:
            try:
                await wait_for_broker(self._bootstrap)
            except TimeoutError:
                log.warning("kafka_unreachable", bootstrap=self._bootstrap)
                await asyncio.sleep(0)
            else:
                return
