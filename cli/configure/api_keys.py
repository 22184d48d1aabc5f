"""`hooklog keys create|list|revoke`: the API keys that a running Hooklog knows."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from cli.ask import confirm
from cli.configure import options
from cli.durations import seconds
from cli.show import print_json, print_table

PATH = "/api/v1/keys"
COLUMNS = ("id", "name", "role", "expires_at", "expired", "created_at")


def create(
    name: Annotated[str, typer.Option(help="Whose it is, or what it is for; it stands in the history of changes.")],
    role: Annotated[
        Literal["viewer", "editor", "admin"],
        typer.Option(help="viewer looks; editor also changes, retries and replays; admin also makes keys."),
    ],
    expires: Annotated[str | None, typer.Option(help="After how long, such as 90d; never, unless it is given.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Make an API key: it is printed this once, alone on standard output."""
    made = _gateway().call("ingest", "POST", PATH, document=_wanted(name, role, expires)).json()
    if as_json:
        print_json(made)
    else:
        sys.stdout.write(f"{made['key']}\n")
        end = f"expires at {made['expires_at']}" if made["expires_at"] else "never expires"
        sys.stderr.write(f"hooklog: key {made['id']}, role {made['role']}, {end}; nobody can read it again\n")


def _wanted(name: str, role: str, expires: str | None) -> dict[str, Any]:
    wanted: dict[str, Any] = {"name": name, "role": role}
    if expires is None:
        return wanted
    return wanted | {"expires_at": (datetime.now(UTC) + timedelta(seconds=seconds(expires))).isoformat()}


def list_(limit: options.Limit = None, as_json: options.AsJson = False) -> None:
    """List the API keys; what they open with is shown nowhere."""
    rows = _gateway().rows("ingest", PATH, {}, limit or sys.maxsize)
    if not as_json:
        print_table(rows, COLUMNS)
        return
    for row in rows:
        print_json(row)


def revoke(ids: options.Ids, yes: options.Yes = False, as_json: options.AsJson = False) -> None:
    """Revoke API keys: from the next second on they open nothing, and nothing brings them back."""
    confirm(f"Revoke {', '.join(ids)}?", yes=yes)
    gateway = _gateway()
    for key_id in ids:
        gateway.call("ingest", "DELETE", f"{PATH}/{_quoted(key_id)}")
        if as_json:
            print_json({"id": key_id, "revoked": True})
        else:
            sys.stdout.write(f"revoked {key_id}\n")


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _gateway() -> Any:
    from cli.environment import read_settings
    from cli.gateway import Gateway

    return Gateway(read_settings())


def add_to(app: typer.Typer) -> None:
    """Give `hooklog keys` these commands."""
    app.command(epilog="Example: hooklog keys create --name ci --role editor --expires 90d")(create)
    app.command(name="list")(list_)
    app.command(epilog="Example: hooklog keys revoke 01JGKC6Y3XSPA7QZ0N8M4T5R2V")(revoke)
