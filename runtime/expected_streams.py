"""Whether the cluster has every stream of this release: an older `hooklog init` did not make the newer ones."""

import asyncio
from collections.abc import Iterable

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from schemas.streams import Stream, StreamNames

log = structlog.get_logger(__name__)

LOOK_AGAIN_S = 2.0
MAX_NAMED = 5


class ExpectedStreams:
    """The streams that must be there before a service can work.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        streams: those that the service needs: without the others it goes on.

    Attributes:
        missing: those that were not there at the last look; `None` before the first.
    """

    def __init__(self, bootstrap: str, names: StreamNames, streams: Iterable[Stream]) -> None:
        self._bootstrap = bootstrap
        self._expected = [names(stream) for stream in streams]
        self.missing: list[str] | None = None

    @property
    def there(self) -> bool:
        """Whether all of them were there at the last look."""
        return self.missing == []

    def reasons(self) -> list[str]:
        """What people should know, and do."""
        if not self.missing:
            return []
        named = ", ".join(self.missing[:MAX_NAMED]) + (", …" if len(self.missing) > MAX_NAMED else "")
        return [f"{len(self.missing)} streams are not in Kafka: {named}; hooklog init makes them"]

    async def look(self) -> bool:
        """Asks once; whether all are there. While nobody answers, it is as it was before."""
        try:
            missing = await self._ask()
        except (KafkaError, OSError) as error:
            log.warning("streams_unknown", error=repr(error))
            return self.there
        if missing and missing != self.missing:
            log.error("streams_missing", count=len(missing), streams=missing, remedy="hooklog init")
        self.missing = missing
        return self.there

    async def wait(self) -> None:
        """Returns when all are there, however long that takes."""
        while not await self.look():
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _ask(self) -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        try:
            await admin.start()
            found = set(await admin.list_topics())
        finally:
            await admin.close()
        return [name for name in self._expected if name not in found]
