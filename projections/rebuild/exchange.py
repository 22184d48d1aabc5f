"""The database that is filled, and how its tables take the places of those that are read."""

from collections.abc import Iterable, Mapping

from runtime.clickhouse import Client


def create_fresh(client: Client, fresh: str) -> None:
    """Makes an empty database; what an earlier rebuild left in it is gone.

    Raises:
        ClickHouseError, OSError: ClickHouse is away, or refuses.
    """
    drop_fresh(client, fresh)
    client.command(f"CREATE DATABASE `{fresh}`")


def drop_fresh(client: Client, fresh: str) -> None:
    """Drops it, and waits for whoever still reads a table that was exchanged.

    Raises:
        ClickHouseError, OSError: ClickHouse is away, or refuses.
    """
    client.command(f"DROP DATABASE IF EXISTS `{fresh}` SYNC")


def identities(client: Client, database: str, tables: Iterable[str]) -> dict[str, str]:
    """The UUID of each table, which it keeps when it changes its name.

    Raises:
        ClickHouseError, OSError: ClickHouse does not answer.
    """
    result = client.query(
        "SELECT name, toString(uuid) FROM system.tables"
        " WHERE database = {database:String} AND name IN {names:Array(String)}",
        parameters={"database": database, "names": list(tables)},
    )
    return dict(result.result_rows)


def exchange(client: Client, fresh: str, new: Mapping[str, str]) -> None:
    """Puts the new tables in their places, one after the other; goes on where one that was cut off had come to.

    Each exchange is atomic, and an UUID tells whether it has happened.

    Args:
        client: of the database that is read.
        fresh: the other database.
        new: UUIDs of the new tables by name.

    Raises:
        ClickHouseError, OSError: call again.
    """
    for table, identity in new.items():
        if identities(client, client.database, [table]).get(table) != identity:
            client.command(f"EXCHANGE TABLES `{client.database}`.{table} AND `{fresh}`.{table}")
