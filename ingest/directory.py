"""Finds the topic and the source that a request is for, in tables that are current enough to say no."""

from dataclasses import dataclass

from ingest.config_index import ConfigIndex
from ingest.source_rules import SourceRules
from runtime.problem import ProblemError
from runtime.refresh import NotCurrentError, Refresher
from runtime.tables import ConfigTables
from schemas.config import SourceSpec, TopicSpec
from schemas.ids import RECORD_ID, RESERVED_PREFIX
from schemas.stored import Record

MAX_READY = 100_000
"""Topics whose rules are kept worked out, half a KiB each; more are worked out again."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A topic and the rules of its source."""

    topic: TopicSpec
    source: SourceRules


@dataclass(frozen=True, slots=True)
class _Ready:
    """A destination, and the records that it was made of."""

    topic: Record[TopicSpec]
    source: Record[SourceSpec]
    destination: Destination


class Directory:
    """Looks topics and sources up.

    Args:
        tables: the replicated config tables.
        index: knows the topics of a source.
        refresher: asked before anything is refused: "not there" may be "not there yet".
    """

    def __init__(self, tables: ConfigTables, index: ConfigIndex, refresher: Refresher) -> None:
        self._tables = tables
        self._index = index
        self._refresher = refresher
        self._ready: dict[str, _Ready] = {}

    async def find(self, topic_id: str) -> Destination:
        """The topic with that id and its source.

        Raises:
            ProblemError: 403 nothing here verifies its senders; 404 there is none; 503 nobody can tell now.
        """
        if not RECORD_ID.fullmatch(topic_id):
            raise ProblemError(404, "topic_not_found", "there is no such topic")
        if not self._tables.loaded:
            raise _not_current()
        return self._known(topic_id) or await self.find_again(topic_id)

    async def find_again(self, topic_id: str) -> Destination:
        """As `find`, in tables that hold everything written before the call.

        Raises:
            ProblemError: 403 nothing here verifies its senders; 404 there is none; 503 nobody can tell now.
        """
        await self._refresh()
        found = self._known(topic_id)
        if found is None:
            raise self._missing(topic_id)
        return found

    async def find_source(self, source_id: str) -> SourceRules:
        """The rules of the source with that id.

        Raises:
            ProblemError: 403 nothing here verifies its senders; 404 there is none; 503 nobody can tell now.
        """
        if not RECORD_ID.fullmatch(source_id):
            raise _no_source(source_id)
        if not self._tables.loaded:
            raise _not_current()
        if self._source(source_id) is None:
            await self._refresh()
        source = self._source(source_id)
        if source is None:
            raise _no_source(source_id)
        return SourceRules.of(source.spec)

    async def default_topic(self, source_id: str) -> str:
        """The id of the topic that stands for a source: the one with the source's id, else its only one.

        Raises:
            ProblemError: `no_default_topic`, 404 without a topic and 409 with several; 503 nobody can tell now.
        """
        chosen = self._default(source_id)
        if chosen is None:
            await self._refresh()
            chosen = self._default(source_id)
        if chosen is None:
            raise self._undecided(source_id)
        return chosen

    def _default(self, source_id: str) -> str | None:
        topics = self._index.children(SourceSpec.kind, source_id)
        if source_id in topics:
            return source_id
        return topics.after("", 1)[0] if len(topics) == 1 else None

    def _undecided(self, source_id: str) -> ProblemError:
        topics = self._index.children(SourceSpec.kind, source_id)
        if not topics:
            return ProblemError(404, "no_default_topic", "the source has no topic")
        # Their ids are not told: nobody has proved yet who asks.
        detail = f"the source has {len(topics)} topics and none has its id: send to /api/v1/ingest/{{topic_id}}"
        return ProblemError(409, "no_default_topic", detail)

    async def _refresh(self) -> None:
        try:
            await self._refresher.refresh()
        except NotCurrentError:
            raise _not_current() from None

    def _known(self, topic_id: str) -> Destination | None:
        if topic_id.startswith(RESERVED_PREFIX):
            return None  # also when an older release took such a record: nobody may post what Hooklog itself tells
        topic = self._tables.topic(topic_id)
        source = self._source(topic.spec.source_id) if topic else None
        ready = self._ready.get(topic_id)
        if ready is not None and ready.topic is topic and ready.source is source:
            return ready.destination
        self._ready.pop(topic_id, None)
        return self._made_ready(topic, source) if topic and source else None

    def _made_ready(self, topic: Record[TopicSpec], source: Record[SourceSpec]) -> Destination:
        if len(self._ready) >= MAX_READY:
            self._ready.clear()
        destination = Destination(topic.spec, SourceRules.of(source.spec))
        self._ready[topic.spec.id] = _Ready(topic, source, destination)
        return destination

    def _source(self, source_id: str) -> Record[SourceSpec] | None:
        # One that our keys do not open is not gone, and what it said before may let in whom it was changed against.
        if source_id in self._tables.table(SourceSpec.kind).locked:
            raise _not_current()
        return self._tables.source(source_id)

    def _missing(self, topic_id: str) -> ProblemError:
        topic = self._tables.topic(topic_id)
        if topic is None or topic_id.startswith(RESERVED_PREFIX):
            return ProblemError(404, "topic_not_found", "there is no such topic")
        return ProblemError(404, "source_not_found", f"the topic's source {topic.spec.source_id} does not exist")


def _no_source(source_id: str) -> ProblemError:
    # The id, because the rejection has no other place for it: it names sources that exist.
    return ProblemError(404, "source_not_found", f"there is no source {source_id[:64]}")


def _not_current() -> ProblemError:
    return ProblemError(503, detail="the configuration cannot be read from Kafka now", headers={"Retry-After": "5"})
