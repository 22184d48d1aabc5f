"""Seals anew what another key sealed: each record is written again as it is, for the version that was read."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from cli.configure.config_api import ConfigApi, RefusedError
from cli.configure.kinds import KINDS
from cli.configure.manifest import without_shown
from cli.encryption.stored import StoredRecord

CHANGED = 412
GONE = 404

ROUNDS = 3
"""Whoever changes a record meanwhile has it sealed anew, too; what is left after that is told."""

Read = Callable[[], list[StoredRecord]]
_KINDS = {kind.name: kind for kind in KINDS}


class OtherKeyError(Exception):
    """The services seal with another key: start them again with the new keys; the message names both."""


@dataclass(slots=True)
class Rotation:
    """What came of it.

    Attributes:
        to: the id of the key that seals now.
        rotated: records that were written again.
        failed: why a record could not be, by its name.
        left: records that are still sealed otherwise.
    """

    to: str
    rotated: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0


def rotate(api: ConfigApi, read: Read, to: str, told: Callable[[int, int], None]) -> Rotation:
    """Has every record sealed with one key; what is so already is left alone, so it can be begun again at any time.

    Args:
        api: writes.
        read: the records that have secrets, as they are now.
        to: the id of the key.
        told: hears how many are done, and of how many.

    Raises:
        OtherKeyError: after the first record, which is sealed with another key all the same.
    """
    rotation = Rotation(to)
    for _ in range(ROUNDS):
        pending = _pending(read(), rotation)
        for number, record in enumerate(pending, start=1):
            if _write_again(api, record, rotation) and rotation.rotated == 1:
                _require_sealed_by(to, record, read())
            told(number, len(pending))
        if not pending:
            break
    rotation.left = sum(not record.is_sealed_by(to) for record in read())
    return rotation


def _pending(records: list[StoredRecord], rotation: Rotation) -> list[StoredRecord]:
    return [one for one in records if not one.is_sealed_by(rotation.to) and _name(one) not in rotation.failed]


def _write_again(api: ConfigApi, record: StoredRecord, rotation: Rotation) -> bool:
    kind = _KINDS[record.kind]
    try:
        shown = api.get(kind, record.record_id)
        if shown is None:
            return False  # deleted meanwhile
        api.put(kind, record.record_id, without_shown(shown), shown["version"])  # masks stand for what is there
    except RefusedError as error:
        if error.status not in {CHANGED, GONE}:
            rotation.failed[_name(record)] = str(error)
            sys.stderr.write(f"hooklog: {_name(record)}: {error}\n")
        return False
    rotation.rotated += 1
    return True


def _require_sealed_by(to: str, written: StoredRecord, records: list[StoredRecord]) -> None:
    for record in records:
        if (record.kind, record.record_id) == (written.kind, written.record_id) and not record.is_sealed_by(to):
            other = ", ".join(sorted({key_id for key_id, _ in record.seals}))
            raise OtherKeyError(f"the services seal with {other}, not with {to}: start them again with the new keys")


def _name(record: StoredRecord) -> str:
    return f"{record.kind}/{record.record_id}"
