"""auth_type `hmac`: the HMAC of the body in a header, for senders without a provider of their own."""

import base64
import hmac
from collections.abc import Mapping
from typing import Any

from rules.verify.setting import MAX_AFFIX_CHARS, TOLERANCE, Setting, affix, header_name, one_of
from rules.verify.signature import only_value, require_match, without_prefix
from rules.verify.signed_time import only_time, require_recent
from rules.verify.verifier import FieldError, SignedRequest, Unsigned, Verifier

DEFAULT_HEADER = "X-Webhook-Signature"

ALGORITHMS = ("sha256", "sha512", "sha1")
"""SHA-1 is weak as a hash, but not known to be so in an HMAC (RFC 6194), and old senders know nothing else."""

ENCODINGS = ("hex", "base64")

_TIME, _BODY = "{timestamp}", "{body}"


def _content(value: Any) -> str:
    good = isinstance(value, str) and len(value) <= MAX_AFFIX_CHARS and value.isascii()
    if good and value.count(_TIME) == value.count(_BODY) == 1:
        return ""
    return f"must be ASCII text of at most {MAX_AFFIX_CHARS} characters with {_TIME} and {_BODY} once each"


class GenericHmac(Verifier):
    """HMAC (RFC 2104) of the exact body, or with `timestamp_header` of the time and the body.

    Without a time a captured request can be sent again. The time alone is in the window of at most a day, so that
    a digit cannot move between it and the body, whatever stands between them.
    """

    auth_type = "hmac"
    title = "HMAC of the body"
    proof = "the signing secret, its text being the key"
    docs_url = "https://www.rfc-editor.org/rfc/rfc2104"
    settings = (
        Setting("header", "the header with the signature", header_name, default=DEFAULT_HEADER),
        Setting("algorithm", f"one of {', '.join(ALGORITHMS)}", one_of(ALGORITHMS), default="sha256"),
        Setting("encoding", f"one of {', '.join(ENCODINGS)}", one_of(ENCODINGS), default="hex"),
        Setting("prefix", "what stands before the signature, such as sha256=", affix, default=""),
        Setting(
            "timestamp_header", "the header with the signed time, in seconds; without it no time is signed", header_name
        ),
        Setting("signed_content", "what is signed together with a time", _content, default=f"{_TIME}.{_BODY}"),
        TOLERANCE,
    )
    signature_headers = (DEFAULT_HEADER,)

    def credential_headers(self, auth_config: Mapping[str, Any]) -> frozenset[str]:
        """The header with the signature."""
        return frozenset({str(self.setting(auth_config, "header")).lower()})

    def verify(self, request: SignedRequest) -> None:
        """Returns when a secret of the source makes the signature, and it is recent.

        Raises:
            VerificationError: signature_… or timestamp_….
        """
        config = request.auth_config
        name = str(self.setting(config, "header"))
        given = without_prefix(only_value(request.headers, name), self.setting(config, "prefix"), name)
        time_header = config.get("timestamp_header")
        time = only_time(request, time_header) if time_header else b""
        content = self._signed(config, time, request.body)
        expected = [self._encoded(config, secret, content) for secret in request.secrets]
        if self.setting(config, "encoding") == "hex":
            expected += [one.upper() for one in expected]  # .NET writes hex in capitals
        require_match([given], expected)
        if time_header:
            require_recent(time, request)

    def sign(self, request: Unsigned) -> list[tuple[str, str]]:
        """The signature by the first secret, and the time if one is to be signed."""
        config = request.auth_config
        time = str(int(request.now_s))
        signature = self._encoded(config, request.secrets[0], self._signed(config, time.encode(), request.body))
        headers = [(str(self.setting(config, "header")), str(self.setting(config, "prefix")) + signature.decode())]
        return headers + ([(config["timestamp_header"], time)] if "timestamp_header" in config else [])

    def _signed(self, config: Mapping[str, Any], time: bytes, body: bytes) -> bytes:
        if "timestamp_header" not in config:
            return body
        # The body last: it may say {timestamp} itself.
        start, _, end = str(self.setting(config, "signed_content")).encode().partition(_BODY.encode())
        return start.replace(_TIME.encode(), time) + body + end.replace(_TIME.encode(), time)

    def _encoded(self, config: Mapping[str, Any], secret: str, content: bytes) -> bytes:
        digest = hmac.digest(secret.encode(), content, str(self.setting(config, "algorithm")))
        return digest.hex().encode() if self.setting(config, "encoding") == "hex" else base64.b64encode(digest)

    def _config_errors(self, auth_config: Mapping[str, Any]) -> list[FieldError]:
        return [*super()._config_errors(auth_config), *_time_errors(auth_config)]


def _time_errors(auth_config: Mapping[str, Any]) -> list[FieldError]:
    if "timestamp_header" not in auth_config:
        # Whoever sets a window believes that a time is checked.
        idle = [name for name in ("signed_content", "tolerance_s") if name in auth_config]
        return [(f"auth_config.{name}", "has no meaning without timestamp_header") for name in idle]
    if str(auth_config["timestamp_header"]).lower() == str(auth_config.get("header", DEFAULT_HEADER)).lower():
        return [("auth_config.timestamp_header", "is the header with the signature")]
    return []
