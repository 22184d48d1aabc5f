-- Every statement may run twice: a migration that was cut off runs again from its first statement.

CREATE TABLE IF NOT EXISTS events
(
    event_id      String                              COMMENT 'ULID that ingest gave the event' CODEC(ZSTD(1)),
    topic_id      LowCardinality(String)              COMMENT 'topic that it was posted to',
    source_id     LowCardinality(String)              COMMENT 'source of the topic: who sent it',
    event_type    LowCardinality(String)              COMMENT 'such as push or order.created',
    received_at   DateTime64(3, 'UTC')                COMMENT 'when ingest had read the request' CODEC(Delta, ZSTD(1)),
    source_ip     String                              COMMENT 'address that sent it' CODEC(ZSTD(1)),
    content_type  LowCardinality(String)              COMMENT 'media type of the payload, as received',
    dedup_id      String                              COMMENT 'the sender''s own id of the event, or empty' CODEC(ZSTD(1)),
    traceparent   String                              COMMENT 'W3C trace context, or empty' CODEC(ZSTD(1)),
    headers       Map(LowCardinality(String), String) COMMENT 'request headers by lower-case name, credentials redacted' CODEC(ZSTD(1)),
    extra_headers Map(LowCardinality(String), String) COMMENT 'headers of the Kafka record that Hooklog does not know' CODEC(ZSTD(1)),
    payload       String                              COMMENT 'the body, byte for byte' CODEC(ZSTD(3)),
    payload_bytes UInt32                              COMMENT 'length of the body' CODEC(T64, ZSTD(1)),
    _partition    UInt16                              COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset       UInt64                              COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at  DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1)),
    INDEX ix_event_id event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX ix_received_at received_at TYPE minmax GRANULARITY 1,
    INDEX ix_payload payload TYPE tokenbf_v1(32768, 3, 0) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(received_at)
ORDER BY (topic_id, received_at, event_id, _partition, _offset)
TTL toDateTime(received_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'accepted requests, one row each; read with FINAL';

CREATE TABLE IF NOT EXISTS rejections
(
    rejection_id  String                              COMMENT 'ULID of the refusal' CODEC(ZSTD(1)),
    topic_id      LowCardinality(String)              COMMENT 'topic that was asked for; it may not exist',
    source_id     LowCardinality(String)              COMMENT 'source whose rule refused it, or empty',
    received_at   DateTime64(3, 'UTC')                COMMENT 'when the request was refused' CODEC(Delta, ZSTD(1)),
    response_status_code UInt16                       COMMENT 'HTTP status that was answered' CODEC(ZSTD(1)),
    code          LowCardinality(String)              COMMENT 'stable code of the problem, such as signature_mismatch',
    reason        String                              COMMENT 'a sentence for people' CODEC(ZSTD(1)),
    source_ip     String                              COMMENT 'address that sent it' CODEC(ZSTD(1)),
    content_type  LowCardinality(String)              COMMENT 'media type of the body, as received',
    headers       Map(LowCardinality(String), String) COMMENT 'request headers by lower-case name, credentials redacted' CODEC(ZSTD(1)),
    payload       String                              COMMENT 'the beginning of the body' CODEC(ZSTD(3)),
    payload_bytes UInt32                              COMMENT 'length of the whole body, as far as it was read' CODEC(T64, ZSTD(1)),
    unrecorded    UInt32                              COMMENT 'refusals of this source before this one that the cap left unrecorded' CODEC(T64, ZSTD(1)),
    _partition    UInt16                              COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset       UInt64                              COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at  DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1)),
    INDEX ix_rejection_id rejection_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(received_at)
ORDER BY (source_id, received_at, rejection_id, _partition, _offset)
TTL toDateTime(received_at) + INTERVAL 30 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'refused requests, one row each; read with FINAL';

