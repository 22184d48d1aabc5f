-- An event that was appended before a subscription was created is none of its. Of the rows that are there it is not known.
ALTER TABLE dispatches
    ADD COLUMN IF NOT EXISTS appended_at DateTime64(3, 'UTC') COMMENT 'when the broker appended the event; 1970 where it is not known' CODEC(Delta, ZSTD(1)) AFTER received_at;
