"""What the writer counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_INSERT_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class WriterMetrics:
    """The writer's metrics.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        name = "hooklog_projections"
        self.records = Counter(f"{name}_records", "Records read", ["stream"], registry=registry)
        self.rows = Counter(f"{name}_rows", "Rows stored", ["table"], registry=registry)
        self.errors = Counter(f"{name}_errors", "Records that became no row", ["stream"], registry=registry)
        self.insert_failures = Counter(f"{name}_insert_failures", "Inserts to be repeated", registry=registry)
        self.commit_failures = Counter(f"{name}_commit_failures", "Commits to be repeated", registry=registry)
        self.insert_seconds = Histogram(
            f"{name}_insert_seconds", "Storing one batch", registry=registry, buckets=_INSERT_BUCKETS_S
        )
        self.held = Gauge(f"{name}_held_bytes", "Rows that were read and are not stored", registry=registry)
        self.lag = Gauge(f"{name}_lag_records", "Records that are not stored yet", ["stream"], registry=registry)
