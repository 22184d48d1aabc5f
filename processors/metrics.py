"""What the workers count; scraped at `/metrics`."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.attempt import Attempt, AttemptKind

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class WorkerMetrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.events = Counter("hooklog_dispatched_events", "Events dispatched", registry=self.registry)
        self.deliveries = Counter("hooklog_deliveries_made", "Deliveries made of events", registry=self.registry)
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
        self.dispatch_seconds = Histogram(
            "hooklog_dispatch_seconds",
            "From the acceptance of an event to its stored deliveries",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_attempt_seconds = Histogram(
            "hooklog_first_attempt_seconds",
            "From the acceptance of an event to the start of a delivery's first request",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.answers = Counter(
            "hooklog_answers",
            "Requests by what came back: the class of the status, such as 2xx, or the error",
            ["answer"],
            registry=self.registry,
        )
        self.lag = Gauge(
            "hooklog_lag_records", "Records of this worker's partitions to be done", ["stream"], registry=self.registry
        )
        self.waiting = Gauge(
            "hooklog_waiting_deliveries",
            "Deliveries that wait in this worker's partitions of a retry or park tier",
            ["tier"],
            registry=self.registry,
        )
        self.config = Counter("hooklog_config_records", "Intake records", ["result"], registry=self.registry)

    def count(self, attempt: Attempt) -> None:
        """An attempt, or an end without one, that is stored."""
        self.attempts.labels(attempt.status).inc()
        if attempt.kind is not AttemptKind.ATTEMPT:
            return
        self.attempt_seconds.observe(attempt.duration_ms / 1_000)
        self.answers.labels(attempt.error or f"{attempt.response_status_code // 100}xx").inc()
        if attempt.attempt == 1:
            self.first_attempt_seconds.observe(max(0, attempt.started_ms - attempt.received_ms) / 1_000)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)
