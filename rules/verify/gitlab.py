"""auth_type `gitlab`.

Source: docs.gitlab.com, "Webhooks": secret tokens, signing tokens (GitLab 19) and delivery headers.
"""

from collections.abc import Sequence

from rules.verify.setting import TOLERANCE
from rules.verify.signature import only_value, require_token
from rules.verify.standard_webhooks import SECRET_PREFIX, secret_error, sign_standard, verify_standard
from rules.verify.token import unsendable
from rules.verify.verifier import Place, SignedRequest, Unsigned, Verifier

TOKEN_HEADER = "X-Gitlab-Token"  # noqa: S105 - the name of a header
SIGNATURE_HEADER = "webhook-signature"


class GitLab(Verifier):
    """The secret token in `X-Gitlab-Token`, or the signature by a signing token, which begins with `whsec_`.

    A source may have both while it moves from one to the other: a request is held to its signature when it has one
    that the source can check, else to its token. `webhook-id` is the `Idempotency-Key`, kept over retries, and
    signed; `X-Gitlab-Event-UUID` is shared by all webhooks that one event sets off.
    """

    auth_type = "gitlab"
    title = "GitLab"
    proof = "the webhook's signing token (whsec_…, GitLab 19 and newer) or its secret token: Settings, Webhooks"
    docs_url = "https://docs.gitlab.com/user/project/integrations/webhooks/"
    settings = (TOLERANCE,)
    signature_headers = (TOKEN_HEADER, SIGNATURE_HEADER)
    other_headers = ("webhook-id", "webhook-timestamp")
    signs_time = True
    event_type = Place(header="X-Gitlab-Event")
    dedup_id = Place(header="webhook-id")

    def verify(self, request: SignedRequest) -> None:
        """Returns when a signing token of the source makes the signature, or its secret token was sent.

        Raises:
            VerificationError: signature_…, id_…, timestamp_… or token_….
        """
        keys, tokens = _sorted(request.secrets)
        if keys and (not tokens or request.headers.all(SIGNATURE_HEADER)):
            verify_standard(request, keys)
        else:
            require_token(only_value(request.headers, TOKEN_HEADER, "token"), [text.encode() for text in tokens])

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """Signed by all signing tokens when there are some, else the first secret token."""
        keys, tokens = _sorted(request.secrets)
        return sign_standard(request, keys) if keys else [(TOKEN_HEADER, tokens[0])]

    def _secret_error(self, secret: str) -> str:
        return secret_error(secret) if secret.startswith(SECRET_PREFIX) else unsendable(secret)


def _sorted(secrets: Sequence[str]) -> tuple[list[str], list[str]]:
    keys = [secret for secret in secrets if secret.startswith(SECRET_PREFIX)]
    return keys, [secret for secret in secrets if not secret.startswith(SECRET_PREFIX)]
