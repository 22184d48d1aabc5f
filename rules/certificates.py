"""Whether the certificates and the key of a subscription can be used, and which are out of date."""

import datetime as dt
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from schemas.tls import TlsSpec

MIN_RSA_BITS = 2_048
"""OpenSSL at security level 2, which Linux distributions set, refuses to load a smaller key."""

SOON = dt.timedelta(days=14)
"""Before a certificate ends it is warned of for this long: time for whoever signs it."""


class UnusableTlsError(ValueError):
    """The TLS settings of a subscription cannot be used.

    Args:
        field: such as `tls.ca_pem`.
        reason: a sentence for people; never a word of the key.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def check_tls(tls: TlsSpec, *, https: bool) -> None:
    """Holds the settings against each other.

    Args:
        tls: what the subscription says.
        https: whether its URL is one.

    Raises:
        UnusableTlsError: the first thing that is wrong.
    """
    if not https:
        raise UnusableTlsError("tls", "has no effect on http; the target_url must be https")
    if tls.ca_pem is not None:
        certificates_in(tls.ca_pem, "tls.ca_pem")
    if tls.client_cert_pem is None and tls.client_key_pem is None:
        return
    if tls.client_cert_pem is None:
        raise UnusableTlsError("tls.client_cert_pem", "is missing: a key is of no use without its certificate")
    leaf = certificates_in(tls.client_cert_pem, "tls.client_cert_pem")[0]
    if tls.client_key_pem is None:
        raise UnusableTlsError("tls.client_key_pem", "is missing: a certificate is of no use without its key")
    if _bytes_of(private_key_in(tls.client_key_pem).public_key()) != _bytes_of(_public_key_of(leaf)):
        raise UnusableTlsError("tls.client_key_pem", "is not the key of the first certificate in client_cert_pem")


def certificates_in(pem: str, field: str) -> list[x509.Certificate]:
    """The certificates in a PEM text, at least one.

    Raises:
        UnusableTlsError: there is none, one cannot be read, or there is a private key among them.
    """
    if "PRIVATE KEY" in pem:  # this field is shown to everybody who may read the record
        raise UnusableTlsError(field, "holds a private key, which belongs into client_key_pem alone")
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise UnusableTlsError(field, "is not a certificate in PEM, or several") from None


def private_key_in(pem: str) -> PrivateKeyTypes:
    """The private key in a PEM text.

    Raises:
        UnusableTlsError: it cannot be read, is encrypted, or too weak.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise UnusableTlsError("tls.client_key_pem", "is encrypted; it must be readable as it is") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableTlsError("tls.client_key_pem", "is not a private key in PEM") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise UnusableTlsError("tls.client_key_pem", f"has {key.key_size} bits; RSA needs {MIN_RSA_BITS}")
    return key


def certificate_warnings(tls: TlsSpec, now: dt.datetime) -> list[dict[str, str]]:
    """What is out of date or will be soon, as `{"field", "code", "message"}`: legal, but requests fail over it."""
    found = []
    for field, pem in (("tls.ca_pem", tls.ca_pem), ("tls.client_cert_pem", tls.client_cert_pem)):
        if pem is None:
            continue
        begins, ends = _valid(pem, first=field != "tls.ca_pem")
        if now < begins:
            code, message = "certificate_not_yet_valid", f"is valid from {begins:%Y-%m-%d %H:%M} UTC on"
        elif now > ends:
            code, message = "certificate_expired", f"expired at {ends:%Y-%m-%d %H:%M} UTC"
        elif now > ends - SOON:
            code, message = "certificate_expires_soon", f"expires at {ends:%Y-%m-%d %H:%M} UTC"
        else:
            continue
        found.append({"field": field, "code": code, "message": message})
    return found


@lru_cache(maxsize=4_096)  # lists show many records, and reading a certificate costs more than all the rest of one
def _valid(pem: str, *, first: bool) -> tuple[dt.datetime, dt.datetime]:
    """From when until when there is one to use: of our chain the first, which is ours; of authorities any."""
    certificates = x509.load_pem_x509_certificates(pem.encode())
    used = certificates[:1] if first else certificates
    return min(one.not_valid_before_utc for one in used), max(one.not_valid_after_utc for one in used)


def _public_key_of(certificate: x509.Certificate) -> PublicKeyTypes:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableTlsError("tls.client_cert_pem", "has a key of a kind that is not known") from None


def _bytes_of(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
