"""What has to be started before the agents and stopped after them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError

from processors.delay.service import DelayService
from processors.deliver.bodies import Bodies
from processors.deliver.egress import Egress
from processors.deliver.failing import FailingSubscriptions
from processors.deliver.finished import FinishedAttempts
from processors.operations.relay import GROUP as _OPERATIONS
from processors.operations.relay import OperationsRelay
from processors.replay.service import GROUP as _REPLAYS
from processors.replay.service import ReplayService
from runtime.expired import ExpiredRecords
from runtime.health import Check
from runtime.kafka import Appender, EndOffsets
from runtime.tables import ConfigTables

log = structlog.get_logger(__name__)

BROKER_PATIENCE_S = 3_600.0
"""A worker that starts during an outage waits for its end; after an hour it says that it cannot."""

PROCESSORS, DELAY, REPLAYS, OPERATING = GROUPS = ("processors", "delay", _REPLAYS, _OPERATIONS)
"""The groups of consumers that a worker is in, without the prefix."""

START_RETRY_S = 1.0


class Client(Protocol):
    """What has a connection."""

    async def start(self) -> None:
        """Connects; raises KafkaError when it cannot, and may be called again after `stop`."""

    async def stop(self) -> None:
        """Disconnects, also after a failed start."""


@dataclass(frozen=True, slots=True)
class Clients:
    """What has to be started before the agents and stopped after them."""

    expired: ExpiredRecords
    tables: ConfigTables
    appender: Appender
    egress: Egress
    bodies: Bodies
    finished: FinishedAttempts
    failing: FailingSubscriptions
    delay: DelayService
    replays: ReplayService
    operations: OperationsRelay
    ends: EndOffsets

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Starts all, stops all in reverse order."""
        async with contextlib.AsyncExitStack() as stack:
            for client in self._in_order():
                await _start(client)
                stack.push_async_callback(client.stop)
            yield

    def checks(self) -> dict[str, Check]:
        """What of them must hold before the worker can do its job, by name."""
        return {
            "tables": lambda: self.tables.current,
            "attempts": lambda: self.finished.running,
            "delay": lambda: self.delay.running,
            "replays": lambda: self.replays.running,
            "operations": lambda: self.operations.running,
            "records": lambda: self.expired.none,
        }

    def reasons(self) -> list[str]:
        """What people should know of what does not hold."""
        return [*self.tables.reasons(), *self.expired.reasons()]

    @property
    def reading(self) -> bool:
        """Whether every reader lives."""
        some = (self.expired, self.bodies, self.finished, self.failing, self.delay, self.replays, self.operations)
        return self.tables.reading and all(reader.running for reader in some)

    def _in_order(self) -> tuple[Client, ...]:
        first = (self.expired, self.appender, self.tables, self.egress, self.bodies)
        return (*first, self.finished, self.failing, self.delay, self.replays, self.operations, self.ends)


async def _start(client: Client) -> None:
    """Starts a client, again when the broker goes away just then."""
    async with asyncio.timeout(BROKER_PATIENCE_S):
        while True:
            try:
                await client.start()
            except KafkaError as error:
                log.warning("client_start_retry", client=type(client).__name__, error=repr(error))
                with contextlib.suppress(KafkaError):
                    await client.stop()
                await asyncio.sleep(START_RETRY_S)
            else:
                return
