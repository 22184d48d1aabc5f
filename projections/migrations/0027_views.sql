-- Questions that people ask first. Each says FINAL itself, so that it counts right on any connection.
CREATE VIEW IF NOT EXISTS failing_endpoints
(
    subscription_id  LowCardinality(String) COMMENT 'the subscription',
    target_url       String                 COMMENT 'where the requests went',
    attempts         UInt64                 COMMENT 'requests in the last 24 hours',
    failures         UInt64                 COMMENT 'those of them that failed',
    failure_share    Float64                COMMENT 'failures / attempts, from 0 to 1',
    failing_since    DateTime64(3, 'UTC')   COMMENT 'first failure after the last success; 1970 when the last request succeeded',
    last_failed_at   DateTime64(3, 'UTC')   COMMENT 'when the last failed request started',
    last_status_code UInt16                 COMMENT 'HTTP status of its answer; 0 when none came',
    last_error       String                 COMMENT 'what went wrong without an answer, or empty'
)
AS
SELECT subscription_id, target_url, attempts, failures, failures / attempts AS failure_share,
       if(empty(unmended), toDateTime64(0, 3, 'UTC'), arrayMin(unmended)) AS failing_since, last_failed_at, last_status_code,
       last_error
FROM
(
    SELECT subscription_id, target_url, count() AS attempts, countIf(status != 'SUCCESS') AS failures,
           maxIf(started_at, status = 'SUCCESS') AS mended_at,
           arrayFilter(at -> at > mended_at, groupArrayIf(started_at, status != 'SUCCESS')) AS unmended,
           maxIf(started_at, status != 'SUCCESS') AS last_failed_at,
           argMaxIf(response_status_code, (started_at, _offset), status != 'SUCCESS') AS last_status_code,
           argMaxIf(error, (started_at, _offset), status != 'SUCCESS') AS last_error
    FROM attempts FINAL
    PREWHERE started_at >= now64(3) - INTERVAL 24 HOUR
    WHERE kind = 'attempt'
    GROUP BY subscription_id, target_url
    HAVING failures > 0
)
COMMENT 'endpoints with failed requests in the last 24 hours';

CREATE VIEW IF NOT EXISTS slowest_endpoints
(
    subscription_id LowCardinality(String) COMMENT 'the subscription',
    target_url      String                 COMMENT 'where the requests went',
    attempts        UInt64                 COMMENT 'requests in the last 24 hours',
    timeouts        UInt64                 COMMENT 'those that had no answer in time',
    p50_ms          UInt32                 COMMENT 'duration that half of them did not exceed, milliseconds',
    p95_ms          UInt32                 COMMENT 'duration that 95 % of them did not exceed, milliseconds',
    p99_ms          UInt32                 COMMENT 'duration that 99 % of them did not exceed, milliseconds',
    slowest_ms      UInt32                 COMMENT 'the longest, milliseconds'
)
AS
SELECT subscription_id, target_url, attempts, timeouts, percentiles[1] AS p50_ms, percentiles[2] AS p95_ms,
       percentiles[3] AS p99_ms, slowest_ms
FROM
(
    SELECT subscription_id, target_url, count() AS attempts, countIf(error LIKE '%timeout%') AS timeouts,
           quantilesExactWeighted(0.5, 0.95, 0.99)(duration_ms, 1) AS percentiles, max(duration_ms) AS slowest_ms
    FROM attempts FINAL
    PREWHERE started_at >= now64(3) - INTERVAL 24 HOUR
    WHERE kind = 'attempt'
    GROUP BY subscription_id, target_url
)
ORDER BY p95_ms DESC
COMMENT 'how long endpoints took in the last 24 hours, failed requests included; the slowest first';

CREATE VIEW IF NOT EXISTS event_timeline
(
    event_id        String                 COMMENT 'the event, or the rejection: ask for one',
    at              DateTime64(3, 'UTC')   COMMENT 'when it happened; sort by it',
    what            LowCardinality(String) COMMENT 'received, rejected, dispatched, attempt, outcome (an end without one), parked or completed',
    topic_id        LowCardinality(String) COMMENT 'topic of the event',
    subscription_id LowCardinality(String) COMMENT 'of a delivery, its subscription, else empty',
    delivery_id     String                 COMMENT 'of a delivery, its id, else empty',
    attempt         UInt16                 COMMENT 'of an attempt, its number; of completed, how many were made; else 0',
    status          LowCardinality(String) COMMENT 'state after it: RECEIVED, FAILED_VALIDATION, QUEUED, or that of the delivery',
    response_status_code UInt16            COMMENT 'HTTP status of the answer; 0 when there was none',
    reason          String                 COMMENT 'why, or empty',
    error           String                 COMMENT 'what went wrong without an answer, or empty',
    duration_ms     UInt32                 COMMENT 'of an attempt, milliseconds, else 0'
)
AS
SELECT event_id, received_at AS at, 'received' AS what, topic_id, '' AS subscription_id, '' AS delivery_id,
       toUInt16(0) AS attempt, 'RECEIVED' AS status, toUInt16(0) AS response_status_code, '' AS reason, '' AS error,
       toUInt32(0) AS duration_ms
FROM events FINAL
UNION ALL
SELECT rejection_id, received_at, 'rejected', topic_id, '', '', 0, 'FAILED_VALIDATION', response_status_code,
       concat(code, ': ', reason), '', 0
FROM rejections FINAL
UNION ALL
SELECT event_id, dispatched_at, 'dispatched', topic_id, '', '', 0, 'QUEUED', 0,
       if(duplicate, concat('duplicate of ', duplicate_of), concat('matched ', toString(matched))), error, 0
