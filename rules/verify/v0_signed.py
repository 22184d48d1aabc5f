"""The scheme that Slack made and Zoom took over: `v0=` and the hex HMAC-SHA256 of `v0:<time>:<body>`."""

from rules.verify.setting import TOLERANCE
from rules.verify.signature import hex_hmac, only_value, require_match, without_prefix
from rules.verify.signed_time import only_time, require_recent
from rules.verify.verifier import SignedRequest, Unsigned, Verifier

PREFIX = "v0="


class V0Signed(Verifier):
    """The only one of `signature_headers` has the signature, the only one of `other_headers` the time."""

    settings = (TOLERANCE,)
    signs_time = True

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature, and it is recent.

        Raises:
            VerificationError: signature_… or timestamp_….
        """
        (header,), (time_header,) = self.signature_headers, self.other_headers
        given = without_prefix(only_value(request.headers, header), PREFIX, header)
        time = only_time(request, time_header)
        require_match([given], [hex_hmac(secret, v0_text(time, request.body)) for secret in request.secrets])
        require_recent(time, request)

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The time, and the signature by the first secret."""
        time = str(int(request.now_s))
        signature = hex_hmac(request.secrets[0], v0_text(time.encode(), request.body))
        return [(self.other_headers[0], time), (self.signature_headers[0], PREFIX + signature.decode())]


def v0_text(time: bytes, body: bytes) -> bytes:
    """What is signed."""
    return b"v0:%b:%b" % (time, body)
