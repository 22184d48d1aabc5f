"""What applying files would change: a decision from what they ask for and what there is, and nothing else."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cli.configure.kinds import KINDS, Kind
from cli.configure.manifest import Manifest
from schemas.stored import MASK, STAMPS, map_secrets

SECRET_FIELDS = ("secret", "secrets")


class Action(StrEnum):
    """What becomes of a record."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field: `None` where there is nothing."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One record.

    Attributes:
        document: what to send; of a deletion, nothing.
        version: the one that was compared; `None` when there was none.
        place: where it is asked for; of a deletion, empty.
    """

    action: Action
    kind: Kind
    id: str
    version: int | None
    fields: tuple[FieldChange, ...] = ()
    document: Mapping[str, Any] | None = None
    place: str = ""

    @property
    def name(self) -> str:
        """It as people call it."""
        return f"{self.kind.one} {self.id}"


def change_of(manifest: Manifest, preview: Mapping[str, Any]) -> Change:
    """What becomes of a record that a file asks for.

    Args:
        manifest: as read.
        preview: what the API says that it would do: `action, changed, current, record`.
    """
    current = preview["current"] or {}
    if preview["action"] == Action.CREATE:
        fields = tuple(field_changes({}, _shown(manifest.document)))
    else:
        fields = tuple(field_changes(current, preview["record"], preview["changed"]))
    return Change(
        action=Action(preview["action"]),
        kind=manifest.kind,
        id=manifest.id,
        version=current.get("version"),
        fields=fields,
        document=manifest.document,
        place=manifest.place,
    )


def deletion_of(kind: Kind, record: Mapping[str, Any]) -> Change:
    """The deletion of a record that is there."""
    return Change(Action.DELETE, kind, str(record["id"]), int(record["version"]))


def unasked(manifests: Iterable[Manifest], existing: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Change]:
    """Deletions of what exists and no file asks for.

    Args:
        manifests: everything that is asked for.
        existing: the records of those kinds that may be deleted, by the kind's name.
    """
    asked = {(manifest.kind.name, manifest.id) for manifest in manifests}
    return [
        deletion_of(kind, record)
        for kind in KINDS
        for record in existing.get(kind.name, ())
        if (kind.name, record["id"]) not in asked
    ]


def in_order(changes: Iterable[Change]) -> list[Change]:
    """What is referred to is made first and deleted last; all deletions come after everything else."""
    rank = {kind.name: number for number, kind in enumerate(KINDS)}

    def place(change: Change) -> tuple[bool, int]:
        deletes = change.action is Action.DELETE
        return deletes, -rank[change.kind.name] if deletes else rank[change.kind.name]

    return sorted(changes, key=place)


def field_changes(
    before: Mapping[str, Any], after: Mapping[str, Any], changed: Iterable[str] = ()
) -> Iterator[FieldChange]:
    """The fields that differ, each by its path; the members of an object are fields of their own.

    Args:
        before: a record, secrets masked.
        after: as above.
        changed: names of fields that differ although they look alike, because they are masked.
    """
    old, new = flat(before), flat(after)
    names = [name for name in dict.fromkeys([*old, *new]) if name not in STAMPS]
    hidden = set(changed)
    for name in names:
        if old.get(name) != new.get(name) or name in hidden:
            yield FieldChange(name, old.get(name), new.get(name))


def flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Path to value, lists as they are; what is empty or `None` is left out."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found


def _shown(document: Mapping[str, Any]) -> dict[str, Any]:
    return map_secrets(dict(document), lambda _: MASK)
