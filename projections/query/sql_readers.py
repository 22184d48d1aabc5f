"""The readers of what people and scripts ask, on either port: apart from the lists and figures, and one turn each."""

from prometheus_client import CollectorRegistry

from projections.query.readers import SETTINGS, Readers
from projections.query.turns import Turns
from runtime.clickhouse import ClickHouse

SQL_READERS = 2
"""Queries that run at a time; a third one waits. The writer and the query API need a core as well."""


class SqlReaders(Readers):
    """Readers behind a queue that has an end.

    Args:
        clickhouse: where the clients come from.
        registry: where the queue is shown.

    Attributes:
        turns: of every query; take one before `run`.
    """

    def __init__(self, clickhouse: ClickHouse, registry: CollectorRegistry) -> None:
        super().__init__(clickhouse, SQL_READERS, SETTINGS)
        self.turns = Turns(registry)
