-- What a body lacks of its schema goes with the event. The rows that are there were not checked.
ALTER TABLE events
    ADD COLUMN IF NOT EXISTS schema_fault String COMMENT 'where the body is not as the schema of its type says, and how; empty where it is, or no schema says' CODEC(ZSTD(1)) AFTER dedup_id;
