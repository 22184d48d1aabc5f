"""auth_type `none`: whoever knows the URL may send."""

from collections.abc import Iterable, Sequence

from rules.verify.verifier import FieldError, SignedRequest, Unsigned, Verifier


class NoVerification(Verifier):
    """Accepts every request; somebody chose that by name."""

    auth_type = "none"
    title = "No verification"
    proof = "none: whoever knows the URL may send"

    def verify(self, request: SignedRequest) -> None:
        """Returns always."""

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:  # noqa: ARG002 - nothing depends on it
        """No header."""
        return []

    def _secret_errors(self, secrets: Sequence[str]) -> Iterable[FieldError]:
        # Whoever gives a secret believes that it is checked.
        return [("secret", "is never checked by auth_type none")] if secrets else []
