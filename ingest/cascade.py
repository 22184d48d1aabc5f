"""Deletes a record after everything that refers to it, so that nothing is left hanging.

There is no transaction: the children go first, and a repeat finishes what a crash left. Each child is deleted in the
version that was seen, so one that was moved away in the meantime stays.
"""

from collections.abc import Iterable
from typing import Any

from ingest.config_commands import MAX_AT_ONCE, ConfigCommands
from ingest.config_index import CHILDREN, ConfigIndex
from ingest.references import References
from runtime.problem import ProblemError
from runtime.tables import ConfigTables

MAX_ROUNDS = 10
"""Looks for children: a second one is rare, and whoever adds them all the time must be stopped first."""

MAX_LISTED = 1_000
"""Records listed by a dry run, about 60 KB; its counts are always whole."""

Versions = dict[str, dict[str, int]]
"""Version by id by kind."""


class Cascade:
    """Deletes with all that refers to a record.

    Args:
        commands: delete.
        tables: hold the records.
        index: knows who refers to whom.
    """

    def __init__(self, commands: ConfigCommands, tables: ConfigTables, index: ConfigIndex) -> None:
        self._commands = commands
        self._tables = tables
        self._index = index
        self._references = References(tables, index)

    def doomed(self, kind: str, record_id: str) -> Versions:
        """What refers to a record, directly or through another, in the order in which it goes: children first.

        A subscription of all topics is nobody's child.
        """
        levels: Versions = {}
        parents: Iterable[str] = [record_id]
        while child := CHILDREN.get(kind):
            ids = [one for parent in parents for one in self._index.children(kind, parent)]
            records = self._tables.table(child).records
            levels[child] = {one: records[one].version for one in ids}
            kind, parents = child, ids
        return dict(reversed(levels.items()))

    def require_unused(self, kind: str, record_id: str) -> None:
        """Passes when nothing refers to the record.

        Raises:
            ProblemError: 409 `in_use`, naming the first references and how many there are.
        """
        counts = self._references.counts(kind, record_id)
        if any(counts.values()):
            told = ", ".join(f"{count} {child}" for child, count in counts.items())
            raise ProblemError(
                409,
                "in_use",
                f"{told} refer to it; delete them first, or leave out cascade=false",
                counts=counts,
                references=self._references.named(kind, record_id),
            )

    def preview(self, kind: str, record_id: str) -> dict[str, Any]:
        """`{"dry_run", "counts", "data": [{"kind", "id"}], "truncated"}`, in the order of the deletion."""
        ids = {each: list(versions) for each, versions in self.doomed(kind, record_id).items()}
        ids[kind] = [record_id] if record_id in self._tables.table(kind).records else []
        listed = [{"kind": each, "id": one} for each, found in ids.items() for one in found]
        return {
            "dry_run": True,
            "counts": {each: len(found) for each, found in ids.items()},
            "data": listed[:MAX_LISTED],
            "truncated": len(listed) > MAX_LISTED,
        }

    async def delete(self, kind: str, record_id: str, if_version: int | None, actor: str) -> bool:
        """Deletes what refers to a record, then the record; answers whether there was anything to delete.

        What somebody else makes to refer to it after the last look refers to nothing then, which is legal and shown
        as a warning; a repeat deletes it too.

        Args:
            kind: of the record.
            record_id: of the record, which need not be there: a repeat deletes what hangs under its id.
            if_version: the version that the record must have when its turn comes; `None` for any.
            actor: who asks for it.

        Raises:
            ProblemError: 412 it has another version, though its children are gone; 409 children keep coming; 503
                nobody can tell yet, so repeat it.
        """
        found = await self._delete_children(kind, record_id, actor)
        if record_id in self._tables.table(kind).records or if_version is not None:
            found |= await self._commands.delete(kind, record_id, if_version, actor)
        return found

    async def _delete_children(self, kind: str, record_id: str, actor: str) -> bool:
        for round_number in range(MAX_ROUNDS):
            doomed = self.doomed(kind, record_id)
            level = next((each for each, versions in doomed.items() if versions), None)
            if level is None:
                return round_number > 0
            await self._delete_all(level, doomed[level], actor)  # one level, then look again: it may have new children
        raise ProblemError(409, detail="others add references to it all the time; stop them, then repeat it")

    async def _delete_all(self, kind: str, versions: dict[str, int], actor: str) -> None:
        seen = list(versions.items())
        for start in range(0, len(seen), MAX_AT_ONCE):
            await self._commands.delete_versions(kind, dict(seen[start : start + MAX_AT_ONCE]), actor)
