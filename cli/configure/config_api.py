"""The configuration of a running Hooklog, as the commands read and change it."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cli.configure.kinds import Kind
from cli.exits import fail
from cli.gateway import Gateway, complaint

if TYPE_CHECKING:
    import httpx

_EVERY_ERROR = range(400, 600)


class RefusedError(Exception):
    """The API did not do it; the message is for people.

    Attributes:
        status: HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ConfigApi:
    """Sources, topics and subscriptions.

    Args:
        gateway: asks; what it cannot reach ends the command.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def rows(self, kind: Kind, params: Mapping[str, Any] | None = None, most: int = sys.maxsize) -> Iterator[Any]:
        """The records of a kind, secrets masked."""
        return self._gateway.rows("ingest", kind.path(), params or {}, most)

    def get(self, kind: Kind, record_id: str) -> dict[str, Any] | None:
        """A record, secrets masked, or `None` when there is none."""
        answer = self._gateway.call("ingest", "GET", kind.path(record_id), allow=(404,))
        return None if answer.status_code == 404 else _document(answer)  # noqa: PLR2004 - HTTP

    def check(self, kind: Kind, record_id: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """What `put` would do: `action, changed, current, record`.

        Raises:
            WrongFieldsError: it would be refused.
        """
        path = f"{kind.path(record_id)}/check"
        answer = self._gateway.call("ingest", "POST", path, document=dict(document), allow=(422,))
        if not answer.is_success:
            raise WrongFieldsError(answer.json().get("errors") or [{"field": "", "message": complaint(answer)}])
        return _document(answer)

    def put(self, kind: Kind, record_id: str, document: Mapping[str, Any], version: int | None) -> dict[str, Any]:
        """The record as it is now; its secret is in the clear when this made it.

        Args:
            kind: of the record.
            record_id: its id.
            document: the whole record.
            version: the one that must be there; `None`: there must be none.

        Raises:
            RefusedError: it was not changed, or nobody can tell.
        """
        condition = {"If-None-Match": "*"} if version is None else {"If-Match": f'"{version}"'}
        return _document(self._change("PUT", kind.path(record_id), condition, document=dict(document)))

    def patch(self, kind: Kind, record_id: str, changes: Mapping[str, Any], version: int | None) -> dict[str, Any]:
        """The record as it is after a merge (RFC 7396).

        Raises:
            RefusedError: it was not changed, or nobody can tell.
        """
        condition = {} if version is None else {"If-Match": f'"{version}"'}
        return _document(self._change("PATCH", kind.path(record_id), condition, document=dict(changes)))

    def doomed(self, kind: Kind, record_id: str) -> dict[str, int]:
        """How many records of which kind a cascading delete would delete, the record itself among them.

        Raises:
            RefusedError: nobody can tell.
        """
        params = {"cascade": "true", "dry_run": "true"}
        answer = _document(self._change("DELETE", kind.path(record_id), {}, params=params))
        return dict(answer["counts"])

    def delete(self, kind: Kind, record_id: str, version: int | None, *, cascade: bool) -> None:
        """Deletes a record, and with `cascade` what refers to it.

        Raises:
            RefusedError: it is still there, or nobody can tell.
        """
        condition = {} if version is None else {"If-Match": f'"{version}"'}
        answer = self._change("DELETE", kind.path(record_id), condition, params={"cascade": str(cascade).lower()})
        if answer.content:
            _document(answer)

    def _change(
        self,
        method: str,
        path: str,
        condition: Mapping[str, str],
        *,
        params: Mapping[str, Any] | None = None,
        document: Any = None,
    ) -> "httpx.Response":
        answer = self._gateway.call(
            "ingest", method, path, params=params, document=document, headers=condition, allow=_EVERY_ERROR
        )
        if not answer.is_success:
            raise RefusedError(_users(answer) or complaint(answer), answer.status_code)
        return answer


class WrongFieldsError(RefusedError):
    """A record would be refused.

    Attributes:
        errors: `{"field", "message"}` of every bad field.
    """

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__("\n".join(f"{error['field'] or '(the whole)'}: {error['message']}" for error in errors), 422)
        self.errors = errors


def _users(answer: "httpx.Response") -> str:
    """What a deletion would leave hanging, when that is why it was refused; the API's words are for its own callers."""
    try:
        problem = answer.json()
        counts = problem["counts"] if problem["code"] == "in_use" else {}
        told = " and ".join(f"{count} {kind}" for kind, count in counts.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f"{told} refer to it" if told else ""


def _document(answer: "httpx.Response") -> dict[str, Any]:
    """The answer's object; what it warns of goes to stderr."""
    document = answer.json()
    if not isinstance(document, dict):
        fail(f"{answer.url} answered with no JSON object")
    for warning in document.pop("warnings", None) or []:
        sys.stderr.write(f"hooklog: warning: {warning.get('field') or '(the whole)'}: {warning.get('message')}\n")
    return document
