"""Whether the table of replays has every replay that Kafka has."""

from aiokafka.errors import KafkaError

from projections.audit.log_cut import BehindError, log_cut
from runtime.problem import ProblemError
from runtime.settings import Settings
from schemas.streams import REPLAYS

WAIT_S = 10.0
"""The writer is a second behind, and some seconds after a start; who asks does not wait longer than half a minute."""


class StoredReplays:
    """Waits for the writer.

    Args:
        settings: which Kafka.
    """

    def __init__(self, settings: Settings, wait_s: float = WAIT_S) -> None:
        self._settings = settings
        self._wait_s = wait_s

    async def until_all(self) -> None:
        """Returns when the table has what the stream had when this was called.

        Raises:
            ProblemError: 503, it has not, or Kafka does not answer.
        """
        try:
            async with log_cut(self._settings) as cut:
                extents = await cut.extents()
                replays = {place: extent for place, extent in extents.items() if place[0] == REPLAYS.name}
                await cut.passed(replays, self._wait_s, _untold)
        except BehindError as error:
            detail = f"nobody can tell yet whether the key was used: {error}"
            raise ProblemError(503, detail=detail, headers={"Retry-After": "5"}) from error
        except (KafkaError, OSError) as error:
            raise ProblemError(503, detail="Kafka does not answer", headers={"Retry-After": "5"}) from error


async def _untold(text: str) -> None:
    """For who has nobody to tell."""
