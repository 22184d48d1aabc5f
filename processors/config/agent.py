"""Applies intake records to the tables, in their order, and tells what came of each."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from processors.config.decide import ConfigRules, Decision
from processors.config.intake import Intake
from processors.metrics import WorkerMetrics
from processors.operations.kinds import of_outcome
from processors.operations.tell import Operations, record_of
from runtime.kafka import Appender, NotStoredError, Outgoing
from runtime.keyring import Keyring
from runtime.tables import ConfigTables
from schemas.config import SubscriptionSpec
from schemas.operation import Operation
from schemas.outcome import Outcome, encode_outcome
from schemas.stored import encode_record
from schemas.streams import OUTCOMES, TABLES

log = structlog.get_logger(__name__)

MAX_WAVE = 200
"""Records that are decided and stored together; their outcomes follow when all of them are stored."""


class Hold(NamedTuple):
    """What the agent may rely on.

    Attributes:
        still: whether the intake streams are still ours, as far as we know.
        settled: waits until that is certain; false when they are not ours any more.
    """

    still: Callable[[], bool]
    settled: Callable[[], Awaitable[bool]]


class ConfigAgent:
    """The one writer of the tables.

    Args:
        rules: decide what takes effect.
        tables: what is stored.
        keyring: seals the secrets.
        appender: stores.
        operations: tells people.
        metrics: counts.
    """

    def __init__(
        self,
        rules: ConfigRules,
        tables: ConfigTables,
        keyring: Keyring,
        *,
        appender: Appender,
        operations: Operations,
        metrics: WorkerMetrics,
    ) -> None:
        self._metrics = metrics
        self._rules = rules
        self._tables = tables
        self._keyring = keyring
        self._appender = appender
        self._operations = operations

    async def apply(self, intakes: list[Intake], hold: Hold) -> None:
        """Stores what the records change, then what came of each; returns when the broker has all of it.

        An id stands only once in a wave, so each decision rests on what is stored; and the outcomes of a wave are
        stored before the next one is, so a record whose successor was applied has its outcome for certain. No outcome
        is told of a record that may have been stored after somebody else got the streams: dispatch would not know of
        it (`newest.py`).

        Args:
            intakes: in the order of their streams.
            hold: on the streams; a repetition after its end could undo what their next owner did.

        Raises:
            NotStoredError: it has ended, and not everything was stored and told before.
        """
        await self._tables.catch_up()
        self._tables.require_open()
        await self._repair(hold.still)
        for wave in waves(intakes):
            decisions = [self._decide(intake) for intake in wave]
            await self._store(wave, decisions, hold.still)
            if not await hold.settled():
                raise NotStoredError("the intake streams are not ours any more")
            await self._tell_all(decisions)

    async def _tell_all(self, decisions: list[Decision]) -> None:
        """Stores the outcomes and, within their bound, what people are told of them."""
        outcomes = [decision.outcome for decision in decisions if decision.outcome]
        operations = self._operations.admitted(filter(None, map(_operation, decisions)))
        records = [Outgoing(OUTCOMES, encode_outcome(outcome), outcome.id.encode()) for outcome in outcomes]
        await self._appender.append_all([*records, *map(record_of, operations)])
        self._operations.stored(operations)
        for outcome in outcomes:
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        self._metrics.config.labels(outcome.result).inc()
        log.info(
            "config",
            kind=outcome.kind,
            id=outcome.id,
            result=outcome.result,
            action=outcome.action,
            version=outcome.version,
            code=outcome.code,
            field=outcome.field,
        )

    def _decide(self, intake: Intake) -> Decision:
        table = self._tables.table(intake.kind)
        record_id = intake.shown_id
        return self._rules.decide(intake, table.records.get(record_id), table.version_of(record_id))

    async def _repair(self, still: Callable[[], bool]) -> None:
        """Stores again what a late writer covered: compaction keeps the last record of a key, not the newest."""
        records = []
        for kind in TABLES:
            table = self._tables.table(kind)
            for record_id in list(table.outdated):
                record = table.records.get(record_id)
                value = encode_record(record, self._keyring.seal) if record else None
                headers = [("hl-version", b"%d" % table.version_of(record_id))]
                records.append(Outgoing(TABLES[kind], value, record_id.encode(), headers))
        if records:
            log.warning("tables_repaired", records=len(records))
            await self._appender.append_all(records, still=still)

    async def _store(self, wave: list[Intake], decisions: list[Decision], still: Callable[[], bool]) -> None:
        writes = [
            (intake.kind, self._table_record(intake, decision))
            for intake, decision in zip(wave, decisions, strict=True)
            if decision.writes
        ]
        stored = await self._appender.append_all([record for _, record in writes], still=still)
        for (kind, _), metadata in zip(writes, stored, strict=True):
            await self._tables.reached(kind, metadata.offset + 1)

    def _table_record(self, intake: Intake, decision: Decision) -> Outgoing:
        value = encode_record(decision.record, self._keyring.seal) if decision.record else None
        headers = [("hl-version", b"%d" % intake.offset)]
        return Outgoing(TABLES[intake.kind], value, intake.key, headers)


def _operation(decision: Decision) -> Operation | None:
    spec = decision.record.spec if decision.record else None
    topic_id = spec.topic_id if isinstance(spec, SubscriptionSpec) else ""
    return of_outcome(decision.outcome, topic_id) if decision.outcome else None


def waves(intakes: list[Intake]) -> list[list[Intake]]:
    """The records in order, cut wherever an id comes again, and into at most `MAX_WAVE` each."""
    cut: list[list[Intake]] = []
    seen: set[tuple[str, bytes | None]] = set()
    for intake in intakes:
        key = (intake.kind, intake.key)
        if not cut or key in seen or len(cut[-1]) >= MAX_WAVE:
            cut.append([])
            seen.clear()
        seen.add(key)
        cut[-1].append(intake)
    return cut
