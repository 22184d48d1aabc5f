"""`hooklog keys`: API keys, the admin key, and signing secrets."""

import base64
import secrets as randomness
import stat
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.configure import api_keys, options
from cli.exits import fail
from cli.show import print_json

if TYPE_CHECKING:
    from runtime.settings import Settings

SECRET_BYTES = 32
"""Standard Webhooks: between 24 and 64 random bytes; 32 are what its own libraries make."""

OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO

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
