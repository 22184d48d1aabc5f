"""auth_type `kubernetes`: what an API server sends, which is batches of audit events and admission reviews.

Source: kubernetes.io, "Auditing" (webhook backend) and "Dynamic Admission Control".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rules.admission import allowance, told_of_review
from rules.batch import require_few
from rules.told import Item, Told
from rules.verify.setting import Setting
from rules.verify.token import DEFAULT_HEADER, Token
from rules.verify.verifier import AuthConfigError, SignedRequest, Unsigned


class _Events(msgspec.Struct, rename={"api_version": "apiVersion"}):
    kind: str
    api_version: str
    items: list[msgspec.Raw]


class _Event(msgspec.Struct, rename={"audit_id": "auditID"}):
    audit_id: str
    stage: str
    verb: str


_EVENTS = msgspec.json.Decoder(_Events)
_EVENT = msgspec.json.Decoder(_Event)
_AUDIT = b"audit.k8s.io/"
_BROKEN = (msgspec.DecodeError, RecursionError)


def _boolean(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


class Kubernetes(Token):
    """`Authorization: Bearer <token>`, as the API server's kubeconfig file says; it signs nothing.

    The API servers of some clouds cannot be told a token: `anonymous` lets whoever knows the URL send.
    """

    auth_type = "kubernetes"
    title = "Kubernetes API server"
    proof = "the token of the user in the kubeconfig file of the audit or admission webhook, chosen by you"
    docs_url = "https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#webhook-backend"
    settings = (
        Setting("anonymous", "true takes requests without a token, from whoever knows the URL", _boolean, False),  # noqa: FBT003 - named by its type
    )

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG002 - always the same
        """The header with the token."""
        return frozenset({DEFAULT_HEADER.lower()})

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source was sent, or none is asked for.

        Raises:
            VerificationError: token_missing, token_malformed or token_mismatch.
        """
        if not self.setting(request.auth_config, "anonymous"):
            super().verify(request)

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The first secret, if one is asked for."""
        return [] if self.setting(request.auth_config, "anonymous") else super().sign(request)

    def prompt_answer(self, body: bytes) -> bytes | None:
        """That of an admission review."""
        return allowance(body)

    def told(self, body: bytes) -> Told | None:
        """That of an admission review, or of an audit event that comes alone."""
        return told_of_review(body) or (_item(body).told if _AUDIT in body else None)

    def items(self, body: bytes) -> list[Item] | None:
        """The audit events of a list: their type is `audit.<verb>`, their id the audit's and its stage.

        Raises:
            TooManyItemsError: there are more than a batch may have.
        """
        if _AUDIT not in body:
            return None
        try:
            events = _EVENTS.decode(body)
        except _BROKEN:
            return None
        if events.kind != "EventList" or not events.api_version.startswith("audit.k8s.io/"):
            return None
        return [_item(bytes(one)) for one in require_few(events.items)]  # counted before they are read

    def _form(self, auth_config: Mapping[str, Any]) -> tuple[str, str]:  # noqa: ARG002 - always the same
        return DEFAULT_HEADER, "Bearer "

    def check_config(self, auth_config: Mapping[str, Any], secrets: Sequence[str]) -> None:
        """Passes or names every bad field.

        Raises:
            AuthConfigError: a request could not be verified with these.
        """
        if auth_config.get("anonymous") is not True:
            super().check_config(auth_config, secrets)
            return
        errors = list(self._config_errors(auth_config))
        if secrets:  # whoever gives one believes that it is checked
            errors.append(("secret", "is never checked where auth_config.anonymous is true"))
        if errors:
            raise AuthConfigError(errors)


def _item(body: bytes) -> Item:
    try:
        event = _EVENT.decode(body)
    except _BROKEN as error:
        return Item(body, fault=f"it is no audit event: {error}", fault_code="malformed")
    return Item(body, Told(f"audit.{event.verb}", f"{event.audit_id} {event.stage}"))
