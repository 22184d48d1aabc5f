"""Audits the last day again and again, with whatever the writer and people leave of the machine, and keeps metrics."""

import asyncio
import contextlib
import time

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge

from projections.audit.auditor import Auditor, AuditRequest
from projections.audit.log_cut import BehindError
from projections.audit.offender import KINDS
from projections.audit.report import Report
from projections.audit.window import DAY_MS
from runtime.clickhouse import CLICKHOUSE_ERRORS
from runtime.problem import ProblemError

log = structlog.get_logger(__name__)

WINDOW_MS = DAY_MS
"""What waits for a retry is looked at, and ten million attempts of it cost five seconds of a core."""

FIRST_S = 20.0
"""A start has better things to do."""

NAMED = 5
"""In the log; the command names more."""

_FAILURES = (BehindError, KafkaError, ProblemError, TimeoutError, *CLICKHOUSE_ERRORS)


class AuditMetrics:
    """What the last audit of the background found.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "hooklog_audit"
        self.ok = Gauge(f"{name}_ok", "Whether the last audit found nothing wrong", registry=registry)
        self.offenders = Gauge(f"{name}_offenders", "What the last audit found wrong", ["kind"], registry=registry)
        self.failures = Counter(f"{name}_failures", "Audits that could not be finished", registry=registry)
        self.seconds = Gauge(f"{name}_seconds", "How long the last audit took", registry=registry)
        self._age = Gauge(f"{name}_age_seconds", "Since the last audit that was finished", registry=registry)
        self._last_s = time.monotonic()
        self._age.set_function(lambda: time.monotonic() - self._last_s)
        self.ok.set(float("nan"))  # nobody knows yet
        for kind in KINDS:
            self.offenders.labels(kind).set(0)

    def note(self, report: Report, took_s: float) -> None:
        """Takes what an audit says."""
        self._last_s = time.monotonic()
        self.seconds.set(took_s)
        self.ok.set(report.ok)
        for kind in KINDS:
            self.offenders.labels(kind).set(report.findings.counts[kind])


class AuditWatch:
    """Runs audits in the background.

    Args:
        auditor: whose readers are its own.
        metrics: kept current.
        every_s: from the end of one to the start of the next; 0 is never.
    """

    def __init__(self, auditor: Auditor, metrics: AuditMetrics, every_s: float) -> None:
        self._auditor = auditor
        self._metrics = metrics
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, a little later."""
        if self._every_s:
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends, also in the middle of one."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        await asyncio.sleep(min(FIRST_S, self._every_s))
        while True:
            await self._audit()
            await asyncio.sleep(self._every_s)

    async def _audit(self) -> None:
        begun_s, now_ms = time.monotonic(), self._auditor.now_ms()
        try:
            report = await self._auditor.audit(AuditRequest(since_ms=now_ms - WINDOW_MS, most=NAMED), _quiet)
        except _FAILURES as error:
            # Whoever is behind or away tells of it elsewhere; the age of the last audit says how long this lasts.
            self._metrics.failures.inc()
            log.warning("audit_failed", error=str(error)[:500])
            return
        except Exception:
            # Unforeseen, and no reason never to audit again, nor to end the process with an error when it stops.
            self._metrics.failures.inc()
            log.exception("audit_failed")
            return
        self._metrics.note(report, time.monotonic() - begun_s)
        for offender in report.findings.kept:
            log.error("audit_offender", **offender._asdict())


async def _quiet(_: str) -> None:
    """Nobody listens."""
