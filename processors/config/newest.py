"""Whether this worker's tables are the newest there are, known without asking the broker.

The worker that has the intake streams is the one writer of the tables, and an outcome is written only when its own
tables have what it tells of (`agent.py`). So whatever a user was told of before an event was posted is one of

- what this worker wrote since it got the streams: it is in the tables already;
- what another wrote before: every outcome is of a record that was stored while its writer owned the streams for
  certain, thus before we did, and one question to the broker since then has seen it;
- nothing else: while our ownership is certain, there is no later owner.
"""

import contextlib
from collections.abc import Iterator

from faust.types import TP

from processors.batchfed.app import BatchApp
from processors.ownership import Ownership
from runtime.tables import ConfigTables
from schemas.streams import INTAKE, StreamNames


class NewestConfig:
    """Catches up with the tables, without a question where none is needed.

    Args:
        tables: what is caught up with.
        app: whose assignment counts.
        ownership: whether it can be relied on.
        names: turns streams into Kafka topics.
    """

    def __init__(self, tables: ConfigTables, app: BatchApp, ownership: Ownership, names: StreamNames) -> None:
        self._tables = tables
        self._app = app
        self._ownership = ownership
        self._intake = {TP(names(stream), 0) for stream in INTAKE.values()}  # whose owner writes the tables
        self._asked_in = 0  # the last assignment in which the broker was asked as the owner
        self._changes = 0  # under way

    async def catch_up(self) -> None:
        """Returns when everything is applied that anybody could have been told of at the call."""
        assignment = self._app.consumer_generation_id
        owner = self._owns(assignment)
        if owner and self._asked_in == assignment and not self._changes:
            return
        await self._tables.catch_up()
        if owner:
            self._asked_in = assignment

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Around the writing of tables: whoever reads them in Kafka may see a change before we do."""
        self._changes += 1
        try:
            yield
        finally:
            self._changes -= 1

    def _owns(self, assignment: int) -> bool:
        held = self._ownership.holds(assignment) and self._ownership.certain()
        return held and self._app.consumer.assignment() >= self._intake
