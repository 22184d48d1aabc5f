"""One audit from end to end: cut, wait, add up, look closely, and look again at what may only have been in motion."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from projections.audit.coverage import TABLES, Extent, Place, read_coverage, read_newest
from projections.audit.facts import LATE_MS, read_oldest_ms, read_overdue, read_replays, read_told
from projections.audit.gaps import MAX_LOOKS, MAX_LOOKS_A_GAP, Missing, row_beyond, row_crowded
from projections.audit.log_cut import Extents, LogCut, Tell, log_cut
from projections.audit.offender import Findings, Offender
from projections.audit.report import NOT_EXAMINED, Report
from projections.audit.rollups import read_rollups
from projections.audit.sums import read_sums
from projections.audit.suspects import (
    MAX_SUSPECTS,
    Look,
    Progress,
    Some,
    look_at_deliveries,
    look_at_events,
    read_progress,
)
from projections.audit.window import ATTEMPTS_BEFORE_MS, DAY_MS, Window
from projections.query.readers import SETTINGS, Readers
from runtime.clickhouse import Client
from runtime.expired import read_expired
from runtime.settings import Settings
from schemas.headers import rfc3339
from schemas.streams import EVENTS, OPERATIONS, REJECTIONS, StreamNames

log = structlog.get_logger(__name__)

AUDIT_SETTINGS = SETTINGS | {
    "final": 0,  # each question says which of its tables need it
    "max_execution_time": 60,  # a day of ten million attempts takes a tenth of it
    "max_bytes_before_external_group_by": 300_000_000,  # beyond it the disk helps: an audit of anything ends
    "do_not_merge_across_partitions_select_final": 1,  # no two rows of one key are in two partitions
}
"""ClickHouse's own settings for an audit."""

WATCH_SETTINGS = AUDIT_SETTINGS | {"max_threads": 1, "max_memory_usage": 600_000_000}
"""Of the one in the background: what people ask goes before it."""


PORTION_SLOTS = 30
"""Minutes that are looked at together: at ten million attempts a day, some seconds and a fifth of the memory."""

