-- Who may read Hooklog's tables on a ClickHouse server: the services' own reader, and analysts with their tools.
-- Run once, by a user who may make users, with the passwords' SHA-256 in hex (printf %s PASSWORD | sha256sum):
--
--   clickhouse client --param_service_sha256=… --param_analyst_sha256=… --multiquery < deploy/clickhouse_users.sql
--
-- Then HOOKLOG_CLICKHOUSE_READER_URL=http://hooklog_service:PASSWORD@host:8123/hooklog for the projections processes.
-- The analysts' limits are those of the embedded engine. Each has a least value too: 0 would be no limit.

CREATE ROLE IF NOT EXISTS hooklog_reader;

-- No SOURCES, so no files, URLs or other servers; no CREATE TEMPORARY TABLE, without which table functions make nothing.
GRANT SELECT, SHOW TABLES, SHOW COLUMNS, SHOW DATABASES ON hooklog.* TO hooklog_reader;

CREATE SETTINGS PROFILE IF NOT EXISTS hooklog_limits SETTINGS
    final = 1 CONST,
    max_execution_time = 20 MIN 1 MAX 20,
    max_memory_usage = 1000000000 MIN 1 MAX 1000000000,
    max_result_rows = 100000 MIN 1 MAX 100000,
    max_result_bytes = 100000000 MIN 1 MAX 100000000,
    max_threads = 2 MIN 1 MAX 2,
    allow_introspection_functions = 0 CONST,
    allow_ddl = 0 CONST;

-- The services say readonly=1 and their limits with every question; a profile that did would let them say nothing else.
CREATE USER IF NOT EXISTS hooklog_service IDENTIFIED WITH sha256_hash BY {service_sha256:String}
    DEFAULT ROLE hooklog_reader;

-- readonly=2: tools may change settings, within the constraints above, and nothing else.
CREATE USER IF NOT EXISTS analyst IDENTIFIED WITH sha256_hash BY {analyst_sha256:String}
    DEFAULT ROLE hooklog_reader SETTINGS PROFILE hooklog_limits, readonly = 2 CONST;

GRANT hooklog_reader TO hooklog_service, analyst;

CREATE QUOTA IF NOT EXISTS hooklog_analysts KEYED BY user_name
    FOR INTERVAL 1 hour MAX queries = 10000, execution_time = 3600
    TO analyst;
