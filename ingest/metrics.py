"""What ingest counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class IngestMetrics:
    """The counters of one process.

    Args:
        registry: where they are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "hooklog_ingest_requests", "Ingest requests by the status answered.", ["status"], registry=registry
        )
        self.accepted = self.requests.labels("202")
        """Looked up once: it is asked for with every event."""
        self.accept_s = Histogram(
            "hooklog_ingest_accept_seconds",
            "Time from the headers of an accepted request to Kafka's ack.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.body_bytes = Counter(
            "hooklog_ingest_body_bytes", "Bytes of the bodies of accepted requests.", registry=registry
        )
        self.batch_items = Counter(
            "hooklog_ingest_batch_items", "Items of batches by what came of them.", ["status"], registry=registry
        )
        self.prompt_answers = Counter(
            "hooklog_ingest_prompt_answers",
            "Requests that were answered before anything was stored, by what came of them.",
            ["outcome"],
            registry=registry,
        )
        self.rejections = Counter("hooklog_ingest_rejections", "Refused requests by code.", ["code"], registry=registry)
        self.schema_mismatches = Counter(
            "hooklog_ingest_schema_mismatches",
            "Bodies that are not as the schema of their type says, by what became of them.",
            ["policy"],
            registry=registry,
        )
        self.unrecorded = Counter(
            "hooklog_ingest_rejections_unrecorded",
            "Refusals without a record: over the cap of their source, queue full, or Kafka away.",
            ["why"],
            registry=registry,
        )
        self.turned_away = Counter(
            "hooklog_ingest_turned_away",
            "Connections and requests that the server refused by itself: no HTTP, too large, too slow, too many.",
            ["why"],
            registry=registry,
        )
        self._waiting = Gauge("hooklog_ingest_waiting_events", "Events that wait for Kafka's ack.", registry=registry)
        self._held = Gauge("hooklog_ingest_held_bytes", "Bytes of bodies in memory.", registry=registry)

    def show_waiting(self, events: Callable[[], int], held_bytes: Callable[[], int]) -> None:
        """Shows what waits, asked when somebody looks."""
        self._waiting.set_function(events)
        self._held.set_function(held_bytes)
