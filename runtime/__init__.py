"""What every service stands on: settings, Kafka and ClickHouse clients, replicated tables, lifecycle."""
