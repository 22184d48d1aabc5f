CREATE TABLE IF NOT EXISTS rebuilds
(
    rebuild_id    String                         COMMENT 'ULID of the rebuild',
    updated_at    DateTime64(6, 'UTC') DEFAULT now64(6) COMMENT 'when this was written; the process that rebuilds does so all the time',
    state         LowCardinality(String)         COMMENT 'RUNNING, SWAPPING (tables are being exchanged), DONE or FAILED',
    owner         String                         COMMENT 'run of the process that rebuilds',
    requested_by  String                         COMMENT 'who asked for it',
    records       UInt64                         COMMENT 'records of Kafka that were read so far',
    records_total UInt64                         COMMENT 'records that Kafka had when they were counted last',
    carried       UInt64                         COMMENT 'rows taken over from the old tables, because Kafka does not keep their records any more',
    reason        String                         COMMENT 'why it failed, or empty',
    tables        Map(String, String)            COMMENT 'of an exchange: UUID of each new table, so that one that was cut off is finished',
    offsets       Map(String, UInt64)            COMMENT 'of an exchange: how far the new tables were filled, by stream/partition'
)
-- No TTL: one row a rebuild.
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY rebuild_id
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'when the tables were made again from Kafka; read with FINAL';
