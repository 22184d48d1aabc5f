CREATE TABLE IF NOT EXISTS operations
(
    operation_id    String                 COMMENT 'ULID of the operation; also the id of its event' CODEC(ZSTD(1)),
    kind            LowCardinality(String) COMMENT 'such as dead_letter, config.refused or breaker.opened',
    at              DateTime64(3, 'UTC')   COMMENT 'when it happened' CODEC(Delta, ZSTD(1)),
    subject_kind    LowCardinality(String) COMMENT 'source, topic, subscription or stream',
    subject_id      String                 COMMENT 'what it happened to: the id of a record, or the name of a stream' CODEC(ZSTD(1)),
    topic_id        LowCardinality(String) COMMENT 'topic of the delivery or subscription that it is about, or empty',
    subscription_id LowCardinality(String) COMMENT 'subscription that it is about, or empty',
    event_id        String                 COMMENT 'event that it is about, or empty' CODEC(ZSTD(1)),
    delivery_id     String                 COMMENT 'delivery that it is about, or empty' CODEC(ZSTD(1)),
    message         String                 COMMENT 'a sentence for people' CODEC(ZSTD(1)),
    detail          String                 COMMENT 'more, as a JSON object' CODEC(ZSTD(3)),
    _partition      UInt16                 COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset         UInt64                 COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at    DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1)),
    INDEX ix_at at TYPE minmax GRANULARITY 1
)
-- The id alone: what is told again after a crash may have another time. An id begins with a time near to it.
ENGINE = ReplacingMergeTree(_offset)
PARTITION BY toYYYYMM(at)
ORDER BY operation_id
TTL toDateTime(at) + INTERVAL 1 YEAR DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what happened to Hooklog itself, one row each; read with FINAL';
