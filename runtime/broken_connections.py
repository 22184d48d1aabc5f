"""Makes aiokafka take a connection that uvloop has closed for a broken one.

uvloop raises RuntimeError for a write to a transport that has just been closed, where asyncio says nothing. aiokafka
0.14 expects an OSError: its task that keeps the metadata ends with any other, unseen, and that client then stands still
for ever. Seen at a restart of a broker: no retry was released any more, and the worker did not stop when told to.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError


def _told(method: str) -> None:
    write = getattr(AIOKafkaConnection, method)

    def told(self: AIOKafkaConnection, *args: Any, **kwargs: Any) -> Any:
        try:
            return write(self, *args, **kwargs)
        except KafkaError:  # a RuntimeError too
            raise
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"the connection was closed: {error}") from error

    setattr(AIOKafkaConnection, method, told)


for name in ("send", "_send_sasl_token"):
    _told(name)


def lives(client: Any) -> bool:
    """Whether a consumer's or a producer's task that keeps the metadata runs: nothing mends a client without it."""
    keeper = client._client._sync_task  # noqa: SLF001 - aiokafka tells nobody
    return keeper is None or not keeper.done()