LOOK_S = 120.0
"""After that no more minutes are looked at closely: where so much is wrong, the first thousands say what."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What is to be audited.

    Attributes:
        since_ms: epoch milliseconds; `None` is from when on everything is kept.
        until_ms: epoch milliseconds; `None` is now.
        most: offenders that are named.
        wait_s: how long the projections may take to pass the cut.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    most: int = 100
    wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Auditor:
    """Audits.

    Attributes:
        settings: which Kafka.
        readers: whose clients have `AUDIT_SETTINGS`.
        now_ms: the clock, epoch milliseconds.
    """

    settings: Settings
    readers: Readers
    now_ms: Callable[[], int]

    async def audit(self, request: AuditRequest, tell: Tell) -> Report:
        """Audits what is asked for.

        Raises:
            BehindError: the projections did not pass the cut in time.
            KafkaError, OSError: Kafka does not answer.
            ClickHouseError: ClickHouse does not answer, or the window needs too much of it.
            ProblemError: 503, the tables are not ready.
        """
        async with log_cut(self.settings) as cut:
            return await _Audit(self, cut, request, tell).run()


class _Audit:
    def __init__(self, auditor: Auditor, cut: LogCut, request: AuditRequest, tell: Tell) -> None:
        self._settings = auditor.settings
        self._run = auditor.readers.run
        self._cut = cut
        self._request = request
        self._tell = tell
        self._now_ms = auditor.now_ms
        self._begun_s = time.monotonic()
        self._looked: set[int] = set()

    async def run(self) -> Report:
        cut_ms = self._now_ms()
        extents = await self._passed()
        report = Report(await self._window(extents, cut_ms), cut_ms, Findings(self._request.most))
        progress = await self._run(lambda client: read_progress(client, cut_ms - LATE_MS))
        for day in report.window.days():
            await self._tell(f"adding up {rfc3339(day.since_ms)[:10]}")
            await self._day(report, day, progress)
        await self._tell("holding the rows against the offsets of Kafka")
        await self._cover(report, extents)
        await self._facts(report)
        log.info(
            "audited", ok=report.ok, offenders=dict(report.findings.counts), took_s=time.monotonic() - self._begun_s
        )
        return report

    async def _passed(self) -> Extents:
        extents = await self._cut.extents()
        await self._cut.passed(extents, self._request.wait_s, self._tell)
        return extents

    async def _window(self, extents: Extents, cut_ms: int) -> Window:
        since_ms = self._request.since_ms
        if since_ms is None:
            oldest_ms = await self._run(read_oldest_ms)
            since_ms = max(cut_ms if oldest_ms is None else oldest_ms, await self._cut.since_ms(extents))
        since_ms = max(since_ms, self._kept_ms(cut_ms, EVENTS.name))
        # Clocks differ, and a window without an end would have no last day.
        until_ms = cut_ms if self._request.until_ms is None else min(self._request.until_ms, cut_ms + DAY_MS)
        return Window(min(since_ms, until_ms), until_ms)

    async def _day(self, report: Report, day: Window, progress: Progress) -> None:
        late_ms = report.cut_ms - LATE_MS
        sums = await self._run(lambda client: read_sums(client, day, late_ms))
        figures = Counter(sums.figures)
        if slots := sums.uneven:
            exact = await self._run(lambda client: read_sums(client, day, late_ms, slots))
            figures.update(exact.figures)
            # Also where it adds up with FINAL: a look costs little, and tells what was sent twice.
            await self._look(report, day, [*exact.uneven, *sorted(set(slots) - set(exact.uneven))], progress)
            report.findings.add_uncounted("minute_uneven", len(set(exact.uneven) - self._looked))
        report.figures.update(figures)
        if figures["replayed"]:
            look = await self._run(lambda client: look_at_events(client, day, Some.replayed(), progress))
            await self._confirm(report, day, look, progress, at_events=True)
        if figures["late"]:
            overdue = await self._run(lambda client: read_overdue(client, day, late_ms, self._request.most))
            report.findings.add(overdue.offenders)
            report.findings.add_uncounted("overdue", overdue.total - len(overdue.offenders))

    async def _look(self, report: Report, day: Window, slots: list[int], progress: Progress) -> None:
        """Looks at minutes, some at a time, until enough is known."""
        for first in range(0, len(slots), PORTION_SLOTS):
            if time.monotonic() - self._begun_s > LOOK_S or report.findings.counts.total() > MAX_SUSPECTS:
                return
            await self._look_at(report, day, slots[first : first + PORTION_SLOTS], progress)

    async def _look_at(self, report: Report, day: Window, slots: list[int], progress: Progress) -> None:
        narrow, some = day.of_slots(slots), Some.of_slots(slots)
        events = await self._run(lambda client: look_at_events(client, narrow, some, progress))
        report.told.update(events.told)
        await self._confirm(report, day, events, progress, at_events=True)
        deliveries = await self._run(lambda client: look_at_deliveries(client, narrow, some))
        report.told.update(deliveries.told)
        await self._confirm(report, day, deliveries, progress, at_events=False)
        self._looked.update(slots)

    async def _confirm(self, report: Report, day: Window, look: Look, progress: Progress, *, at_events: bool) -> None:
        """Looks again, after the projections have passed all that the first look can have seen the effects of."""
        if not look.suspects:
            return
        await self._tell(f"looking again at {len(look.suspects)} that do not add up")
        await self._passed()
        some = Some.of_events(sorted({suspect.event_id for suspect in look.suspects}))

        def again(client: Client) -> Look:
            return look_at_events(client, day, some, progress) if at_events else look_at_deliveries(client, day, some)

        still = {suspect.offender[:2] for suspect in (await self._run(again)).suspects}
        report.findings.add(suspect.offender for suspect in look.suspects if suspect.offender[:2] in still)
        if look.wrong > MAX_SUSPECTS:
            report.findings.add_uncounted(look.suspects[-1].offender.kind, look.wrong - MAX_SUSPECTS)

    async def _cover(self, report: Report, extents: Extents) -> None:
        wanted = await self._wanted(report, extents)
        missing, looks = Missing(partial(self._kept_ms, report.cut_ms)), MAX_LOOKS
        for stream in TABLES:
            coverage = await self._run(partial(read_coverage, stream=stream, extents=wanted))
            asked = sum(extent.end - extent.begin for place, extent in wanted.items() if place[0] == stream)
            report.streams[stream] = {"records": asked, "rows": coverage.rows}
            report.findings.add(map(row_crowded, coverage.crowded))
            examined = 0
            for gap in coverage.gaps:
                most = min(looks, MAX_LOOKS_A_GAP)
                async for record in self._cut.records(gap, most):
                    missing.take(gap.place, record)
                    looks -= 1
                examined += min(gap.records, most)
            report.told[NOT_EXAMINED] += max(0, coverage.missing - examined)
        report.findings.add(await self._run(missing.judge))
        await self._extra(report, extents)

    async def _wanted(self, report: Report, extents: Extents) -> Mapping[Place, Extent]:
        """The part of each partition that was appended within the window, and whose rows are kept."""
        asked_ms = 0 if self._request.since_ms is None else report.window.since_ms
        since = {place: max(asked_ms, self._kept_ms(report.cut_ms, place[0])) for place in extents}
        firsts = await self._cut.offsets_at(extents, since)
        lasts = {place: extent.end for place, extent in extents.items()}
        if self._request.until_ms is not None:
            lasts = await self._cut.offsets_at(extents, dict.fromkeys(extents, report.window.until_ms))
        return {
            place: Extent(max(extent.begin, firsts[place]), min(extent.end, lasts[place]))
            for place, extent in extents.items()
        }

    def _kept_ms(self, cut_ms: int, stream: str) -> int:
        """Since when the rows of a stream, and what took their place, are surely kept."""
        kept_days = {
            REJECTIONS.name: self._settings.retention_rejections_days,
            OPERATIONS.name: self._settings.retention_operations_days,
        }.get(stream, self._settings.retention_days)
        # Rows go on expiring while they are read, and an attempt may go before its event.
        return max(0, cut_ms - min(kept_days, self._settings.retention_errors_days) * DAY_MS + ATTEMPTS_BEFORE_MS)

    async def _extra(self, report: Report, extents: Extents) -> None:
        """Rows of offsets that the log has not reached."""
        newest: dict[Place, int] = {}
        for stream in TABLES:
            newest |= await self._run(partial(read_newest, stream=stream))
        ends = {place: extents.get(place, Extent(0, 0)).end for place in newest}
        if any(at >= ends[place] for place, at in newest.items()):  # it may have come after the cut
            ends |= {place: extent.end for place, extent in (await self._cut.extents()).items()}
        report.findings.add(row_beyond(place, at, ends[place]) for place, at in newest.items() if at >= ends[place])

    async def _facts(self, report: Report) -> None:
        report.findings.add(await self._replays(report.window))
        report.findings.add(await self._run(lambda client: read_rollups(client, report.window)))
        report.told.update(await self._run(lambda client: read_told(client, report.window)))
        known = await read_expired(self._settings.bootstrap, StreamNames(self._settings.kafka_prefix))
        report.findings.add(
            Offender("records_expired", item.key, item.text, "hooklog expired --acknowledge takes note")
            for item in known.values()
            if not item.acknowledged_ms
        )

    async def _replays(self, window: Window) -> list[Offender]:
        found = await self._run(lambda client: read_replays(client, window))
        if not found:
            return []
        # The end of a replay may be in the tables before its last deliveries, which stand in another stream.
        await self._tell(f"looking again at {len(found)} replays that do not add up")
        await self._passed()
        still = {offender[:2] for offender in await self._run(lambda client: read_replays(client, window))}
        return [offender for offender in found if offender[:2] in still]
