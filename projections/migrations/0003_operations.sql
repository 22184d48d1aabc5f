CREATE TABLE IF NOT EXISTS config_changes
(
    kind          LowCardinality(String) COMMENT 'sources, topics or subscriptions',
    id            String                 COMMENT 'id of the record' CODEC(ZSTD(1)),
    at            DateTime64(3, 'UTC')   COMMENT 'when the config agent decided' CODEC(Delta, ZSTD(1)),
    result        LowCardinality(String) COMMENT 'applied or refused',
    action        LowCardinality(String) COMMENT 'created, updated, deleted or nothing',
    version       Int64                  COMMENT 'version that the table has now; of a refusal, the version that stays (-1: there is none)' CODEC(T64, ZSTD(1)),
    generation    Int64                  COMMENT 'version at which the record was made, or made again' CODEC(T64, ZSTD(1)),
    code          LowCardinality(String) COMMENT 'of a refusal, its stable code',
    field         String                 COMMENT 'of a refusal, the field it is about, or empty' CODEC(ZSTD(1)),
    reason        String                 COMMENT 'of a refusal, a sentence for people' CODEC(ZSTD(1)),
    record        String                 COMMENT 'of a change, the whole record as JSON, secrets masked; else empty' CODEC(ZSTD(3)),
    actor         String                 COMMENT 'who did it, as far as known' CODEC(ZSTD(1)),
    intake_offset UInt64                 COMMENT 'where the record stands in its intake stream' CODEC(Delta, ZSTD(1)),
    _partition    UInt16                 COMMENT 'partition of the record in the stream' CODEC(ZSTD(1)),
    _offset       UInt64                 COMMENT 'offset of the record in its partition' CODEC(Delta, ZSTD(1)),
    _ingested_at  DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
-- No TTL: who changed what is small, and asked for years later.
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (kind, id, at, _partition, _offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'every config record that took effect or was refused; read with FINAL';

CREATE TABLE IF NOT EXISTS projection_errors
(
    stream        LowCardinality(String) COMMENT 'stream of the record, without the prefix',
    _partition    UInt16                 COMMENT 'its partition' CODEC(ZSTD(1)),
    _offset       UInt64                 COMMENT 'its offset' CODEC(Delta, ZSTD(1)),
    appended_at   DateTime64(3, 'UTC')   COMMENT 'when the broker had it; of records_expired, when it was noticed' CODEC(Delta, ZSTD(1)),
    table_name    LowCardinality(String) COMMENT 'table that refused the row; empty when no row could be made',
    code          LowCardinality(String) COMMENT 'unreadable, refused or records_expired',
    reason        String                 COMMENT 'a sentence for people' CODEC(ZSTD(1)),
    record        String                 COMMENT 'the beginning of the record''s value, or of the row' CODEC(ZSTD(3)),
    _ingested_at  DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when this row was written' CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(appended_at)
ORDER BY (stream, _partition, _offset, table_name, code)
TTL toDateTime(appended_at) + INTERVAL 90 DAY DELETE
SETTINGS ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'records that could not become rows; nothing else is missing because of them; read with FINAL';
