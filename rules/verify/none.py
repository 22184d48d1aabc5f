"""auth_type `none`: whoever knows the URL may send."""

from collections.abc import Iterable, Sequence

from rules.verify.verifier import FieldError, SignedRequest, Verifier


class NoVerification(Verifier):
    """Accepts every request; somebody chose that by name."""

    auth_type = "none"

    def verify(self, request: SignedRequest) -> None:
        """Returns always."""

    def _secret_errors(self, secrets: Sequence[str]) -> Iterable[FieldError]:
        # Whoever gives a secret believes that it is checked.
        return [("secret", "is never checked by auth_type none")] if secrets else []
