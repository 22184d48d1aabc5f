"""Signatures of deliveries, checked with the public Standard Webhooks library."""

import base64
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from rules.sign import UnusableSecretError, signing_key, standard_headers

KEYS = st.binary(min_size=24, max_size=64)


def whsec(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


@given(KEYS, st.text())
def test_the_public_library_verifies_every_signature(key: bytes, text: str) -> None:
    body = json.dumps({"text": text}).encode()  # the library parses what it has verified
    headers = dict(standard_headers([whsec(key)], "evt_1", int(time.time()), body))
    assert Webhook(whsec(key)).verify(body, headers) == {"text": text}


@given(KEYS, KEYS)
def test_with_two_secrets_the_holder_of_either_can_verify(old: bytes, new: bytes) -> None:
    headers = dict(standard_headers([whsec(new), whsec(old)], "evt_1", int(time.time()), b"{}"))
    for key in (old, new):
        assert Webhook(whsec(key)).verify(b"{}", headers) == {}


def test_without_a_secret_there_is_no_signature() -> None:
    assert dict(standard_headers([], "evt_1", 1, b"")) == {"webhook-id": "evt_1", "webhook-timestamp": "1"}


def test_a_secret_without_the_prefix_is_its_own_utf8_bytes() -> None:
    assert signing_key("café") == "café".encode()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_%%%", whsec(b"x" * 23), whsec(b"x" * 65)])
def test_a_prefix_without_a_key_of_24_to_64_bytes_is_refused(secret: str) -> None:
    with pytest.raises(UnusableSecretError):
        signing_key(secret)
