"""Puts a change into the intake stream and waits for what the config agent makes of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson

from runtime.actor import HEADER, change_of, sealed_actor
from runtime.kafka import Appender, NotStoredError, RecordTooLargeError
from runtime.keyring import Keyring
from runtime.outcomes import OutcomeReader
from runtime.problem import ProblemError
from runtime.tables import ConfigTables, LockedTablesError
from schemas.config import Spec
from schemas.outcome import Outcome, OutcomeAction, OutcomeResult
from schemas.stored import sealed_document
from schemas.streams import INTAKE

MUST_NOT_EXIST = -1
"""In `hl-if-version`: the id must be free."""

CHANGE_DEADLINE_S = 10.0
"""A change takes about 20 ms; callers, proxies included, wait for at least this long."""

READ_DEADLINE_S = 3.0

MAX_AT_ONCE = 200
"""Deletes under one deadline: the config agent stores as many together."""

_RETRY_LATER = {"Retry-After": "5"}
_STATUS_OF = {"exists": 409, "version_changed": 412, "not_found": 404, "too_large": 413}


class Change(NamedTuple):
    """What is asked of the config agent; no value is a deletion."""

    kind: str
    record_id: str
    value: bytes | None
    if_version: int | None
    actor: str


class ConfigCommands:
    """Changes sources, topics, subscriptions and keys, and answers with what became of it.

    Args:
        appender: writes to the intake streams.
        outcomes: reads what the config agent answers.
        tables: hold the result.
        keyring: seals secrets before they leave this process.
    """

    def __init__(self, appender: Appender, outcomes: OutcomeReader, tables: ConfigTables, keyring: Keyring) -> None:
        self._appender = appender
        self._outcomes = outcomes
        self._tables = tables
        self._keyring = keyring

    async def catch_up(self) -> None:
        """Returns when the tables hold everything that was written before the call.

        Raises:
            ProblemError: 503, they cannot tell.
        """
        try:
            async with asyncio.timeout(READ_DEADLINE_S):
                await self._tables.catch_up()
        except TimeoutError:
            detail = "the configuration cannot be read from Kafka now"
            raise ProblemError(503, detail=detail, headers=_RETRY_LATER) from None
        try:
            self._tables.require_open()
        except LockedTablesError as error:  # to answer without those records would tell that there are none
            raise ProblemError(503, detail=str(error), headers=_RETRY_LATER) from None

    async def put(self, spec: Spec, if_version: int | None, actor: str) -> Outcome:
        """Makes a record what the spec says.

        Args:
            spec: the record, secrets in the clear.
            if_version: the version that must be there, `MUST_NOT_EXIST`, or `None` when any will do.
            actor: who asks for it.

        Raises:
            ProblemError: it was refused, or nobody can tell yet.
        """
        document = sealed_document(spec, self._keyring.seal)
        return await self._change(Change(spec.kind, spec.id, orjson.dumps(document), if_version, actor))

    async def delete(self, kind: str, record_id: str, if_version: int | None, actor: str) -> bool:
        """Deletes a record; answers whether there was one.

        Raises:
            ProblemError: it was refused, or nobody can tell yet.
        """
        outcome = await self._change(Change(kind, record_id, None, if_version, actor))
        return outcome.action is OutcomeAction.DELETED

    async def delete_versions(self, kind: str, versions: dict[str, int], actor: str) -> None:
        """Deletes records that are still as they were seen; what others changed meanwhile stays.

        Args:
            kind: of all of them.
            versions: by id; at most `MAX_AT_ONCE`.
            actor: who asks for it.

        Raises:
            ProblemError: nobody can tell yet what became of some of them.
        """
        with _confirmed():
            async with asyncio.timeout(CHANGE_DEADLINE_S):
                changes = [Change(kind, record_id, None, version, actor) for record_id, version in versions.items()]
                outcomes = await asyncio.gather(*map(self._outcome, changes))
                await self._tables.catch_up()
        for outcome in outcomes:
            if outcome.result is OutcomeResult.REFUSED and outcome.code != "version_changed":
                raise _refusal(outcome)

    async def _change(self, change: Change) -> Outcome:
        with _confirmed():
            async with asyncio.timeout(CHANGE_DEADLINE_S):
                outcome = await self._outcome(change)
                await self._tables.catch_up()
        if outcome.result is OutcomeResult.REFUSED:
            raise _refusal(outcome)
        return outcome

    async def _outcome(self, change: Change) -> Outcome:
        key = change.record_id.encode()
        if_version = None if change.if_version is None else str(change.if_version)
        name = change_of(change.kind, key, change.value, if_version)
        headers = [(HEADER, sealed_actor(self._keyring, change.actor, name))]
        if if_version is not None:
            headers.append(("hl-if-version", if_version.encode()))
        stored = await self._appender.append(
            INTAKE[change.kind], change.value, key=key, headers=headers, timeout_s=CHANGE_DEADLINE_S
        )
        return await self._outcomes.outcome(change.kind, stored.offset)


@contextmanager
def _confirmed() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, NotStoredError) as error:
        detail = "not confirmed in time; it may still take effect, so look before you repeat it"
        raise ProblemError(503, "not_confirmed", detail, headers=_RETRY_LATER) from error
    except RecordTooLargeError as error:
        raise ProblemError(413, detail="too large for the intake stream") from error


def _refusal(outcome: Outcome) -> ProblemError:
    members: dict[str, Any] = {}
    if outcome.field:
        members["errors"] = [{"field": outcome.field, "message": outcome.reason}]
    return ProblemError(_STATUS_OF.get(outcome.code, 422), outcome.code, outcome.reason, **members)