FROM dispatches FINAL
UNION ALL
SELECT event_id, started_at, kind, topic_id, subscription_id, delivery_id, attempt, status, response_status_code, reason,
       error, duration_ms
FROM attempts FINAL
UNION ALL
SELECT event_id, completed_at, 'completed', topic_id, subscription_id, delivery_id, attempts, status, last_status_code,
       reason, error, 0
FROM deliveries FINAL
WHERE status IN ('SUCCESS', 'FAILED', 'CANCELLED')
COMMENT 'everything that happened to an event, one row each';

CREATE VIEW IF NOT EXISTS retry_funnel
(
    subscription_id LowCardinality(String) COMMENT 'the subscription; add up over all for the whole funnel',
    topic_id        LowCardinality(String) COMMENT 'topic of the events',
    attempt         UInt16                 COMMENT 'number of the attempt, from 1',
    deliveries      UInt64                 COMMENT 'deliveries of the last 7 days'' attempts that came to this one',
    succeeded       UInt64                 COMMENT 'those that ended with it in success',
    given_up        UInt64                 COMMENT 'those that ended with it in failure',
    success_share   Float64                COMMENT 'succeeded / deliveries, from 0 to 1'
)
AS
SELECT subscription_id, topic_id, attempt, uniqExact(delivery_id) AS deliveries,
       uniqExactIf(delivery_id, status = 'SUCCESS') AS succeeded,
       uniqExactIf(delivery_id, status IN ('FAILED', 'CANCELLED')) AS given_up, succeeded / deliveries AS success_share
FROM attempts FINAL
PREWHERE started_at >= now64(3) - INTERVAL 7 DAY
WHERE kind = 'attempt'
GROUP BY subscription_id, topic_id, attempt
COMMENT 'how many deliveries came to which attempt in the last 7 days, and what it brought';

CREATE VIEW IF NOT EXISTS delivery_latency
(
    hour            DateTime('UTC')        COMMENT 'beginning of the hour in which the events were accepted',
    subscription_id LowCardinality(String) COMMENT 'the subscription',
    topic_id        LowCardinality(String) COMMENT 'topic of the events',
    delivered       UInt64                 COMMENT 'deliveries that ended in success, replays and resends left out',
    at_once         UInt64                 COMMENT 'those whose first request succeeded',
    p50_ms          UInt64                 COMMENT 'from accepted to delivered, milliseconds that half of them did not exceed',
    p95_ms          UInt64                 COMMENT 'as above, 95 % of them',
    p99_ms          UInt64                 COMMENT 'as above, 99 % of them',
    slowest_ms      UInt64                 COMMENT 'the longest, milliseconds'
)
AS
SELECT hour, subscription_id, topic_id, delivered, at_once, percentiles[1] AS p50_ms, percentiles[2] AS p95_ms,
       percentiles[3] AS p99_ms, slowest_ms
FROM
(
    SELECT toStartOfHour(created_at) AS hour, subscription_id, topic_id, count() AS delivered,
           countIf(attempts = 1) AS at_once,
           quantilesExactWeighted(0.5, 0.95, 0.99)(took_ms, 1) AS percentiles, max(took_ms) AS slowest_ms
    FROM
    (
        SELECT created_at, subscription_id, topic_id, attempts,
               toUInt64(greatest(0, toUnixTimestamp64Milli(completed_at) - toUnixTimestamp64Milli(created_at))) AS took_ms
        FROM deliveries FINAL
        PREWHERE created_at >= now64(3) - INTERVAL 7 DAY
        WHERE status = 'SUCCESS' AND replay_id = ''
    )
    GROUP BY hour, subscription_id, topic_id
)
COMMENT 'how long events of the last 7 days took from the 202 to the end of their delivery, retries and waits included';

CREATE VIEW IF NOT EXISTS schema_drift
(
    topic_id   LowCardinality(String) COMMENT 'the topic',
    event_type LowCardinality(String) COMMENT 'type of the events; empty where they were refused',
    fault      String                 COMMENT 'where bodies are not as the schema of their type says, and how',
    taken      Bool                   COMMENT 'whether they were taken and marked; else refused',
    events     UInt64                 COMMENT 'how many were so in the last 7 days',
    first_at   DateTime64(3, 'UTC')   COMMENT 'when the first of them came',
    last_at    DateTime64(3, 'UTC')   COMMENT 'when the last of them came',
    last_id    String                 COMMENT 'id of that event or rejection'
)
AS
SELECT topic_id, event_type, schema_fault AS fault, true AS taken, count() AS events, min(received_at) AS first_at,
       max(received_at) AS last_at, argMax(event_id, (received_at, event_id)) AS last_id
FROM events FINAL
PREWHERE received_at >= now64(3) - INTERVAL 7 DAY
WHERE schema_fault != ''
GROUP BY topic_id, event_type, fault
UNION ALL
SELECT topic_id, '' AS event_type, reason AS fault, false AS taken, count() AS events, min(received_at) AS first_at,
       max(received_at) AS last_at, argMax(rejection_id, (received_at, rejection_id)) AS last_id
FROM rejections FINAL
PREWHERE received_at >= now64(3) - INTERVAL 7 DAY
WHERE code IN ('schema_mismatch', 'event_type_unknown')
GROUP BY topic_id, fault
COMMENT 'what bodies of the last 7 days had against the schemas of their types; fields: hooklog topics drift';
