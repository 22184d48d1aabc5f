CREATE TABLE IF NOT EXISTS attempts
(
    delivery_id     String                 COMMENT 'the delivery' CODEC(ZSTD(1)),
    event_id        String                 COMMENT 'its event' CODEC(ZSTD(1)),
    subscription_id LowCardinality(String) COMMENT 'its subscription',
    topic_id        LowCardinality(String) COMMENT 'its topic',
    source_id       LowCardinality(String) COMMENT 'its source',
    event_type      LowCardinality(String) COMMENT 'type of the event',
    kind            LowCardinality(String) COMMENT 'attempt: one request was made; outcome: the delivery ended without one',
    attempt         UInt16                 COMMENT 'number of the attempt, from 1' CODEC(T64, ZSTD(1)),
    status          LowCardinality(String) COMMENT 'state after it: SUCCESS, RETRYING, FAILED or CANCELLED',
    response_status_code UInt16            COMMENT 'HTTP status of the answer; 0 when none came' CODEC(ZSTD(1)),
    response_body   String                 COMMENT 'the beginning of the answer' CODEC(ZSTD(3)),
    error           String                 COMMENT 'what went wrong without an answer, such as connect_timeout, or empty' CODEC(ZSTD(1)),
    reason          LowCardinality(String) COMMENT 'why the delivery ended or waits, such as http_500, or empty',
    target_url      String                 COMMENT 'where the request went' CODEC(ZSTD(1)),
    received_at     DateTime64(3, 'UTC')   COMMENT 'when the event was accepted' CODEC(Delta, ZSTD(1)),
    started_at      DateTime64(3, 'UTC')   COMMENT 'when the request started' CODEC(Delta, ZSTD(1)),
    duration_ms     UInt32                 COMMENT 'from then to the end of the answer, milliseconds' CODEC(T64, ZSTD(1)),
    next_attempt_at DateTime64(3, 'UTC')   COMMENT 'when the next attempt is due; 1970 when there is none' CODEC(Delta, ZSTD(1)),
    generation      Int64                  COMMENT 'generation of the subscription that the delivery was made for' CODEC(T64, ZSTD(1)),
    config_version  Int64                  COMMENT 'how far dispatch had read the subscriptions table' CODEC(T64, ZSTD(1)),
    replay_id       String                 COMMENT 'replay that made the delivery, or empty' CODEC(ZSTD(1)),
    _partition      UInt16                 COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset         UInt64                 COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at    DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1)),
    INDEX ix_event_id event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX ix_delivery_id delivery_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX ix_started_at started_at TYPE minmax GRANULARITY 1,
    INDEX ix_ingested_at _ingested_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(started_at)
ORDER BY (subscription_id, started_at, event_id, attempt, _partition, _offset)
TTL toDateTime(started_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what came of each attempt, one row a record; read with FINAL';

CREATE TABLE IF NOT EXISTS deliveries
(
    delivery_id     String                 COMMENT 'id of the delivery: the same event for the same target is the same delivery' CODEC(ZSTD(1)),
    event_id        String                 COMMENT 'its event' CODEC(ZSTD(1)),
    subscription_id LowCardinality(String) COMMENT 'its subscription',
    topic_id        LowCardinality(String) COMMENT 'its topic',
    source_id       LowCardinality(String) COMMENT 'its source',
    event_type      LowCardinality(String) COMMENT 'type of the event',
    status          LowCardinality(String) COMMENT 'PENDING, RETRYING, SUCCESS, FAILED or CANCELLED',
    attempts        UInt16                 COMMENT 'requests made so far' CODEC(T64, ZSTD(1)),
    last_status_code UInt16                COMMENT 'HTTP status of the last answer; 0 when none came' CODEC(ZSTD(1)),
    error           String                 COMMENT 'what went wrong last without an answer, or empty' CODEC(ZSTD(1)),
    reason          LowCardinality(String) COMMENT 'why it ended or waits, such as http_500 or subscription_deleted, or empty',
    target_url      String                 COMMENT 'where the last request went; empty before the first' CODEC(ZSTD(1)),
    created_at      DateTime64(3, 'UTC')   COMMENT 'when the event was accepted' CODEC(Delta, ZSTD(1)),
    last_attempt_at DateTime64(3, 'UTC')   COMMENT 'when the last request started; 1970 before the first' CODEC(Delta, ZSTD(1)),
    next_attempt_at DateTime64(3, 'UTC')   COMMENT 'when the next request is due; 1970 when at once or never' CODEC(Delta, ZSTD(1)),
    completed_at    DateTime64(3, 'UTC')   COMMENT 'when it ended; 1970 while it has not' CODEC(Delta, ZSTD(1)),
    generation      Int64                  COMMENT 'generation of the subscription that it was made for' CODEC(T64, ZSTD(1)),
    config_version  Int64                  COMMENT 'how far dispatch had read the subscriptions table' CODEC(T64, ZSTD(1)),
    replay_id       String                 COMMENT 'replay that made it, or empty' CODEC(ZSTD(1)),
    _version        UInt64                 COMMENT 'the row with the highest stays: state, then attempts, then offset' CODEC(ZSTD(1)),
    _partition      UInt16                 COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset         UInt64                 COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at    DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1)),
    INDEX ix_event_id event_id TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX ix_delivery_id delivery_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(_version)
-- FINAL sees duplicates only within one partition, so the key is a time that never changes.
PARTITION BY toMonday(created_at)
ORDER BY (subscription_id, created_at, delivery_id)
TTL toDateTime(created_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'the state that each delivery is in, one row a delivery; read with FINAL';
