"""What refers to a record, and what a record refers to in vain."""

import datetime as dt
from typing import Any

from ingest.config_index import CHILDREN, PARENTS, REFERENCES, TOPICS_WITHOUT_RECORD, ConfigIndex
from rules.certificates import certificate_warnings
from runtime.tables import ConfigTables
from schemas.config import Spec, SubscriptionSpec
from schemas.stored import Record, masked

MAX_NAMED = 100
"""References named in one problem document, about 6 KB; the counts are always whole."""

Document = dict[str, Any]


class References:
    """Answers what hangs together.

    Args:
        tables: hold the records.
        index: knows who refers to whom.
    """

    def __init__(self, tables: ConfigTables, index: ConfigIndex) -> None:
        self._tables = tables
        self._index = index

    def shown(self, record: Record[Spec]) -> Document:
        """A record for showing: secrets masked, with `warnings` when there is something to warn of."""
        return self.with_warnings(masked(record), record.spec)

    def with_warnings(self, document: Document, spec: Spec) -> Document:
        """A shown record with `warnings`: `[{"field", "code", "message"}]`, left out when there are none.

        A reference to what does not exist is legal: records arrive in any order. It takes effect when it is there. So
        is a certificate that has expired: whoever renews it stores the record again.
        """
        warnings = self._dangling(spec)
        if isinstance(spec, SubscriptionSpec) and spec.tls is not None:
            warnings += certificate_warnings(spec.tls, dt.datetime.now(dt.UTC))
        return document | {"warnings": warnings} if warnings else document

    def _dangling(self, spec: Spec) -> list[dict[str, str]]:
        parent_kind = PARENTS.get(spec.kind)
        if parent_kind is None:
            return []
        field = REFERENCES[spec.kind]
        parent_id = str(getattr(spec, field))
        if parent_id in TOPICS_WITHOUT_RECORD or parent_id in self._tables.table(parent_kind).records:
            return []
        message = f"there is no {parent_kind.removesuffix('s')} {parent_id}; it takes effect when there is one"
        return [{"field": field, "code": "dangling_reference", "message": message}]

    def counts(self, kind: str, record_id: str) -> dict[str, int]:
        """How many records of which kind refer to a record directly; empty for what nothing can refer to."""
        child = CHILDREN.get(kind)
        return {child: len(self._index.children(kind, record_id))} if child else {}

    def named(self, kind: str, record_id: str) -> list[Document]:
        """The first of them, as `{"kind", "id"}`."""
        ids = self._index.children(kind, record_id).after("", MAX_NAMED)
        return [{"kind": CHILDREN[kind], "id": child_id} for child_id in ids]


def reference(record: Record[Spec]) -> Document:
    """A record that refers to another, in short: `{"kind", "id", "name"}`."""
    return {"kind": record.spec.kind, "id": record.spec.id, "name": name_of(record.spec)}


def name_of(spec: Spec) -> str:
    """What people call it."""
    return spec.subscriber_name if isinstance(spec, SubscriptionSpec) else spec.name
