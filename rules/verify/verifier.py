"""What every provider answers: is this request from the sender, and where do its type and its id stand."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rules.request_headers import RequestHeaders

FieldError = tuple[str, str]
"""A field such as `auth_config.header`, and what is wrong with it."""


class VerificationError(Exception):
    """Refuse the request: it does not prove who sent it.

    Args:
        code: stable name, such as `signature_mismatch`.
        detail: a sentence for people; it must not help to forge.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class AuthConfigError(ValueError):
    """Refuse the source: its credentials or their settings cannot be used.

    Attributes:
        errors: each bad field and what is wrong with it; never empty.
        field: the first bad field.
        message: what is wrong with it.
    """

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        self.field, self.message = self.errors[0]
        super().__init__("; ".join(f"{field} {message}" for field, message in self.errors))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a request: in a header, or in the JSON body (RFC 6901 pointer)."""

    header: str = ""
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """All that a decision may depend on.

    Attributes:
        body: the exact bytes received.
        secrets: every secret that is valid now; any of them may have signed.
        auth_config: the provider's settings, as `check_config` passed them.
        now_s: epoch seconds, for providers that sign a time.
    """

    headers: RequestHeaders
    body: bytes
    secrets: Sequence[str]
    auth_config: Mapping[str, Any]
    now_s: float


class Verifier(ABC):
    """One provider's way to prove who sent a request."""

    auth_type: ClassVar[str]
    event_type: ClassVar[Place | None] = None
    """Where this provider puts the type of an event."""
    dedup_id: ClassVar[Place | None] = None
    """Where this provider puts its own id of an event."""

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG002 - for providers
        """Lower-cased names of the headers whose values must never be stored."""
        return frozenset()

    def check_config(self, auth_config: Mapping[str, Any], secrets: Sequence[str]) -> None:
        """Passes or names every bad field.

        Raises:
            AuthConfigError: a request could not be verified with these.
        """
        errors = [*self._config_errors(auth_config), *self._secret_errors(secrets)]
        if errors:
            raise AuthConfigError(errors)

    @abstractmethod
    def verify(self, request: SignedRequest) -> None:
        """Returns when the request proves its sender.

        Raises:
            VerificationError: it does not.
        """

    def _config_errors(self, auth_config: Mapping[str, Any]) -> Iterable[FieldError]:
        return [(f"auth_config.{name}", f"is no setting of auth_type {self.auth_type}") for name in auth_config]

    def _secret_errors(self, secrets: Sequence[str]) -> Iterable[FieldError]:
        return [] if secrets else [("secret", f"is required by auth_type {self.auth_type}")]
