"""`hooklog projections rebuild`: has the running service make every table again from Kafka, and follows it."""

import sys
import time
from typing import Annotated, Any

import typer

from cli.ask import confirm
from cli.environment import read_settings
from cli.exits import fail
from cli.gateway import Gateway
from cli.show import print_json, printable

PATH = "/api/v1/projections/rebuild"

POLL_S = 0.5
"""It is told once a second how far it is."""

EXAMPLES = ("hooklog projections rebuild", "hooklog projections rebuild --yes --json")


def rebuild(
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> None:
    """Make every table again from Kafka, beside those that are read, and exchange them.

    Rows whose records Kafka does not keep any more are taken over. The service goes on answering and storing meanwhile.
    It may be broken off at any moment: either the old or the new tables are there, complete.
    """
    gateway = Gateway(read_settings())
    confirm("Make every table again from Kafka? It needs as much disk again, and a core for a while.", yes=yes)
    answer = gateway.call("query", "POST", PATH, allow=(409,))
    if answer.status_code == 409:  # noqa: PLR2004 - somebody has begun: follow that one
        sys.stderr.write("hooklog: a rebuild is running; following it\n")
    last = _follow(gateway, quiet=as_json)
    if as_json:
        print_json(last)
    if last["state"] != "DONE":
        fail(f"the tables are as they were: {last['reason']}")
    if not as_json:
        typer.echo(f"{last['records']} records read, {last['carried']} rows taken over; the new tables are in place")


def _follow(gateway: Gateway, *, quiet: bool) -> dict[str, Any]:
    shown = ""
    while True:
        found: dict[str, Any] = gateway.call("query", "GET", PATH).json()
        text = f"{found['state'].lower()}: {found['records']} of {found['records_total']} records"
        if not quiet and text != shown:
            sys.stderr.write(printable(f"{text}\n"))
            shown = text
        if found["state"] in {"DONE", "FAILED"}:
            return found
        try:
            time.sleep(POLL_S)
        except KeyboardInterrupt:
            fail("the rebuild goes on; the same command follows it")
