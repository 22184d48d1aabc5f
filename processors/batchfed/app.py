"""The Faust app that wires the batch-fed consumer in."""

from pathlib import Path
from typing import Any

import faust
from faust.sensors.monitor import Monitor
from faust.transport.drivers import aiokafka as driver

from processors.batchfed.consumer import BatchConsumer
from runtime.group_reader import Lost

MAX_POLL_RECORDS = 500
"""Records in one batch: beyond it the cost a record no longer falls."""

BATCHES_PER_PARTITION = 8
"""Faust stops fetching a partition at 80 % of its buffer but still pushes what it has: room for all of that."""


class BatchTransport(driver.Transport):  # type: ignore[misc] # faust ships no types
    """The aiokafka driver with the batch-fed consumer."""

    Consumer = BatchConsumer


class LightMonitor(Monitor):  # type: ignore[misc] # faust ships no types
    """Faust's monitor without its cost for each event; Hooklog has metrics of its own."""

    def on_stream_event_in(self, tp: Any, offset: int, stream: Any, event: Any) -> None:  # noqa: ARG002
        """Notes only the time."""
        self.stream_inbound_time[tp] = self.time()

    def on_stream_event_out(self, tp: Any, offset: int, stream: Any, event: Any, state: Any = None) -> None:
        """Nothing."""

    def track_tp_end_offset(self, tp: Any, offset: int) -> None:
        """Notes only the offset."""
        self.tp_end_offsets[tp] = offset


class BatchSchema(faust.Schema):  # type: ignore[misc] # faust ships no types
    """Passes a batch through as it is."""

    def compile(self, app: Any, **_: Any) -> Any:
        """A decoder that decodes nothing."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001 - the interface
            return app.create_event(None, message.value, None, message)

        return decode


class BatchApp(faust.App):  # type: ignore[misc] # faust ships no types
    """A Faust app whose agents get `Batch` values.

    Args:
        name: the consumer group.
        bootstrap: `host:port`, comma separated.
        partitions: how many partitions the largest stream has.
        session_timeout_s: how long a worker may be silent before its partitions go to another.
        data_dir: where Faust keeps its files; Hooklog stores nothing there.
        instance_id: a name of this worker that no other has, kept over restarts, or empty.
        on_lost: told of records that were gone before they were read.
    """

    def __init__(
        self,
        name: str,
        *,
        bootstrap: str,
        partitions: int,
        session_timeout_s: float,
        data_dir: Path,
        instance_id: str = "",
        on_lost: Lost,
    ) -> None:
        self.on_lost = on_lost
        data_dir.parent.mkdir(parents=True, exist_ok=True, mode=0o700)  # Faust itself makes only the last folder
        super().__init__(
            name,
            broker=[f"kafka://{address}" for address in bootstrap.split(",")],
            Monitor=LightMonitor,
            store="memory://",
            datadir=data_dir,
            topic_disable_leader=True,
            topic_allow_declare=False,  # streams are created from the table, before
            topic_partitions=partitions,
            web_enabled=False,
            stream_wait_empty=False,  # our own bounded drain instead: upstream's commits cancelled events
            stream_buffer_maxsize=max(64, BATCHES_PER_PARTITION * partitions),
            consumer_group_instance_id=instance_id or None,
            broker_max_poll_records=MAX_POLL_RECORDS,
            broker_session_timeout=session_timeout_s,
            broker_heartbeat_interval=min(3.0, session_timeout_s / 5),
            broker_rebalance_timeout=max(30.0, session_timeout_s),  # above the drain and an HTTP timeout
            broker_commit_interval=1.0,
            producer_request_timeout=30,  # the default of 20 minutes hides an outage
        )

    def _new_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> BatchTransport:
        return BatchTransport(self.conf.broker_producer, self)

    async def _on_partitions_revoked(self, revoked: Any) -> None:
        """Upstream tells nobody once it stops; but a drain may take longer than others wait with their rebalance."""
        if self.should_stop:
            await self.on_partitions_revoked.send(revoked)
        else:
            await super()._on_partitions_revoked(revoked)

    def _on_rebalance_when_stopped(self) -> None:
        """Upstream closes the consumer here (app/base.py:1848); then a drain that goes on could not commit."""

    def batch_topic(self, *names: str) -> Any:
        """A Faust topic whose events are batches of raw records."""
        return self.topic(*names, schema=BatchSchema(key_type=bytes, value_type=bytes))
