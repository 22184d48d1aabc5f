"""The API keys that there are, as this process knows them.

A key that is not known, as one that was made a moment ago, is looked for once more when the table has caught up with
the log. A known key is not: its end is seen when the table has it, some milliseconds later, without a question to the
broker for every request.
"""

from runtime.api_key import fits, id_in
from runtime.refresh import Refresher
from runtime.tables import ConfigTables
from schemas.key import KeySpec


class KnownKeys:
    """Finds the record of a key.

    Args:
        tables: must follow the kind `keys`.
        refresher: catches up with them, at a bounded rate: anybody can send keys that do not exist.
    """

    def __init__(self, tables: ConfigTables, refresher: Refresher) -> None:
        self._tables = tables
        self._refresher = refresher

    async def find(self, text: str) -> KeySpec | None:
        """The record of the key that a text is, or `None` when it is none.

        Raises:
            NotCurrentError: it is not known, and nobody can tell whether it exists.
        """
        key_id = id_in(text)
        if key_id is None:
            return None
        found = self._known(key_id, text)
        if found is None:
            await self._refresher.refresh()
            found = self._known(key_id, text)
        return found

    def _known(self, key_id: str, text: str) -> KeySpec | None:
        record = self._tables.key(key_id)
        return record.spec if record is not None and fits(text, record.spec) else None
