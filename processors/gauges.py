"""What a worker holds now, read when its metrics are."""

from processors.clients import Clients
from processors.deliver.gates import Gates
from processors.deliver.lanes import Lanes
from processors.dispatch.dedup import Deduplicator
from processors.metrics import WorkerMetrics


def observe(metrics: WorkerMetrics, lanes: Lanes, gates: Gates, dedup: Deduplicator, clients: Clients) -> None:
    """Adds the gauges."""
    delay, bodies = clients.delay, clients.bodies
    metrics.gauge("hooklog_lane_jobs", "Attempts waiting or in flight", lambda: lanes.jobs)
    metrics.gauge("hooklog_in_flight", "Requests in flight", lambda: len(lanes.running))
    metrics.gauge("hooklog_breakers_open", "Endpoints left alone, or being probed", lambda: gates.open)
    metrics.gauge("hooklog_dedup_entries", "Senders' ids kept on disk", lambda: dedup.entries)
    metrics.gauge("hooklog_body_bytes_held", "Of large bodies in memory", lambda: bodies.held_bytes)
    metrics.gauge("hooklog_bodies_read", "Large bodies read from the events stream", lambda: bodies.reads)
    metrics.gauge("hooklog_delay_held", "Delayed deliveries in memory", lambda: delay.held)
    metrics.gauge("hooklog_delay_released", "Delayed deliveries released", lambda: delay.released)
