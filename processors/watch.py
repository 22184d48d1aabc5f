"""Ends a worker that has come to stand still in a way that nothing in it will mend.

A supervisor starts another when a process ends; it does nothing about one that lives and is not ready.
"""

import asyncio
import time

from processors.batchfed.app import BatchApp
from processors.clients import Clients
from processors.ownership import Ownership
from processors.tasks import OnCrash

MIN_STALL_S = 180.0
"""A group may wait for a dead member's session and then for a slow one's rebalance before anything flows."""


class StandstillError(RuntimeError):
    """The worker does nothing any more, and says that it lives: start another."""


async def watch(
    app: BatchApp, clients: Clients, ownership: Ownership, session_timeout_s: float, on_crash: OnCrash
) -> None:
    """Returns after it has told of a standstill.

    Args:
        app: whose flow is meant.
        clients: whose readers are meant.
        ownership: whose heartbeats are meant.
        session_timeout_s: the group's session.
        on_crash: told of a standstill.
    """
    patience_s = max(MIN_STALL_S, 2 * session_timeout_s)
    flowed_s = time.monotonic()
    while True:
        await asyncio.sleep(1)
        if app.consumer.flowing:
            flowed_s = time.monotonic()
        reasons = {
            "a reader has died": not clients.reading,
            "nothing flows": time.monotonic() - flowed_s > patience_s,
            "no heartbeat": ownership.silent_s() > patience_s,
        }
        if found := [reason for reason, holds in reasons.items() if holds]:
            on_crash(StandstillError("; ".join(found)))
            return
