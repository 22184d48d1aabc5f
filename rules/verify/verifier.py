"""What every provider answers: is this request from the sender, and where do its type and its id stand."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rules.request_headers import RequestHeaders
from rules.told import Item, Told
from rules.verify.setting import Setting

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


class CannotSignError(ValueError):
    """Send it by other means: nobody here can sign such a request as the sender would."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in a request.

    Attributes:
        header: its name.
        pointer: RFC 6901, into a JSON body.
        form: names of fields of a form, of which the first that is there counts.
    """

    header: str = ""
    pointer: str = ""
    form: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.header or self.pointer or " or ".join(self.form)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """All that a decision may depend on.

    Attributes:
        body: the exact bytes received.
        secrets: every secret that is valid now; any of them may have signed.
        auth_config: the provider's settings, as `check_config` passed them.
        now_s: epoch seconds, for providers that sign a time.
        path: of the URL, as received, for providers that sign it.
        query: of the URL, as received, without the question mark.
    """

    headers: RequestHeaders
    body: bytes
    secrets: Sequence[str]
    auth_config: Mapping[str, Any]
    now_s: float
    path: bytes = b""
    query: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender wants to hear at once.

    Attributes:
        body: the exact bytes.
        media_type: of the body.
    """

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request that is to be sent as the sender would send it.

    Attributes:
        secrets: never empty, unless the provider needs none; a sender uses the first, or all where several
            signatures have room.
        now_s: epoch seconds.
    """

    secrets: Sequence[str]
    auth_config: Mapping[str, Any]
    body: bytes
    now_s: float
    content_type: str


class Verifier(ABC):
    """One provider's way to prove who sent a request. A plug-in is a subclass that is made without arguments."""

    auth_type: ClassVar[str]
    title: ClassVar[str] = ""
    """The provider's name for people."""
    proof: ClassVar[str] = ""
    """What the secret is, and where the sender shows it."""
    docs_url: ClassVar[str] = ""
    """The page with the provider's rule."""
    settings: ClassVar[tuple[Setting, ...]] = ()
    """What `auth_config` may say."""
    signature_headers: ClassVar[tuple[str, ...]] = ()
    """Headers whose values are credentials: they are never stored."""
    other_headers: ClassVar[tuple[str, ...]] = ()
    """Headers that are read beside them."""
    signs_time: ClassVar[bool] = False
    """Whether a request that was captured is refused when it comes later."""
    event_type: ClassVar[Place | None] = None
    """Where this provider puts the type of an event."""
    dedup_id: ClassVar[Place | None] = None
    """Where this provider puts its own id of an event."""

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:  # noqa: ARG002 - for providers
        """Lower-cased names of the headers whose values must never be stored."""
        return frozenset(name.lower() for name in self.signature_headers)

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

    def answer(self, request: SignedRequest) -> bytes | None:  # noqa: ARG002 - for providers
        """The JSON that the sender wants to hear at once of a verified request that is no event; else `None`."""
        return None

    def handshake(self, request: SignedRequest) -> Answer | None:  # noqa: ARG002 - for providers
        """What a GET is answered with which a provider asks whether the URL is the owner's; `None`: it never asks so.

        Raises:
            VerificationError: it does not prove who asks, or asks what must not be answered.
        """
        return None

    def prompt_answer(self, body: bytes) -> bytes | None:  # noqa: ARG002 - for providers
        """The JSON that a sender must hear before anything else, and whatever comes of its request; else `None`.

        It says nothing of whether the event is stored. The body may be only the beginning of one.
        """
        return None

    def told(self, body: bytes) -> Told | None:  # noqa: ARG002 - for providers
        """What a body says of its event where no pointer leads; `None` when the places tell."""
        return None

    def items(self, body: bytes) -> list[Item] | None:  # noqa: ARG002 - for providers
        """The events of a body that holds several in the provider's own way; `None` of one that is an event itself.

        Raises:
            TooManyItemsError: there are more than a batch may have.
        """
        return None

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:  # noqa: ARG002 - for providers
        """The headers with which the sender would send the request.

        Raises:
            CannotSignError: it cannot be signed here.
        """
        raise CannotSignError(f"auth_type {self.auth_type} cannot sign, only verify")

    def setting(self, auth_config: Mapping[str, Any], name: str) -> Any:
        """What `auth_config` says, or else the setting's default."""
        if name in auth_config:
            return auth_config[name]
        return next(setting.default for setting in self.settings if setting.name == name)

    def _config_errors(self, auth_config: Mapping[str, Any]) -> Iterable[FieldError]:
        known = {setting.name: setting for setting in self.settings}
        for name, value in auth_config.items():
            wrong = known[name].check(value) if name in known else f"is no setting of auth_type {self.auth_type}"
            if wrong:
                yield f"auth_config.{name}", wrong
        for setting in self.settings:
            if setting.required and setting.name not in auth_config:
                yield f"auth_config.{setting.name}", f"is required by auth_type {self.auth_type}"

    def _secret_errors(self, secrets: Sequence[str]) -> Iterable[FieldError]:
        if not secrets:
            yield "secret", f"is required by auth_type {self.auth_type}"
        if any(map(_is_blank, secrets)):
            yield "secret", "is blank, which anybody would guess"
        for wrong in dict.fromkeys(map(self._secret_error, secrets)):
            if wrong:
                yield "secret", wrong

    def _secret_error(self, secret: str) -> str:  # noqa: ARG002 - for providers
        return ""


def _is_blank(secret: str) -> bool:
    # Zeros as well, with which HMAC fills an empty key up (RFC 2104, section 2).
    return not any(char.isprintable() and char != " " for char in secret)
