"""What a subscription's certificates and key must be, and what is warned of."""

import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from rules.certificates import SOON, UnusableTlsError, certificate_warnings, check_tls
from schemas.tls import TlsSpec
from tests.certificates_fixture import DAY, issue

ROOT = issue("root", authority=True)
CLIENT = issue("client", ROOT)
WEAK = rsa.generate_private_key(65_537, 1_024).private_bytes(  # noqa: S505 - it is to be refused
    Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
)
LOCKED = CLIENT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
NOW = dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"ca_pem": "x"}, "tls.ca_pem"),
        ({"ca_pem": "☃"}, "tls.ca_pem"),
        ({"ca_pem": ROOT.pem.replace("A", "B", 20)}, "tls.ca_pem"),
        ({"ca_pem": ROOT.pem + ROOT.key_pem}, "tls.ca_pem"),
        ({"client_key_pem": CLIENT.key_pem}, "tls.client_cert_pem"),
        ({"client_cert_pem": CLIENT.pem}, "tls.client_key_pem"),
        ({"client_cert_pem": CLIENT.key_pem, "client_key_pem": CLIENT.key_pem}, "tls.client_cert_pem"),
        ({"client_cert_pem": CLIENT.pem, "client_key_pem": ROOT.key_pem}, "tls.client_key_pem"),
        ({"client_cert_pem": CLIENT.pem, "client_key_pem": CLIENT.pem}, "tls.client_key_pem"),
        ({"client_cert_pem": CLIENT.pem, "client_key_pem": LOCKED.decode()}, "tls.client_key_pem"),
        ({"client_cert_pem": CLIENT.pem, "client_key_pem": WEAK.decode()}, "tls.client_key_pem"),
        ({"client_cert_pem": ROOT.pem + CLIENT.pem, "client_key_pem": CLIENT.key_pem}, "tls.client_key_pem"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_the_field(settings: dict[str, str], field: str) -> None:
    with pytest.raises(UnusableTlsError) as refusal:
        check_tls(TlsSpec(**settings), https=True)
    assert refusal.value.field == field
    assert "PRIVATE" not in str(refusal.value)


def test_a_certificate_with_its_chain_and_key_is_taken() -> None:
    check_tls(TlsSpec(client_cert_pem=CLIENT.pem + ROOT.pem, client_key_pem=CLIENT.key_pem), https=True)


def test_settings_for_an_endpoint_without_tls_are_refused() -> None:
    with pytest.raises(UnusableTlsError, match="https"):
        check_tls(TlsSpec(ca_pem=ROOT.pem), https=False)


@given(st.text(max_size=200))
def test_whatever_is_given_is_taken_or_refused(text: str) -> None:
    for settings in (TlsSpec.model_construct(ca_pem=text), TlsSpec(client_cert_pem=CLIENT.pem).model_copy()):
        keyed = settings.model_copy(update={"client_key_pem": text})
        with pytest.raises(UnusableTlsError):
            check_tls(keyed, https=True)


@pytest.mark.parametrize(
    ("begins", "ends", "code"),
    [
        (-2 * DAY, -DAY, "certificate_expired"),
        (-2 * DAY, SOON - DAY, "certificate_expires_soon"),
        (DAY, 90 * DAY, "certificate_not_yet_valid"),
        (-DAY, SOON + DAY, ""),
    ],
)
def test_a_certificate_out_of_its_time_is_warned_of(begins: dt.timedelta, ends: dt.timedelta, code: str) -> None:
    pem = issue("x", begins=begins, ends=ends).pem
    found = certificate_warnings(TlsSpec(ca_pem=pem), NOW) + certificate_warnings(TlsSpec(client_cert_pem=pem), NOW)
    expected = [("tls.ca_pem", code), ("tls.client_cert_pem", code)] if code else []
    assert [(item["field"], item["code"]) for item in found] == expected


def test_one_of_several_authorities_may_have_expired() -> None:
    old = issue("old", begins=-2 * DAY, ends=-DAY).pem
    assert certificate_warnings(TlsSpec(ca_pem=old + ROOT.pem), NOW) == []
