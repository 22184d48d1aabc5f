"""`hooklog encryption` as it is typed."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.configure import options
from cli.encryption.local_keys import checked, key_ids, own_file
from cli.exits import FAILED, OK, fail, refuse
from cli.show import print_json, print_table

if TYPE_CHECKING:
    from cli.doctor.finding import Site
    from cli.encryption.stored import StoredRecord

ROTATION = """\
To rotate, in this order, so that no process meets a key that it does not have:
  1. add the entry at the END of HOOKLOG_ENCRYPTION_KEYS (comma between), start every process again;
  2. move it to the FRONT, start every process again: the first one seals, all of them open;
  3. hooklog encryption rotate;
  4. hooklog encryption status: when nothing is sealed with the old key, remove it, and start every process again.
"""

app = typer.Typer(name="encryption", help="The keys that seal secrets at rest.", no_args_is_help=True)

KeyIdOption = Annotated[
    str | None, typer.Option("--id", help="Tells the keys apart; no secret. Random, unless it is given.")
]


@app.command()
def status(as_json: options.AsJson = False) -> None:
    """Show how many stored secrets are sealed with which key (exit code 1 when the first key does not seal all)."""
    from cli.encryption.stored import counted

    site = _site()
    keys, records = key_ids(site.settings), _read(site)
    rows = [
        {
            "key": key_id or None,
            "bound_to": ("field" if current else "record") if key_id else None,
            "secrets": count,
            "records": sum((key_id, current) in record.seals for record in records),
            "in_keyring": key_id in keys if keys and key_id else None,
        }
        for (key_id, current), count in sorted(counted(records).items())
    ]
    left = sum(not record.is_sealed_by(keys[0]) for record in records) if keys else None
    if as_json:
        print_json({"keys": keys, "sealed": rows, "to_rotate": left})
    else:
        print_table(rows, ("key", "bound_to", "secrets", "records", "in_keyring"))
        sys.stdout.write(f"keys here: {', '.join(keys) or 'none'}; the first one seals\n")
        if left:
            sys.stdout.write(f"{left} records are to be sealed anew: hooklog encryption rotate\n")
    raise SystemExit(FAILED if left else OK)


@app.command(epilog="Example: hooklog encryption rotate --dry-run")
def rotate(
    *,
    to: Annotated[str | None, typer.Option(help="Id of the key; the first one of this terminal's, else.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many records it is; write nothing.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write every record again that the first key does not seal; can be stopped and begun again at any time."""
    from cli.configure.config_api import ConfigApi
    from cli.encryption.rotate import OtherKeyError, Rotation
    from cli.encryption.rotate import rotate as run
    from cli.gateway import Gateway

    site = _site()
    wanted = to or next(iter(key_ids(site.settings)), None)
    if wanted is None:
        refuse("there are no encryption keys in this terminal: say with --to which one seals")
    if dry_run:
        rotation = Rotation(wanted, left=sum(not record.is_sealed_by(wanted) for record in _read(site)))
    else:
        try:
            rotation = run(ConfigApi(Gateway(site.settings)), lambda: _read(site), wanted, _tell)
        except OtherKeyError as error:
            fail(error)
    if as_json:
        failed = [{"record": name, "reason": reason} for name, reason in rotation.failed.items()]
        print_json({"to": wanted, "rotated": rotation.rotated, "failed": failed, "left": rotation.left})
    else:
        sys.stdout.write(f"{rotation.rotated} records sealed anew with {wanted}, {rotation.left} are left\n")
    raise SystemExit(FAILED if rotation.left and not dry_run else OK)


@app.command(name="new-key", epilog="Example: hooklog encryption new-key --id 2026")
def new_key(key_id: KeyIdOption = None, as_json: options.AsJson = False) -> None:
    """Make an entry for HOOKLOG_ENCRYPTION_KEYS, and say how to change over to it; nothing is stored."""
    from cli.encryption.keyring_file import new_entry

    entry = new_entry(checked(key_id))
    if as_json:
        print_json({"id": entry.partition(":")[0], "entry": entry})
    else:
        sys.stdout.write(f"{entry}\n")
        sys.stderr.write(ROTATION)


@app.command(name="add-key", epilog="Then: hooklog up, hooklog encryption rotate, hooklog encryption remove-key OLD")
def add_key(key_id: KeyIdOption = None, as_json: options.AsJson = False) -> None:
    """Put a new first key into the keyring file of an embedded Hooklog, which must not run meanwhile."""
    from cli.encryption.keyring_file import entries, new_entry, write_entries
    from runtime.keyring import UnusableKeyringError
    from runtime.supervisor.data_lock import StopTheOtherError, hold_data_dir

    file = own_file(_site().settings)
    entry = new_entry(checked(key_id))
    made = entry.partition(":")[0]
    try:
        # A service that the supervisor started again meanwhile would seal what the others cannot open.
        with hold_data_dir(file.parent):
            known = entries(file.read_text(encoding="ascii"))
            if made in known:
                refuse(f"there is a key {made} already")
            write_entries(file, {made: entry} | known)
    except (OSError, UnicodeDecodeError, UnusableKeyringError) as error:
        fail(f"{file}: {error}")
    except StopTheOtherError as error:
        fail(f"{error}: stop it first, so that all of its services get the key at once")
    if as_json:
        print_json({"id": made, "keys": [made, *known]})
    else:
        sys.stdout.write(f"key {made} seals from the next start on; then: hooklog encryption rotate\n")


@app.command(name="remove-key", epilog="Example: hooklog encryption remove-key 2025")
def remove_key(key_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)]) -> None:
    """Remove a key that seals nothing any more from the keyring file of an embedded Hooklog; it must run."""
    from cli.encryption.keyring_file import entries, write_entries
    from runtime.keyring import UnusableKeyringError

    site = _site()
    file = own_file(site.settings)
    try:
        known = entries(file.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError, UnusableKeyringError) as error:
        fail(f"{file}: {error}")
    if key_id not in known:
        fail(f"there is no key {key_id}")
    if key_id == next(iter(known)):
        fail(f"{key_id} is the first key, which seals: hooklog encryption add-key makes another")
    used = sum(any(seal[0] == key_id for seal in record.seals) for record in _read(site))
    if used:
        fail(f"{key_id} still seals secrets of {used} records: hooklog encryption rotate")
    write_entries(file, {name: entry for name, entry in known.items() if name != key_id})
    sys.stdout.write(f"key {key_id} is removed; services that run forget it when they start again\n")


def _site() -> "Site":
    from cli.doctor.finding import Site
    from cli.environment import read_settings

    return Site.visit(read_settings())


def _read(site: "Site") -> "list[StoredRecord]":
    from cli.encryption.stored import read_stored
    from cli.expired import ask_kafka

    found: list[StoredRecord] = ask_kafka(site, read_stored(site.bootstrap, site.names))
    return found


def _tell(done: int, of: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {of}" + "\n" * (done == of))
