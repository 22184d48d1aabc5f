"""Finds the topic and the source that a request is for, in tables that are current enough to say no."""

from dataclasses import dataclass

from ingest.refresh import NotCurrentError, Refresher
from runtime.problem import ProblemError
from runtime.tables import ConfigTables
from schemas.config import SourceSpec, TopicSpec
from schemas.ids import RECORD_ID
from schemas.stored import Record


@dataclass(frozen=True, slots=True)
class Destination:
    """A topic and its source."""

    topic: TopicSpec
    source: Record[SourceSpec]


class Directory:
    """Looks topics up.

    Args:
        tables: the replicated config tables.
        refresher: asked before anything is refused: "not there" may be "not there yet".
    """

    def __init__(self, tables: ConfigTables, refresher: Refresher) -> None:
        self._tables = tables
        self._refresher = refresher

    async def find(self, topic_id: str) -> Destination:
        """The topic with that id and its source.

        Raises:
            ProblemError: 404 there is none; 503 nobody can tell now.
        """
        if not RECORD_ID.fullmatch(topic_id):
            raise ProblemError(404, "topic_not_found", "there is no such topic")
        if not self._tables.loaded:
            raise _not_current()
        return self._known(topic_id) or await self.find_again(topic_id)

    async def find_again(self, topic_id: str) -> Destination:
        """As `find`, in tables that hold everything written before the call.

        Raises:
            ProblemError: 404 there is none; 503 nobody can tell now.
        """
        try:
            await self._refresher.refresh()
        except NotCurrentError:
            raise _not_current() from None
        found = self._known(topic_id)
        if found is None:
            raise self._missing(topic_id)
        return found

    def _known(self, topic_id: str) -> Destination | None:
        topic = self._tables.topic(topic_id)
        source = self._tables.source(topic.spec.source_id) if topic else None
        return Destination(topic.spec, source) if topic and source else None

    def _missing(self, topic_id: str) -> ProblemError:
        topic = self._tables.topic(topic_id)
        if topic is None:
            return ProblemError(404, "topic_not_found", "there is no such topic")
        return ProblemError(404, "source_not_found", f"the topic's source {topic.spec.source_id} does not exist")


def _not_current() -> ProblemError:
    return ProblemError(503, detail="the configuration cannot be read from Kafka now", headers={"Retry-After": "5"})
