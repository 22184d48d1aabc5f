"""The map of the workers: read this and you know the flow.

    config.sources|topics|subscriptions|keys ─▶ config ─▶ tables.*, config.outcomes
    events ─▶ dispatch (joins tables.*, knows dispatches) ─▶ deliveries, dispatches
    deliveries ─▶ deliver ─POST─▶ endpoint;  ─▶ retry.* | park.* | dead,  then attempts
    retry.*, park.* ─▶ delay service ─▶ the next stream of the ladder, at last deliveries
    replays ─▶ replay service (reads events by position) ─▶ deliveries, replays
    operations (told by config, dispatch and deliver) ─▶ operations relay ─▶ events, when somebody subscribes to them

Every agent gets batches (`batchfed`), acknowledges each record when everything that follows from it is stored, and
never before.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from processors.batchfed.acker import BatchAcker, Work
from processors.batchfed.app import BatchApp
from processors.config.agent import ConfigAgent, Hold
from processors.config.intake import Intake
from processors.config.newest import NewestConfig
from processors.deliver.agent import DeliverAgent
from processors.dispatch.agent import Dispatcher
from processors.dispatch.dedup import Deduplicator
from processors.ownership import Ownership
from processors.tasks import OnCrash
from processors.turns import Turns
from runtime.kafka import NotStoredError
from schemas.streams import DELIVERIES, EVENTS, INTAKE, StreamNames


@dataclass(frozen=True, slots=True)
class Parts:
    """What the agents are made of."""

    names: StreamNames
    on_crash: OnCrash
    ownership: Ownership
    turns: Turns
    config: ConfigAgent
    newest: NewestConfig
    dedup: Deduplicator
    dispatcher: Dispatcher
    deliver: DeliverAgent
    config_acker: BatchAcker
    dispatch_acker: BatchAcker
    deliver_acker: BatchAcker


def register_agents(app: BatchApp, parts: Parts) -> None:
    """Gives the app its three agents."""
    kinds = {parts.names(stream): kind for kind, stream in INTAKE.items()}

    async def config(stream: Any) -> None:
        async for event in stream.noack().events():
            work = await _open(parts.config_acker, event)
            assignment = event.message.generation_id
            hold = Hold(partial(parts.ownership.holds, assignment), partial(parts.ownership.settled, assignment))
            if work and await hold.settled():
                intakes = [Intake.of(kinds[record.topic], record) for _, record in work]
                # not stored: they are not ours any more, and their next owner reads them again
                with contextlib.suppress(NotStoredError), parts.newest.changing():
                    await parts.config.apply(intakes, hold)
                    _acknowledge(parts.config_acker, work)

    async def dispatch(stream: Any) -> None:
        async for event in stream.noack().events():
            work = await _open(parts.dispatch_acker, event)
            if work:
                await parts.turns.take(event.message.tp.partition, partial(_dispatch, parts, work))

    async def deliver(stream: Any) -> None:
        async for event in stream.noack().events():
            work = await _open(parts.deliver_acker, event)
            await parts.deliver.take(event.message.generation_id, work)

    app.agent(app.batch_topic(*kinds), name="config")(_loud(config, parts.on_crash))
    app.agent(app.batch_topic(parts.names(EVENTS)), name="dispatch")(_loud(dispatch, parts.on_crash))
    app.agent(app.batch_topic(parts.names(DELIVERIES)), name="deliver")(_loud(deliver, parts.on_crash))


def _loud(agent: Callable[[Any], Awaitable[None]], on_crash: OnCrash) -> Callable[[Any], Awaitable[None]]:
    """The agent, ending the worker with an unexpected error: Faust would start it again past what it had open."""

    async def run(stream: Any) -> None:
        try:
            await agent(stream)
        except Exception as error:
            on_crash(error)
            raise

    return run


async def _dispatch(parts: Parts, work: Work) -> None:
    token, first = work[0]
    still = partial(parts.ownership.holds, token.assignment)
    await parts.dedup.load(token.partition, token.assignment, first.timestamp, still)
    if still():
        await parts.dispatcher.dispatch([record for _, record in work])
        _acknowledge(parts.dispatch_acker, work)


async def _open(acker: BatchAcker, event: Any) -> Work:
    return await acker.open(event.message.tp, event.message.generation_id, event.value)


def _acknowledge(acker: BatchAcker, work: Work) -> None:
    for token, _ in work:
        acker.done(token)
