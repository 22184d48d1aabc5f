"""`hooklog keys`: API keys, the admin key, signing secrets, and the keys that encrypt secrets at rest."""

import base64
import re
import secrets as randomness
import stat
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configure import api_keys, options
from cli.exits import FAILED, fail, refuse
from cli.show import print_json

if TYPE_CHECKING:
    from runtime.settings import Settings

SECRET_BYTES = 32
"""Standard Webhooks: between 24 and 64 random bytes; 32 are what its own libraries make."""

ENCRYPTION_KEY_BYTES = 32  # AES-256
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO

ROTATION = """\
To rotate, in this order, so that no process meets a key that it does not have:
  1. add the entry at the END of HOOKLOG_ENCRYPTION_KEYS (comma between; or a line of .hooklog/keyring), restart all;
  2. move it to the FRONT, restart all: the first one seals, all of them open;
  3. hooklog keys reseal: writes every record that has a secret again, sealed with the new key;
  4. after 7 days, when the intake streams have forgotten the old records, remove the old entry.
"""

app = typer.Typer(name="keys", help="Keys and secrets.", no_args_is_help=True)
api_keys.add_to(app)


@app.command(epilog='Example: curl -H "Authorization: Bearer $(hooklog keys show --reveal)" …')
def show(
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the key itself, and nothing else.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show where the admin key is; what it is only with --reveal."""
    from cli.environment import read_settings

    found = admin_key_place(read_settings())
    key = found.pop("key")
    if key is None:
        fail(f"there is no admin key yet: hooklog up makes {found['file']}")
    if as_json:
        print_json(found | ({"key": key} if reveal else {}))
    elif reveal:
        sys.stdout.write(f"{key}\n")
    else:
        sys.stdout.write(f"{found['variable'] or found['file']}\n")
    if found["open"]:
        sys.stderr.write(f"hooklog: others may read it: chmod 600 {found['file']}\n")


@app.command(epilog='Example: hooklog subscriptions apply billing --secret "$(hooklog keys secret)" …')
def secret(as_json: options.AsJson = False) -> None:
    """Make a signing secret (Standard Webhooks: whsec_ and base64); nothing is stored."""
    made = f"whsec_{base64.b64encode(randomness.token_bytes(SECRET_BYTES)).decode()}"
    if as_json:
        print_json({"secret": made})
    else:
        sys.stdout.write(f"{made}\n")


@app.command(epilog="Example: hooklog keys encryption --id 2026")
def encryption(
    key_id: Annotated[
        str | None, typer.Option("--id", help="Tells the keys apart; random, unless it is given.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Make an entry for HOOKLOG_ENCRYPTION_KEYS, and say how to change over to it; nothing is stored."""
    key_id = key_id or randomness.token_hex(4)
    if not KEY_ID.fullmatch(key_id):
        refuse("--id must be 1 to 32 characters of A-Z a-z 0-9 . _ -")
    entry = f"{key_id}:{base64.b64encode(randomness.token_bytes(ENCRYPTION_KEY_BYTES)).decode()}"
    if as_json:
        print_json({"id": key_id, "entry": entry})
    else:
        sys.stdout.write(f"{entry}\n")
        sys.stderr.write(ROTATION)


@app.command()
def reseal(as_json: options.AsJson = False) -> None:
    """Write every record that has a secret again, so that the first encryption key seals it."""
    from cli.configure.config_api import ConfigApi, RefusedError
    from cli.configure.kinds import SOURCE, SUBSCRIPTION
    from cli.configure.manifest import without_shown
    from cli.environment import read_settings
    from cli.gateway import Gateway

    api = ConfigApi(Gateway(read_settings()))
    counts = {"written": 0, "failed": 0}
    for kind in (SOURCE, SUBSCRIPTION):
        for row in list(api.rows(kind)):
            if row.get("secret") or row.get("secrets"):
                try:
                    api.put(kind, row["id"], without_shown(row), row["version"])  # masks stand for what is there
                    counts["written"] += 1
                except RefusedError as error:
                    counts["failed"] += 1
                    sys.stderr.write(f"hooklog: {kind.one} {row['id']}: {error}\n")
    if as_json:
        print_json(counts)
    else:
        sys.stdout.write(f"{counts['written']} records written again, {counts['failed']} failed\n")
    raise SystemExit(FAILED if counts["failed"] else 0)


def admin_key_place(settings: "Settings") -> dict[str, Any]:
    """`variable` or `file`, whether the file is `open` to others, and the `key` when there is one; makes none."""
    from runtime.secrets_files import admin_key_file

    if settings.admin_key:
        return {"variable": "HOOKLOG_ADMIN_KEY", "file": None, "open": False, "key": settings.admin_key}
    file = admin_key_file(settings)
    try:
        mode, key = file.stat().st_mode, file.read_text(encoding="ascii").strip() or None
    except OSError:
        mode, key = 0, None
    return {"variable": None, "file": str(file), "open": bool(mode & OTHERS_MAY_READ), "key": key}
