"""What each auth_type needs, told from the verifiers themselves."""

from dataclasses import dataclass
from typing import Any

from rules.verify.registry import known_auth_types, verifier_of
from rules.verify.verifier import Verifier


@dataclass(frozen=True, slots=True)
class Provider:
    """One auth_type, as people are told of it.

    Attributes:
        secret: what it is, and where the sender shows it.
        settings: what `auth_config` may say: `name, default, required, meaning`.
        headers: that are read, as they are named by default.
        signs_time: whether a captured request is refused later.
        event_type: where the type of an event stands; empty when the provider has no place of its own.
        dedup_id: where the sender's id of an event stands; likewise.
        can_sign: whether `hooklog send` can send as this provider would.
        docs_url: the page with the provider's rule.
    """

    auth_type: str
    title: str
    secret: str
    settings: tuple[dict[str, Any], ...]
    headers: tuple[str, ...]
    signs_time: bool
    event_type: str
    dedup_id: str
    can_sign: bool
    docs_url: str


def providers() -> list[Provider]:
    """Every auth_type that a source may name, by name."""
    return [_described(verifier) for name in known_auth_types() if (verifier := verifier_of(name))]


def _described(verifier: Verifier) -> Provider:
    return Provider(
        auth_type=verifier.auth_type,
        title=verifier.title or type(verifier).__name__,
        secret=verifier.proof,
        settings=tuple(
            {"name": one.name, "default": one.default, "required": one.required, "meaning": one.meaning}
            for one in verifier.settings
        ),
        headers=(*verifier.signature_headers, *verifier.other_headers),
        signs_time=verifier.signs_time,
        event_type=str(verifier.event_type or ""),
        dedup_id=str(verifier.dedup_id or ""),
        can_sign=type(verifier).sign is not Verifier.sign,
        docs_url=verifier.docs_url,
    )
