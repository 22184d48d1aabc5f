"""ClickHouse's own HTTP interface over the embedded engine, read-only, for analysts' tools."""
