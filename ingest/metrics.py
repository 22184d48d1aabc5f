"""What ingest counts."""

from prometheus_client import CollectorRegistry, Counter, Histogram

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
        self.rejections = Counter("hooklog_ingest_rejections", "Refused requests by code.", ["code"], registry=registry)
        self.unrecorded = Counter(
            "hooklog_ingest_rejections_unrecorded",
            "Refusals without a record: over the cap of their source, queue full, or Kafka away.",
            ["why"],
            registry=registry,
        )
