"""The API keys, followed by the read side: of the tables of the configuration it needs this one alone."""

import asyncio
import contextlib

import structlog
from aiokafka.errors import KafkaError

from runtime.kafka import wait_for_broker
from runtime.keyring import Keyring
from runtime.known_keys import KnownKeys
from runtime.refresh import Refresher
from runtime.tables import ConfigTables
from schemas.key import KeySpec
from schemas.streams import StreamNames

log = structlog.get_logger(__name__)

_PAUSE_S = 1.0


class FollowedKeys:
    """Starts as soon as a broker answers; until then the key of the environment is the only one that opens.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.

    Attributes:
        known: the keys.
    """

    def __init__(self, bootstrap: str, names: StreamNames) -> None:
        self._bootstrap = bootstrap
        # No encryption key: nothing of a key's record is sealed.
        self._tables = ConfigTables(bootstrap, names, Keyring({}), (KeySpec.kind,))
        self.known = KnownKeys(self._tables, Refresher(self._tables))
        self._starting: asyncio.Task[None] | None = None

    @property
    def current(self) -> bool:
        """Whether all keys were read once, and new ones are."""
        return self._tables.current

    def start(self) -> None:
        """Begins, and tries again for as long as it takes."""
        self._starting = asyncio.create_task(self._start())

    async def stop(self) -> None:
        """Stops following."""
        if self._starting is not None:
            self._starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._starting
        await self._tables.stop()

    async def _start(self) -> None:
        while True:
            try:
                await wait_for_broker(self._bootstrap)
                await self._tables.start()
            except (KafkaError, TimeoutError) as error:
                log.warning("keys_not_followed", error=repr(error))
                await self._tables.stop()
                await asyncio.sleep(_PAUSE_S)
            else:
                return
