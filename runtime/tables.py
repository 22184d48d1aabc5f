"""The config tables, replicated: every service holds all sources, topics, subscriptions and keys in memory.

No consumer group and no Faust table: each process reads all of `tables.*` from the beginning and goes on
reading. `catch_up` gives read-your-writes: it asks where the tables end now and waits until it has read so far.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from runtime.broken_connections import lives
from runtime.kafka import EndOffsets, NotStoredError
from runtime.keyring import Keyring, UnknownKeyError
from schemas.config import SourceSpec, Spec, SubscriptionSpec, TopicSpec
from schemas.headers import MalformedRecordError, first_values, integer
from schemas.key import KeySpec
from schemas.stored import Record, decode_record
from schemas.streams import CONFIG_KINDS, TABLES, StreamNames

log = structlog.get_logger(__name__)

_FETCH_BYTES = 4_194_304
_ERROR_PAUSE_S = 0.5
_MAX_NAMED = 3
_SAME_KEYS = "give every process the same HOOKLOG_ENCRYPTION_KEYS"

OnChange = Callable[[str, Record[Any] | None, Record[Any] | None], None]
"""Called with the id, the record before and the record after; `None` is no record."""


class LockedTablesError(RuntimeError):
    """Other processes encrypt with keys that are not here: give all of them the same `HOOKLOG_ENCRYPTION_KEYS`."""


class Table:
    """The newest good record of each id of one kind, and the versions of what was deleted.

    Attributes:
        locked: ids whose newest record was sealed with a key that is not ours: nobody may take them for deleted.
        outdated: ids whose last record in the stream is not their newest, as after a late writer: compaction would
            keep the wrong one.
    """

    def __init__(self, kind: str, keyring: Keyring) -> None:
        self.kind = kind
        self.locked: set[str] = set()
        self.outdated: set[str] = set()
        self.records: dict[str, Record[Spec]] = {}
        self.deleted: dict[str, int] = {}
        self.bad_records = 0
        self.listeners: list[OnChange] = []
        self._keyring = keyring

    def version_of(self, record_id: str) -> int:
        """The intake offset last applied to an id, deletes included; -1 when there was none."""
        record = self.records.get(record_id)
        return record.version if record else self.deleted.get(record_id, -1)

    def read(self, message: ConsumerRecord) -> None:
        """Takes one record of the stream; a bad one is counted and leaves the last good one."""
        try:
            record_id = (message.key or b"").decode()
            self._apply(record_id, message)
        except (MalformedRecordError, UnicodeDecodeError) as error:
            self.bad_records += 1
            if isinstance(error.__cause__, UnknownKeyError):
                self.locked.add(record_id)
            log.warning("table_record_unreadable", table=self.kind, offset=message.offset, error=str(error))

    def _apply(self, record_id: str, message: ConsumerRecord) -> None:
        if message.value is None:
            version = integer(first_values(message.headers), "hl-version")
            self.put(record_id, None, version)
        else:
            record = decode_record(self.kind, message.value, self._keyring.opened_of_table)
            if record.spec.id != record_id:
                raise MalformedRecordError(f"the record of {record.spec.id} under the key {record_id}")
            self.put(record_id, record, record.version)

    def put(self, record_id: str, record: Record[Spec] | None, version: int) -> None:
        """Makes `record` the newest, unless something newer is known: a late writer changes nothing."""
        if version < self.version_of(record_id):
            self.outdated.add(record_id)
            return
        self.outdated.discard(record_id)
        self.locked.discard(record_id)
        before = self.records.get(record_id)
        if record is None:
            self.records.pop(record_id, None)
            self.deleted[record_id] = version
        else:
            self.records[record_id] = record
            self.deleted.pop(record_id, None)
        for listener in self.listeners:
            listener(record_id, before, record)


class ConfigTables:
    """The tables, kept current by one reader.

    Args:
        bootstrap: `host:port`, comma separated.
        names: turns streams into Kafka topics.
        keyring: opens the secrets.
        kinds: which to follow; the others stay empty.
    """

    def __init__(
        self, bootstrap: str, names: StreamNames, keyring: Keyring, kinds: Iterable[str] = CONFIG_KINDS
    ) -> None:
        self._bootstrap = bootstrap
        self._tables = {kind: Table(kind, keyring) for kind in TABLES}
        self._sources = cast("dict[str, Record[SourceSpec]]", self._tables["sources"].records)
        self._topics = cast("dict[str, Record[TopicSpec]]", self._tables["topics"].records)
        self._subscriptions = cast("dict[str, Record[SubscriptionSpec]]", self._tables["subscriptions"].records)
        self._keys = cast("dict[str, Record[KeySpec]]", self._tables["keys"].records)
        self._partitions = {TopicPartition(names(TABLES[kind]), 0): kind for kind in kinds}
        self._position = dict.fromkeys(self._partitions.values(), 0)
        self._ends = EndOffsets(bootstrap)
        self._asking = asyncio.Lock()
        self._next_ends: asyncio.Task[dict[TopicPartition, int]] | None = None
        self._moved = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self.loaded = False

    def table(self, kind: str) -> Table:
        """The table of `sources`, `topics`, `subscriptions` or `keys`."""
        return self._tables[kind]

    def source(self, record_id: str) -> Record[SourceSpec] | None:
        """The source with that id."""
        return self._sources.get(record_id)

    def topic(self, record_id: str) -> Record[TopicSpec] | None:
        """The topic with that id."""
        return self._topics.get(record_id)

    def subscription(self, record_id: str) -> Record[SubscriptionSpec] | None:
        """The subscription with that id."""
        return self._subscriptions.get(record_id)

    def key(self, record_id: str) -> Record[KeySpec] | None:
        """The API key with that id."""
        return self._keys.get(record_id)

    @property
    def current(self) -> bool:
        """Whether everything was read once, could be opened, and the reader still runs."""
        return self.loaded and self.reading and not self.locked

    @property
    def reading(self) -> bool:
        """Whether the reader lives, and the client under it."""
        reads = self._reader is not None and not self._reader.done()
        return reads and self._consumer is not None and lives(self._consumer)

    @property
    def locked(self) -> list[str]:
        """What our keys do not open, as `kind/id`: other processes have other encryption keys."""
        return [f"{kind}/{record_id}" for kind, table in self._tables.items() for record_id in sorted(table.locked)]

    def reasons(self) -> list[str]:
        """What anybody may know of records that cannot be opened: not their ids."""
        count = sum(len(table.locked) for table in self._tables.values())
        return [f"our encryption keys do not open {count} records: {_SAME_KEYS}"] if count else []

    def require_open(self) -> None:
        """Passes when every record could be opened.

        Raises:
            LockedTablesError: one could not; to go on would take it for deleted.
        """
        if any(table.locked for table in self._tables.values()):  # asked before each request: no list of names
            locked = self.locked
            named = ", ".join(locked[:_MAX_NAMED]) + (", …" if len(locked) > _MAX_NAMED else "")
            raise LockedTablesError(f"our encryption keys do not open {named}: {_SAME_KEYS}")

    def position(self, kind: str) -> int:
        """The offset in the table's stream up to which everything is applied."""
        return self._position[kind]

    async def start(self) -> None:
        """Connects and reads all that is there.

        Raises:
            KafkaError: no broker answers.
        """
        await self._ends.start()
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        await self._consumer.start()
        self._consumer.assign(list(self._partitions))
        for partition in self._partitions:
            self._consumer.seek(partition, 0)
        self._reader = asyncio.create_task(self._read_for_ever(self._consumer))
        await self.catch_up()
        self.loaded = True

    async def stop(self) -> None:
        """Stops reading and disconnects."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        if self._consumer is not None:
            await self._consumer.stop()
        await self._ends.stop()

    async def catch_up(self) -> None:
        """Returns when everything that was in the tables at the call is applied, however long Kafka is away."""
        if self._next_ends is None:
            self._next_ends = asyncio.create_task(self._ask_ends())
        for partition, end in (await asyncio.shield(self._next_ends)).items():
            await self.reached(self._partitions[partition], end)

    async def _ask_ends(self) -> dict[TopicPartition, int]:
        async with self._asking:
            self._next_ends = None  # who comes from now on needs a newer answer than this one; the others share it
            while True:
                try:
                    return await self._ends.of(self._partitions)
                except (KafkaError, NotStoredError) as error:  # the second one until it has connected
                    log.warning("table_end_unknown", error=repr(error))
                    await asyncio.sleep(_ERROR_PAUSE_S)

    async def reached(self, kind: str, position: int) -> None:
        """Returns when everything below `position` of one table's stream is applied."""
        while self._position[kind] < position:
            self._moved.clear()
            await self._moved.wait()

    async def as_new_as(self, kind: str, position: int) -> None:
        """Returns when everything below `position` is applied, or everything that there is.

        A position can lie behind the end for ever: in a record that somebody else produced, or when a broker lost the
        end of a stream with its disk.
        """
        if self._position[kind] < position:
            await self.catch_up()

    async def _read_for_ever(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            try:
                batches = await consumer.getmany(timeout_ms=1_000)
                for partition, messages in batches.items():
                    await self._read(self._partitions[partition], messages)
                await self._note_positions(consumer)
            except KafkaError as error:
                log.warning("table_read_failed", error=repr(error))
                await asyncio.sleep(_ERROR_PAUSE_S)

    async def _read(self, kind: str, messages: list[ConsumerRecord]) -> None:
        for index, message in enumerate(messages):
            self._tables[kind].read(message)
            if index % 500 == 499:  # noqa: PLR2004 - other work gets a turn about every 10 ms
                await asyncio.sleep(0)

    async def _note_positions(self, consumer: AIOKafkaConsumer) -> None:
        # The consumer's position, not the last record's offset: compaction leaves holes at the end too.
        for partition, kind in self._partitions.items():
            self._position[kind] = max(self._position[kind], await consumer.position(partition))
        self._moved.set()
