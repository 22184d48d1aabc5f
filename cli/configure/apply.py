"""`hooklog apply`: makes the configuration what files say, after it has shown what that changes."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from cli.ask import confirm
from cli.configure.config_api import ConfigApi, WrongFieldsError
from cli.configure.manifest import Manifest, WrongFilesError, read_manifests
from cli.configure.manifest_files import UnusableFileError, read_files
from cli.configure.plan import Action, Change, change_of, in_order, unasked
from cli.configure.plan_view import as_object, counted, lines
from cli.configure.write import Written, write
from cli.environment import read_settings
from cli.exits import FAILED, refuse
from cli.gateway import Gateway
from cli.show import print_json

T = TypeVar("T")

_PLANNED = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.DELETE: "to delete",
    Action.NOTHING: "unchanged",
}
_DONE = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.DELETE: "deleted",
    Action.NOTHING: "unchanged",
}


def apply(paths: Sequence[Path], *, dry_run: bool, yes: bool, prune: bool, as_json: bool) -> None:
    """Show the plan, ask, write; stops at the first change that fails and says what is left."""
    manifests = _manifests(paths)
    api = ConfigApi(Gateway(read_settings()))
    changes = in_order(_plan(api, manifests, prune=prune))
    todo = [change for change in changes if change.action is not Action.NOTHING]
    if not as_json:
        _show(todo, changes)
    if dry_run or not todo:
        _tell_json([as_object(change) | {"done": False} for change in todo] if as_json else [])
        return
    confirm(f"Make {'these changes' if len(todo) > 1 else 'this change'}?", yes=yes)
    _write(api, todo, [change for change in changes if change.action is Action.NOTHING], as_json=as_json)


def _manifests(paths: Sequence[Path]) -> list[Manifest]:
    try:
        files, left = read_files(paths)
        for name in left:
            sys.stderr.write(f"hooklog: left aside, neither YAML nor JSON: {name}\n")
        manifests = read_manifests(files, os.environ)
    except UnusableFileError as error:
        refuse(error)
    except WrongFilesError as error:
        refuse(f"nothing is changed, because these are wrong:\n{error}")
    if not manifests:  # with --prune, it would delete everything
        refuse(f"there is no record in {', '.join(map(str, paths))}")
    return manifests


def _plan(api: ConfigApi, manifests: Sequence[Manifest], *, prune: bool) -> Iterator[Change]:
    complaints: list[str] = []
    for manifest in _with_progress(manifests, "comparing"):
        try:
            yield change_of(manifest, api.check(manifest.kind, manifest.id, manifest.document))
        except WrongFieldsError as error:
            complaints += [manifest.complaint(item["field"], item["message"]) for item in error.errors]
    if complaints:
        refuse("nothing is changed, because these are wrong:\n" + "\n".join(complaints))
    if prune:
        kinds = {manifest.kind.name: manifest.kind for manifest in manifests}
        yield from unasked(manifests, {name: list(api.rows(kind)) for name, kind in kinds.items()})


def _with_progress(items: Sequence[T], what: str) -> Iterable[T]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


def _show(todo: Sequence[Change], changes: list[Change]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for change in todo:
        for line in lines(change):
            console.print(line)
    console.print(counted(changes, _PLANNED))


def _write(api: ConfigApi, todo: list[Change], unchanged: list[Change], *, as_json: bool) -> None:
    written: list[Written] = []
    try:
        for result in write(api, _with_progress(todo, "writing")):
            written.append(result)
            _tell(result, as_json=as_json)
    finally:  # also when the API went away in the middle, or Ctrl-C
        left = todo[len(written) :]
        _tell_json([as_object(change) | {"done": False} for change in left] if as_json else [])
        done = [result.change for result in written if not result.error]
        summary = counted([*done, *unchanged], _DONE)
        (sys.stderr if as_json else sys.stdout).write(f"{summary}\n")
        if left:
            names = "\n".join(f"  {change.action} {change.name}" for change in left)
            sys.stderr.write(f"hooklog: not done:\n{names}\n")
    if any(result.error for result in written):
        raise SystemExit(FAILED)


def _tell(result: Written, *, as_json: bool) -> None:
    if result.error:
        sys.stderr.write(f"hooklog: {result.change.name}: {result.error}\n")
    if as_json:
        known = {"version": result.version, "secret": result.secret, "error": result.error or None}
        told = {name: value for name, value in known.items() if value is not None}
        print_json(as_object(result.change) | {"done": not result.error} | told)
    elif result.secret:
        sys.stdout.write(f"{result.change.name} signs with {result.secret} (shown this once)\n")


def _tell_json(objects: list[dict[str, object]]) -> None:
    for item in objects:
        print_json(item)
