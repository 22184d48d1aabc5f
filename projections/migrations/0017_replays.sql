CREATE TABLE IF NOT EXISTS replays
(
    replay_id    String                      COMMENT 'id of the replay; its deliveries have it' CODEC(ZSTD(1)),
    created_at   DateTime64(3, 'UTC')        COMMENT 'when it was asked for' CODEC(Delta, ZSTD(1)),
    updated_at   DateTime64(3, 'UTC')        COMMENT 'when it was last heard of' CODEC(Delta, ZSTD(1)),
    state        LowCardinality(String)      COMMENT 'PENDING, RUNNING, DONE or CANCELLED',
    asked        String                      COMMENT 'the request as JSON' CODEC(ZSTD(3)),
    requested_by LowCardinality(String)      COMMENT 'who asked',
    rate_per_s   UInt32                      COMMENT 'how many events are handled in a second at most' CODEC(T64, ZSTD(1)),
    new_id       Bool                        COMMENT 'whether receivers get a new webhook-id',
    total        UInt64                      COMMENT 'events times subscriptions that were found' CODEC(T64, ZSTD(1)),
    sent         UInt64                      COMMENT 'how many led to a delivery' CODEC(T64, ZSTD(1)),
    skipped      Map(LowCardinality(String), UInt64) COMMENT 'why others did not, and how many' CODEC(ZSTD(1)),
    _version     UInt64                      COMMENT 'the row with the highest stays: state, then progress, then offset' CODEC(ZSTD(1)),
    _partition   UInt16                      COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset      UInt64                      COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
-- No TTL: who sent what again is small, and asked for years later.
ENGINE = ReplacingMergeTree(_version)
PARTITION BY toYYYYMM(created_at)
ORDER BY (created_at, replay_id)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'replays, and how far each is; read with FINAL';
