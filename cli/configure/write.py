"""Writes changes one after the other, each for the version that it was made for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cli.configure.config_api import ConfigApi, RefusedError
from cli.configure.plan import SECRET_FIELDS, Action, Change
from schemas.stored import MASK


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a change.

    Attributes:
        record: as it is now, a secret in it only when Hooklog made it; `None` of a deletion or a failure.
        error: why it was not written; empty when it was.
    """

    change: Change
    record: dict[str, Any] | None = None
    error: str = ""

    @property
    def version(self) -> int | None:
        """The version it made."""
        return self.record["version"] if self.record else None

    @property
    def secret(self) -> str | None:
        """The secret that Hooklog made, which nobody can read later."""
        given = any((self.change.document or {}).get(name) for name in SECRET_FIELDS)
        secret = (self.record or {}).get("secret")
        return None if given or self.change.action is not Action.CREATE or secret == MASK else secret


def write(api: ConfigApi, changes: Iterable[Change]) -> Iterator[Written]:
    """Writes them in their order; the first that fails is the last."""
    for change in changes:
        try:
            yield Written(change, _written(api, change))
        except RefusedError as error:
            yield Written(change, error=_told(error))
            return


def _written(api: ConfigApi, change: Change) -> dict[str, Any] | None:
    if change.action is Action.DELETE:
        api.delete(change.kind, change.id, change.version, cascade=False)
        return None
    return api.put(change.kind, change.id, change.document or {}, change.version)


def _told(error: RefusedError) -> str:
    if error.status == 412:  # noqa: PLR2004 - RFC 9110, section 15.5.13
        return f"somebody else changed it after it was compared, so it was left alone; look again ({error})"
    return str(error)
