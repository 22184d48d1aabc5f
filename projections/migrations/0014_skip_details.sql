-- A filter that failed says why. The rows that are there have no detail.
ALTER TABLE dispatches
    MODIFY COLUMN skips Array(Tuple(subscription_id String, reason LowCardinality(String), detail String)) COMMENT 'some of them, by name; detail is what went wrong, of a filter_error';
