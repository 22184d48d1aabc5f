"""A record into a batch: its rows, or a row that says why it has none."""

from aiokafka import ConsumerRecord, TopicPartition

from projections.writer.batch import Batch, Place
from projections.writer.errors import unreadable_row
from projections.writer.rows import Projection


def take(batch: Batch, projection: Projection, source: TopicPartition, record: ConsumerRecord, now_s: float) -> str:
    """Adds a record's rows to a batch, and gives the reason when it could not be read.

    Args:
        batch: takes the rows.
        projection: of the record's stream.
        source: where it stands.
        record: as Kafka gave it.
        now_s: monotonic seconds.
    """
    place = Place(source, projection.stream.name, record.offset, record.timestamp)
    try:
        rows = projection.rows(record)
    except ValueError as error:  # MalformedRecordError is one, and text that no JSON can hold another
        batch.add(place, [unreadable_row(place, record.value, str(error))], now_s)
        return str(error) or type(error).__name__
    batch.add(place, rows, now_s)
    return ""