CREATE TABLE IF NOT EXISTS dispatches
(
    event_id        String                              COMMENT 'the event' CODEC(ZSTD(1)),
    topic_id        LowCardinality(String)              COMMENT 'its topic',
    source_id       LowCardinality(String)              COMMENT 'its source',
    event_type      LowCardinality(String)              COMMENT 'its type',
    received_at     DateTime64(3, 'UTC')                COMMENT 'when the event was accepted' CODEC(Delta, ZSTD(1)),
    dispatched_at   DateTime64(3, 'UTC')                COMMENT 'when its deliveries were durable' CODEC(Delta, ZSTD(1)),
    event_partition UInt16                              COMMENT 'partition of the event in the events stream' CODEC(ZSTD(1)),
    event_offset    UInt64                              COMMENT 'offset of the event in its partition' CODEC(Delta, ZSTD(1)),
    config_version  Int64                               COMMENT 'end of the subscriptions table that was joined' CODEC(T64, ZSTD(1)),
    matched         UInt32                              COMMENT 'how many deliveries were made' CODEC(T64, ZSTD(1)),
    skipped         Map(LowCardinality(String), UInt64) COMMENT 'why subscriptions of the topic did not get it, and how many' CODEC(ZSTD(1)),
    skips           Array(Tuple(subscription_id String, reason LowCardinality(String))) COMMENT 'the first of them, by name' CODEC(ZSTD(1)),
    duplicate       Bool                                COMMENT 'whether the sender had sent it before, so that nothing was delivered',
    duplicate_of    String                              COMMENT 'partition/offset of the first one, or empty' CODEC(ZSTD(1)),
    error           String                              COMMENT 'why the record could not be read as an event, or empty' CODEC(ZSTD(1)),
    _partition      UInt16                              COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset         UInt64                              COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at    DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1)),
    INDEX ix_event_id event_id TYPE bloom_filter(0.001) GRANULARITY 1
)
-- An event that a crash dispatched twice has two records in one partition: the later one stays.
ENGINE = ReplacingMergeTree(_offset)
PARTITION BY toMonday(received_at)
ORDER BY (topic_id, received_at, event_id, event_partition, event_offset)
TTL toDateTime(received_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what became of each event, one row an event; read with FINAL';

CREATE VIEW IF NOT EXISTS event_log
(
    event_id     String                 COMMENT 'id of the event, or of the rejection',
    topic_id     LowCardinality(String) COMMENT 'topic that it was posted to',
    source_id    LowCardinality(String) COMMENT 'source of the topic',
    event_type   LowCardinality(String) COMMENT 'type of the event; empty when refused',
    received_at  DateTime64(3, 'UTC')   COMMENT 'when the request came',
    status       LowCardinality(String) COMMENT 'RECEIVED, QUEUED (dispatched) or FAILED_VALIDATION (refused)',
    reason       String                 COMMENT 'why it was refused, or empty',
    source_ip    String                 COMMENT 'address that sent it',
    payload_bytes UInt32                COMMENT 'length of the body'
)
AS
SELECT e.event_id AS event_id, e.topic_id AS topic_id, e.source_id AS source_id, e.event_type AS event_type,
       e.received_at AS received_at, if(d.event_id = '', 'RECEIVED', 'QUEUED') AS status, '' AS reason,
       e.source_ip AS source_ip, e.payload_bytes AS payload_bytes
FROM events AS e FINAL
-- All three columns, so that a filter on the time or the topic narrows both sides.
LEFT ANY JOIN (SELECT topic_id, received_at, event_id FROM dispatches) AS d
    ON e.topic_id = d.topic_id AND e.received_at = d.received_at AND e.event_id = d.event_id
UNION ALL
SELECT rejection_id AS event_id, topic_id, source_id, '' AS event_type, received_at, 'FAILED_VALIDATION' AS status,
       concat(code, ': ', reason) AS reason, source_ip, payload_bytes
FROM rejections FINAL
COMMENT 'every request that came, accepted or refused';
