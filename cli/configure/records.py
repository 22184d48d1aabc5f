"""What the commands on one kind of records do: list, get, apply, update, delete."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.ask import confirm
from cli.configure.config_api import ConfigApi, RefusedError, WrongFieldsError
from cli.configure.kinds import KINDS, Kind
from cli.environment import read_settings
from cli.exits import FAILED, fail, refuse
from cli.gateway import Gateway
from cli.show import cell, print_json, print_table


def show_list(kind: Kind, filters: Mapping[str, Any], limit: int | None, *, as_json: bool) -> None:
    """Print the records of a kind."""
    rows = _api().rows(kind, filters, sys.maxsize if limit is None else limit)
    if not as_json:
        print_table(rows, kind.columns)
        return
    for row in rows:
        print_json(row)


def show_one(kind: Kind, record_id: str, *, as_json: bool) -> None:
    """Print one record."""
    record = _api().get(kind, record_id)
    if record is None:
        fail(f"there is no {kind.one} {record_id}")
    if as_json:
        print_json(record)
    else:
        print_table([{"field": name, "value": cell(value)} for name, value in record.items()], ("field", "value"))


def apply_one(
    kind: Kind,
    record_id: str,
    fields: Mapping[str, Any],
    file: Path | None,
    *,
    create_only: bool,
    if_version: int | None,
    as_json: bool,
) -> None:
    """Create or replace one record; what is the same already is not written.

    Args:
        kind: of the record.
        record_id: its id.
        fields: from options; they go before those of the file.
        file: has the other fields; `-` is standard input.
        create_only: fail when there is one.
        if_version: fail when it has another version.
        as_json: print `{"action", "record"}`.
    """
    document = {**_from_file(kind, file), **fields}
    if document.setdefault("id", record_id) != record_id:
        refuse(f"{file} is about {document['id']}, not about {record_id}")
    from cli.configure.manifest import field_errors

    if errors := field_errors(kind, document):
        refuse("\n".join([f"this is no {kind.one}:", *(f"  {field}: {message}" for field, message in errors)]))
    api = _api()
    try:
        preview = api.check(kind, record_id, document)
        action, current = preview["action"], preview["current"]
        if create_only and current:
            fail(f"there is a {kind.one} {record_id} already, version {current['version']}")
        if if_version is not None and (current or {}).get("version") != if_version:
            fail(f"{kind.one} {record_id} has not version {if_version} but {(current or {}).get('version', 'none')}")
        record = current if action == "nothing" else api.put(kind, record_id, document, (current or {}).get("version"))
    except WrongFieldsError as error:
        refuse(f"this {kind.one} is refused:\n{error}")
    except RefusedError as error:
        fail(error)
    _tell(kind, {"create": "created", "update": "updated", "nothing": "unchanged"}[action], record, document, as_json)


def update(kind: Kind, record_id: str, changes: Mapping[str, Any], if_version: int | None, *, as_json: bool) -> None:
    """Change some fields of a record, and leave the others as they are."""
    try:
        record = _api().patch(kind, record_id, changes, if_version)
    except RefusedError as error:
        fail(f"there is no {kind.one} {record_id}" if error.status == 404 else error)  # noqa: PLR2004 - HTTP
    _tell(kind, "updated", record, changes, as_json)


def delete(kind: Kind, ids: Sequence[str], *, yes: bool, cascade: bool, if_version: int | None, as_json: bool) -> None:
    """Delete records, each with what refers to it when `cascade` says so; goes on after one that cannot be."""
    if if_version is not None and len(ids) > 1:
        refuse("--if-version is about one record")
    api = _api()
    names = [f"{kind.one} {record_id}" for record_id in ids]
    if cascade:
        names = [f"{name}{_with(api, kind, record_id)}" for name, record_id in zip(names, ids, strict=True)]
    if not yes:
        sys.stderr.write("".join(f"delete {name}\n" for name in names))
    confirm("Delete?" if len(ids) == 1 else f"Delete these {len(ids)}?", yes=yes)
    failed = False
    for record_id, name in zip(ids, names, strict=True):
        try:
            api.delete(kind, record_id, if_version, cascade=cascade)
        except RefusedError as error:
            failed = True
            sys.stderr.write(f"hooklog: {kind.one} {record_id}: {_why(error, cascade=cascade)}\n")
        else:
            _tell_deleted(kind, record_id, name, as_json=as_json)
    raise SystemExit(FAILED if failed else 0)


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """`retry.delays_s=[1,5]` and the like as an object: paths with dots, values as JSON, or else as text."""
    found: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            refuse(f"{text!r} is not FIELD=VALUE, such as max_in_flight=5 or event_type.pointer=/type")
        *parents, name = path.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                refuse(f"{path}: {parent} has a value of its own already")
        place[name] = _value(value)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _api() -> ConfigApi:
    return ConfigApi(Gateway(read_settings()))


def _from_file(kind: Kind, file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    from cli.configure.one_file import read_one

    return read_one(kind, file)


def _with(api: ConfigApi, kind: Kind, record_id: str) -> str:
    try:
        counts = api.doomed(kind, record_id)
    except RefusedError as error:
        fail(f"{kind.one} {record_id}: {error}")
    others = [f"{counts[each.name]} {each.name}" for each in KINDS if each is not kind and counts.get(each.name)]
    return f", and with it {' and '.join(others)}" if others else ""


def _why(error: RefusedError, *, cascade: bool) -> str:
    if error.status == 404:  # noqa: PLR2004 - HTTP
        return "there is none"
    return f"{error}; --cascade deletes those, too" if error.status == 409 and not cascade else str(error)  # noqa: PLR2004


def _tell(kind: Kind, done: str, record: dict[str, Any], given: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({"action": done, "record": record})
        return
    sys.stdout.write(f"{kind.one} {record['id']} {done}, version {record['version']}\n")
    if done == "created" and record.get("secret") and not (given.get("secret") or given.get("secrets")):
        sys.stdout.write(f"it signs with {record['secret']} (shown this once)\n")


def _tell_deleted(kind: Kind, record_id: str, name: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"action": "deleted", "kind": kind.name, "id": record_id})
    else:
        sys.stdout.write(f"{name} deleted\n")
