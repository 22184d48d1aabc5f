"""What a worker does before it gives its partitions away, and before it ends."""

import asyncio

import structlog

from processors.batchfed.app import BatchApp
from processors.deliver.agent import DeliverAgent
from processors.ownership import Ownership
from processors.tasks import Tasks

log = structlog.get_logger(__name__)

COMMIT_LIMIT_S = 3.0
REVOKE_DRAIN_S = 3.0
LEAVE_DRAIN_S = 16.0
"""Above the default timeout of a request, so that a stop repeats nothing."""


class Drain:
    """Finishes what has begun, and commits it.

    Args:
        app: told of every revocation.
        ownership: nothing new starts from then on.
        dispatching: the batches under way.
        deliver: the attempts under way.
    """

    def __init__(self, app: BatchApp, ownership: Ownership, dispatching: Tasks, deliver: DeliverAgent) -> None:
        self._app = app
        self._ownership = ownership
        self._dispatching = dispatching
        self._deliver = deliver
        app.on_partitions_revoked.connect(self._revoked)
        app.on_before_shutdown.connect(self._leaving)

    async def _revoked(self, *_: object, **__: object) -> None:
        await self._drain(REVOKE_DRAIN_S, leaving=False)

    async def _leaving(self, *_: object, **__: object) -> None:
        await self._drain(LEAVE_DRAIN_S, leaving=True)

    async def _drain(self, limit_s: float, *, leaving: bool) -> None:
        self._ownership.fence()
        if dispatching := self._dispatching.running():
            await asyncio.wait(dispatching, timeout=REVOKE_DRAIN_S)
        await self._deliver.drain(limit_s, leaving=leaving)
        try:
            async with asyncio.timeout(COMMIT_LIMIT_S):
                await self._app.consumer.commit()
        except TimeoutError:
            log.warning("drained_without_commit")  # what was finished is known to be, from its attempts
