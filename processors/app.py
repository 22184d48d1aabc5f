"""Composition root of the workers: reads the settings, builds every part, hands them in, runs until told to stop."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from importlib.metadata import entry_points

import structlog
import uvloop
from starlette.applications import Starlette

from processors.agents import Parts, register_agents
from processors.backlog import Backlog
from processors.batchfed.acker import BatchAcker
from processors.batchfed.app import BatchApp
from processors.clients import BROKER_PATIENCE_S, DELAY, GROUPS, OPERATING, PROCESSORS, REPLAYS, Clients
from processors.config.agent import ConfigAgent
from processors.config.decide import ConfigRules
from processors.config.newest import NewestConfig
from processors.delay.service import DelayService
from processors.deliver.agent import DeliverAgent
from processors.deliver.attempt import AttemptStep
from processors.deliver.bodies import Bodies
from processors.deliver.egress import Egress
from processors.deliver.failing import FailingSubscriptions
from processors.deliver.finished import FinishedAttempts
from processors.deliver.gates import Gates
from processors.deliver.gone import GoneSubscriptions
from processors.deliver.job import Job
from processors.deliver.reports import Reports
from processors.dispatch.agent import Dispatcher
from processors.dispatch.dedup import Deduplicator
from processors.dispatch.index import SubscriptionIndex
from processors.drain import Drain
from processors.gauges import observe
from processors.metrics import WorkerMetrics
from processors.operations.relay import OperationsRelay
from processors.operations.tell import Operations
from processors.ownership import Ownership
from processors.prepared import until_streams
from processors.replay.run import RunParts
from processors.replay.service import ReplayService
from processors.serving import serving
from processors.shortcut import Shortcut
from processors.tasks import OnCrash, Tasks
from processors.turns import Turns
from processors.watch import watch
from rules.addresses import AddressPolicy
from rules.ladder import Ladder
from rules.verify.plugins import GROUP, add_plugins
from runtime.expired import ExpiredRecords
from runtime.garbage import settle
from runtime.health import Health
from runtime.hosts import AllowedHosts
from runtime.kafka import Appender, EndOffsets, wait_for_broker
from runtime.keyring import Keyring
from runtime.positions import PositionReader
from runtime.secrets_files import load_encryption_keys
from runtime.settings import Settings
from runtime.tables import ConfigTables
from runtime.telemetry import configure_logging
from schemas.config import SubscriptionSpec
from schemas.streams import ATTEMPTS, DISPATCHES, EVENTS, HEALTH, PARK_TIERS, RETRY_TIERS, StreamNames

log = structlog.get_logger(__name__)

APPEND_PACE_S = 0.005
"""An event makes its deliveries, then its dispatch record, then an attempt: those of five milliseconds share a request,
which costs the broker and us a third of what one each does."""


def now_ms() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def run(settings: Settings) -> None:
    """Runs a worker until SIGTERM or SIGINT.

    Raises:
        PluginError: a verifier that is installed cannot be used.
        SystemExit: with status 1, when it cannot go on; a supervisor starts another.
    """
    configure_logging(settings.log_level)
    add_plugins(entry_points(group=GROUP))  # the config agent must know what ingest knows
    settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        status = runner.run(_serve(settings))
    raise SystemExit(status)


async def _serve(settings: Settings) -> int:
    await wait_for_broker(settings.bootstrap, timeout_s=BROKER_PATIENCE_S)
    stop, crashed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def on_crash(error: BaseException) -> None:
        log.critical("worker_crashed", exc_info=error)
        crashed.set()
        stop.set()

    if not await until_streams(settings, stop):
        return 0
    worker = Worker(settings, on_crash)
    async with worker.clients.running(), worker.agents(), worker.http():
        log.info("processors_started")
        await worker.until(stop)
    return 1 if crashed.is_set() else 0


class Worker:
    """Every part of a worker process.

    Args:
        settings: of this process.
        on_crash: told of an error that nobody expected.
    """

    def __init__(self, settings: Settings, on_crash: OnCrash) -> None:
        self._settings = settings
        self._on_crash = on_crash
        self._names = StreamNames(settings.kafka_prefix)
        self._keyring = Keyring.parse(load_encryption_keys(settings))
        self._policy = AddressPolicy.of(settings.egress_networks)
        self._dedup = Deduplicator(settings.bootstrap, self._names(DISPATCHES), settings.data_dir / "dedup")
        self._ladder = Ladder(RETRY_TIERS, settings.retry_scale)
        self._parking = Ladder(PARK_TIERS, settings.retry_scale)
        self.metrics = WorkerMetrics()
        self._expired = ExpiredRecords(settings.bootstrap, self._names, GROUPS, now_ms, self.metrics.registry)
        self._background = Tasks(on_crash)
        self._appender = Appender(settings.bootstrap, self._names, pace_s=APPEND_PACE_S)
        self._operations = Operations(self._appender, now_ms, self.metrics)
        self._reports = Reports(Tasks(on_crash), self._operations.tell, now_ms)
        self._gates = Gates(now_ms, settings.retry_scale, self._spec_of, self._reports.breaker)
        self.clients = self._clients()
        self._app = BatchApp(
            f"{settings.kafka_prefix}{PROCESSORS}",
            bootstrap=settings.bootstrap,
            partitions=settings.partitions,
            session_timeout_s=settings.session_timeout_s,
            data_dir=settings.data_dir / "processors",
            instance_id=settings.instance_id,
            on_lost=self._expired.of_group(PROCESSORS),
        )
        self._ownership = Ownership(self._app, settings.session_timeout_s)
        self._deliver_acker = BatchAcker(self._app)
        self._deliver = self._deliver_agent()
        self._drain = Drain(self._app, self._ownership, self._background, self._deliver)
        register_agents(self._app, self._parts())
        self._backlog = Backlog(self._app, self.clients.delay, self.clients.ends, self._names, self.metrics)
        observe(self.metrics, self._deliver.lanes, self._gates, self._dedup, self.clients)

    def _clients(self) -> Clients:
        settings, names, appender = self._settings, self._names, self._appender
        tables = ConfigTables(settings.bootstrap, names, self._keyring)
        lost, self._gone = self._expired.of_group, GoneSubscriptions(tables, self._keyring, appender)
        return Clients(
            expired=self._expired,
            tables=tables,
            appender=appender,
            egress=Egress(self._policy, now_ms, settings.egress_dns_servers),
            bodies=Bodies(PositionReader(settings.bootstrap, names(EVENTS))),
            ends=EndOffsets(settings.bootstrap),
            operations=OperationsRelay(
                settings,
                tables=tables,
                appender=appender,
                now_ms=now_ms,
                metrics=self.metrics,
                on_crash=self._on_crash,
                on_lost=lost(OPERATING),
            ),
            replays=ReplayService(RunParts(settings, names, tables, appender, now_ms), self._on_crash, lost(REPLAYS)),
            finished=FinishedAttempts(settings.bootstrap, names(ATTEMPTS), settings.partitions),
            failing=FailingSubscriptions(
                bootstrap=settings.bootstrap,
                kafka_topic=names(HEALTH),
                appender=appender,
                gone=self._gone,
                reports=self._reports,
                now_ms=now_ms,
                scale=settings.retry_scale,
            ),
            delay=DelayService(
                bootstrap=settings.bootstrap,
                names=names,
                group=f"{settings.kafka_prefix}{DELAY}",
                ladders=(self._ladder, self._parking),
                appender=appender,
                session_timeout_s=settings.session_timeout_s,
                instance_id=settings.instance_id,
                now_ms=now_ms,
                on_crash=self._on_crash,
                on_lost=lost(DELAY),
            ),
        )

    def _spec_of(self, job: Job) -> SubscriptionSpec | None:
        subscription = self.clients.tables.subscription(job.lane)
        return subscription.spec if subscription else None

    def _deliver_agent(self) -> DeliverAgent:
        clients = self.clients
        step = AttemptStep(
            egress=clients.egress,
            gone=self._gone,
            failing=clients.failing,
            appender=clients.appender,
            operations=self._operations,
            ladder=self._ladder,
            parking=self._parking,
            now_ms=now_ms,
            scale=self._settings.retry_scale,
            metrics=self.metrics,
        )
        return DeliverAgent(
            acker=self._deliver_acker,
            ownership=self._ownership,
            finished=clients.finished,
            failing=clients.failing,
            step=step,
            bodies=clients.bodies,
            gates=self._gates,
            tables=clients.tables,
            now_ms=now_ms,
            on_crash=self._on_crash,
        )

    def _parts(self) -> Parts:
        clients = self.clients
        rules = ConfigRules(self._keyring, self._policy)
        newest = NewestConfig(clients.tables, self._app, self._ownership, self._names)
        return Parts(
            names=self._names,
            on_crash=self._on_crash,
            ownership=self._ownership,
            turns=Turns(self._background),
            config=ConfigAgent(
                rules,
                clients.tables,
                self._keyring,
                appender=clients.appender,
                operations=self._operations,
                metrics=self.metrics,
            ),
            newest=newest,
            dedup=self._dedup,
            dispatcher=Dispatcher(
                tables=clients.tables,
                catch_up=newest.catch_up,
                index=SubscriptionIndex(clients.tables.table("subscriptions")),
                dedup=self._dedup,
                appender=clients.appender,
                operations=self._operations,
                pass_on=Shortcut(self._app, self._deliver_acker).take,
                now_ms=now_ms,
                metrics=self.metrics,
                clocks_apart_ms=self._settings.clocks_apart_ms,
            ),
            deliver=self._deliver,
            config_acker=BatchAcker(self._app),
            dispatch_acker=BatchAcker(self._app),
            deliver_acker=self._deliver_acker,
        )

    @contextlib.asynccontextmanager
    async def agents(self) -> AsyncIterator[None]:
        """Runs the Faust app, drains at every revocation and before the end."""
        await self._app.start()
        try:
            yield
        finally:
            await self._app.stop()

    @contextlib.asynccontextmanager
    async def http(self) -> AsyncIterator[None]:
        """Serves health and metrics."""
        own = {"group": self._ownership.certain, "flow": lambda: self._app.consumer.flowing}
        checks = self.clients.checks() | own
        routes = Health("processors", checks, self.metrics.registry, self.clients.reasons).routes()
        app = AllowedHosts(Starlette(routes=routes), [self._settings.host, *self._settings.allowed_host_names])
        async with serving(app, self._settings.host, self._settings.processors_port):
            yield

    async def until(self, stop: asyncio.Event) -> None:
        """Returns when told to stop, or when the Faust app has crashed."""
        watching = watch(self._app, self.clients, self._ownership, self._settings.session_timeout_s, self._on_crash)
        crashed = self._app._crashed.wait()  # noqa: SLF001 - mode tells only its own supervisor
        measuring = Tasks(self._on_crash)
        measuring.spawn(self._backlog.watch())
        waits = [asyncio.create_task(work) for work in (stop.wait(), crashed, watching)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in [*waits, *measuring.running()]:
            task.cancel()
        if self._app._crashed.is_set():  # noqa: SLF001 - as above
            self._on_crash(self._app.crash_reason or RuntimeError("the Faust app crashed"))
