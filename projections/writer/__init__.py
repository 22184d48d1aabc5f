"""From Kafka into ClickHouse: read, make rows, insert, then commit."""
