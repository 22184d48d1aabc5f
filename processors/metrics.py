"""What the workers count; scraped at `/metrics`."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.attempt import Attempt, AttemptKind
from schemas.dispatch import Dispatch

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class WorkerMetrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        seconds = partial(Histogram, registry=self.registry, buckets=_SECONDS)

        self.config = counter("hooklog_config_records", "Intake records by what came of them", ["result"])

        self.events = counter("hooklog_dispatched_events", "Events dispatched")
        self.duplicates = counter("hooklog_duplicate_events", "Events that their sender had sent before")
        self.deliveries = counter("hooklog_deliveries_made", "Deliveries made of events")
        self.skips = counter("hooklog_skips", "Subscriptions that did not get an event", ["reason"])
        self.dispatch_seconds = seconds("hooklog_dispatch_seconds", "From an event's acceptance to stored deliveries")

        self.attempts = counter("hooklog_attempts", "Attempts, and ends without one, by what came of them", ["status"])
        self.answers = counter(
            "hooklog_answers", "Requests by the class of the answer, such as 2xx, or error", ["answer"]
        )
        # to find a counter by its label takes longer than to count, and there are few
        self._attempts_of = lru_cache(maxsize=64)(self.attempts.labels)
        self._answers_of = lru_cache(maxsize=64)(self.answers.labels)
        self.parked = counter("hooklog_parked", "Deliveries put aside, by reason", ["reason"])
        self.forks_cut = counter("hooklog_forks_cut", "Deliveries not attempted, because another branch had ended them")
        self.attempt_seconds = seconds("hooklog_attempt_seconds", "From request to answer")
        self.first_attempt_seconds = seconds(
            "hooklog_first_attempt_seconds", "From an event's acceptance to the first request of a delivery"
        )

        self.operations = counter("hooklog_operations", "Operations that were told, by kind", ["kind"])
        self.operations_left_out = counter(
            "hooklog_operations_left_out", "Operations that were not told, because there were too many", ["kind"]
        )
        self.operation_events = counter("hooklog_operation_events", "Operations that became events")

        self.lag = gauge("hooklog_lag_records", "Records of this worker's partitions to be done", ["stream"])
        self.waiting = gauge(
            "hooklog_waiting_deliveries", "Deliveries in this worker's partitions of a retry or park tier", ["tier"]
        )

    def dispatched(self, dispatches: Sequence[Dispatch]) -> None:
        """Events whose deliveries are stored."""
        self.events.inc(len(dispatches))
        self.deliveries.inc(sum(dispatch.matched for dispatch in dispatches))
        self.duplicates.inc(sum(dispatch.duplicate for dispatch in dispatches))
        for dispatch in dispatches:
            self.dispatch_seconds.observe(max(0, dispatch.dispatched_ms - dispatch.received_ms) / 1_000)
            for reason, number in dispatch.skipped.items():
                self.skips.labels(reason).inc(number)

    def count(self, attempt: Attempt) -> None:
        """An attempt, or an end without one, that is stored."""
        self._attempts_of(attempt.status).inc()
        if attempt.kind is not AttemptKind.ATTEMPT:
            return
        self.attempt_seconds.observe(attempt.duration_ms / 1_000)
        self._answers_of(attempt.error or f"{attempt.response_status_code // 100}xx").inc()
        if attempt.attempt == 1:
            self.first_attempt_seconds.observe(max(0, attempt.started_ms - attempt.received_ms) / 1_000)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A value that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)
