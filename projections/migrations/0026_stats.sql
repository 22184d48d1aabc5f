-- Hours are computed whole from the attempts, never added to: the newest reading of an hour is the hour.
CREATE TABLE IF NOT EXISTS stats_by_subscription
(
    hour            DateTime('UTC')        COMMENT 'beginning of the hour in which the attempts started' CODEC(Delta, ZSTD(1)),
    subscription_id LowCardinality(String) COMMENT 'the subscription',
    topic_id        LowCardinality(String) COMMENT 'topic of the events; a subscription to all topics has several rows an hour',
    attempts        UInt64                 COMMENT 'requests that were made' CODEC(T64, ZSTD(1)),
    successes       UInt64                 COMMENT 'requests that were answered with success' CODEC(T64, ZSTD(1)),
    failures        UInt64                 COMMENT 'all other requests' CODEC(T64, ZSTD(1)),
    retries         UInt64                 COMMENT 'requests that were not the first of their delivery' CODEC(T64, ZSTD(1)),
    ended_success   UInt64                 COMMENT 'deliveries that ended in SUCCESS, each once in the hour' CODEC(T64, ZSTD(1)),
    ended_failed    UInt64                 COMMENT 'deliveries that ended in FAILED, each once in the hour' CODEC(T64, ZSTD(1)),
    ended_cancelled UInt64                 COMMENT 'deliveries that ended in CANCELLED, each once in the hour' CODEC(T64, ZSTD(1)),
    durations       Map(UInt32, UInt64)    COMMENT 'milliseconds to how many requests took that long: exact below 64, else within 1.6 %' CODEC(ZSTD(1)),
    sealed_at       DateTime64(6, 'UTC')   COMMENT 'when the reading began that this row is made of; the row with the latest stays' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(sealed_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (subscription_id, topic_id, hour)
TTL hour + INTERVAL 730 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'figures of attempts by hour, subscription and topic, a minute behind; read with FINAL';

CREATE TABLE IF NOT EXISTS stats_by_topic
(
    hour            DateTime('UTC')        COMMENT 'beginning of the hour in which the attempts started' CODEC(Delta, ZSTD(1)),
    topic_id        LowCardinality(String) COMMENT 'the topic',
    source_id       LowCardinality(String) COMMENT 'its source',
    event_type      LowCardinality(String) COMMENT 'type of the events',
    attempts        UInt64                 COMMENT 'requests that were made' CODEC(T64, ZSTD(1)),
    successes       UInt64                 COMMENT 'requests that were answered with success' CODEC(T64, ZSTD(1)),
    failures        UInt64                 COMMENT 'all other requests' CODEC(T64, ZSTD(1)),
    retries         UInt64                 COMMENT 'requests that were not the first of their delivery' CODEC(T64, ZSTD(1)),
    ended_success   UInt64                 COMMENT 'deliveries that ended in SUCCESS, each once in the hour' CODEC(T64, ZSTD(1)),
    ended_failed    UInt64                 COMMENT 'deliveries that ended in FAILED, each once in the hour' CODEC(T64, ZSTD(1)),
    ended_cancelled UInt64                 COMMENT 'deliveries that ended in CANCELLED, each once in the hour' CODEC(T64, ZSTD(1)),
    durations       Map(UInt32, UInt64)    COMMENT 'milliseconds to how many requests took that long: exact below 64, else within 1.6 %' CODEC(ZSTD(1)),
    sealed_at       DateTime64(6, 'UTC')   COMMENT 'when the reading began that this row is made of; the row with the latest stays' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(sealed_at)
PARTITION BY toYYYYMM(hour)
ORDER BY (topic_id, source_id, event_type, hour)
TTL hour + INTERVAL 730 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'figures of attempts by hour, topic, source and event type, a minute behind; read with FINAL';

CREATE TABLE IF NOT EXISTS seals
(
    mark          DateTime64(6, 'UTC') COMMENT 'every row that could be read then is in the hourly figures; 1970 where only complete_from was raised' CODEC(Delta, ZSTD(1)),
    attempts_id   UUID                 COMMENT 'the table of attempts that was read: of one that took its place, nothing is in the figures',
    complete_from DateTime('UTC')      COMMENT 'the attempts of earlier hours may have begun to expire: those hours are never computed again' CODEC(Delta, ZSTD(1)),
    hours         UInt32               COMMENT 'how many hours were computed' CODEC(T64, ZSTD(1)),
    took_ms       UInt32               COMMENT 'how long that took, milliseconds' CODEC(T64, ZSTD(1))
)
-- The highest mark and the highest complete_from hold, whichever rows they stand in, so that a repeated row is harmless.
ENGINE = MergeTree
ORDER BY mark
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'how far the hourly figures are; the highest value of each column holds';
