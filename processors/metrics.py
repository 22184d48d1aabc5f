"""What the workers count; scraped at `/metrics`."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class WorkerMetrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter("hooklog_dispatched_events", "Events dispatched", registry=self.registry)
        self.deliveries = Counter("hooklog_deliveries_made", "Deliveries made of events", registry=self.registry)
        self.duplicates = Counter(
            "hooklog_duplicate_events", "Events that their sender had sent before", registry=self.registry
        )
        self.skips = Counter(
            "hooklog_skips", "Subscriptions that did not get an event", ["reason"], registry=self.registry
        )
        self.attempts = Counter(
            "hooklog_attempts",
            "Attempts and ends without one, by what came of them",
            ["status"],
            registry=self.registry,
        )
        self.parked = Counter("hooklog_parked", "Deliveries put aside, their lane full", registry=self.registry)
        self.attempt_seconds = Histogram(
            "hooklog_attempt_seconds", "From request to answer", buckets=_SECONDS, registry=self.registry
        )
        self.config = Counter("hooklog_config_records", "Intake records", ["result"], registry=self.registry)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)
