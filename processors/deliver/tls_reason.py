"""Why a TLS connection failed, in the word that an attempt is recorded with."""

import ssl

_WORDS = {
    9: "tls_certificate_not_yet_valid",
    10: "tls_certificate_expired",
    18: "tls_unknown_authority",
    19: "tls_unknown_authority",
    20: "tls_unknown_authority",
    21: "tls_unknown_authority",
    62: "tls_wrong_host",
    64: "tls_wrong_host",
}
"""By the code of a verification that failed: X509_V_ERR_… of OpenSSL's x509_vfy.h."""

_ALERTS = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED")
"""What an endpoint says that does not like our certificate, or that we have none (RFC 8446, section 6.2)."""


def word_of(error: ssl.SSLError) -> str:
    """The word; it begins with `tls_`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _WORDS.get(error.verify_code, "tls_certificate_invalid")
    reason = error.reason or ""
    if "ALERT" in reason and any(alert in reason for alert in _ALERTS):
        return "tls_client_certificate_refused"
    return "tls_handshake"
