"""`hooklog expired`: what was gone before it was read, and taking note of it."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.ask import confirm
from cli.environment import read_settings
from cli.exits import fail
from cli.show import print_json

if TYPE_CHECKING:
    from cli.doctor.finding import Site
    from schemas.expired import Expired

TIMEOUT_S = 30.0
"""A stream of a few records is read within a second."""

EXAMPLES = ("hooklog expired", "hooklog expired --acknowledge --yes")


def expired(
    *,
    acknowledge: Annotated[bool, typer.Option("--acknowledge", help="Take note: /ready is green again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show records that expired before they were read: by which group, of which stream, and how many."""
    from cli.doctor.finding import Site

    site = Site.visit(read_settings())
    items = _ask(site)
    open_items = [item for item in items if not item.acknowledged_ms]
    if acknowledge and open_items:
        for item in open_items:
            typer.echo(item.text, err=True)
        confirm(f"Take note of {len(open_items)}?", yes=yes)
        _take_note(site, open_items)
        items = _ask(site)
    _show(items, as_json=as_json)


def _show(items: "list[Expired]", *, as_json: bool) -> None:
    if as_json:
        for item in items:
            print_json(_row(item))
    elif not items:
        typer.echo("nothing has expired before it was read")
    else:
        for item in items:
            typer.echo(f"{'noted' if item.acknowledged_ms else 'OPEN '}  {item.text}")


def _row(item: "Expired") -> dict[str, Any]:
    import msgspec

    from schemas.headers import rfc3339

    row: dict[str, Any] = msgspec.structs.asdict(item)
    noticed_ms, acknowledged_ms = row.pop("noticed_ms"), row.pop("acknowledged_ms")
    return row | {
        "text": item.text,
        "noticed_at": rfc3339(noticed_ms),
        "acknowledged_at": rfc3339(acknowledged_ms) if acknowledged_ms else None,
    }


def _ask(site: "Site") -> "list[Expired]":
    from runtime.expired import read_expired

    known = ask_kafka(site, read_expired(site.bootstrap, site.names))
    return sorted(known.values(), key=lambda item: item.noticed_ms)


def _take_note(site: "Site", items: "list[Expired]") -> None:
    from runtime.expired import acknowledged, append_expired

    ask_kafka(site, append_expired(site.bootstrap, site.names, acknowledged(items, time.time_ns() // 1_000_000)))


def ask_kafka(site: "Site", asking: Any) -> Any:
    """What Kafka answers; ends the command when nobody does."""
    import logging

    import structlog
    from aiokafka.errors import KafkaError

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout is the answer's
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # "cannot connect" is told below
    try:
        return asyncio.run(_within(asking))
    except (KafkaError, OSError, TimeoutError) as error:
        fail(f"no Kafka answers at {site.bootstrap}: {error or type(error).__name__}")


async def _within(asking: Any) -> Any:
    async with asyncio.timeout(TIMEOUT_S):
        return await asking
