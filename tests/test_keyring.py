"""Secrets at rest: what was sealed opens for its own record with a key of the ring, and not otherwise."""

import base64
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from runtime.keyring import CannotOpenError, Keyring, UnknownKeyError, UnusableKeyringError, is_sealed, sealed_with
from tests.strategies import TEXT


def key_text(key_id: str) -> str:
    """A new key as an operator writes it."""
    return f"{key_id}:{base64.b64encode(os.urandom(32)).decode()}"


RING = Keyring.parse(key_text("a"))


@given(TEXT, TEXT)
def test_a_sealed_text_opens_for_its_own_record(text: str, context: str) -> None:
    sealed = RING.seal(text, context)
    assert is_sealed(sealed)
    assert RING.unseal(sealed, context) == text


@given(TEXT, TEXT, TEXT)
def test_a_sealed_text_does_not_open_for_another_record(text: str, context: str, other: str) -> None:
    if other == context:
        return
    with pytest.raises(CannotOpenError):
        RING.unseal(RING.seal(text, context), other)


def test_the_same_text_is_never_sealed_to_the_same_bytes() -> None:
    assert len({RING.seal("hush", "sources/a") for _ in range(100)}) == 100


@given(st.data())
def test_one_changed_character_is_noticed(data: st.DataObject) -> None:
    sealed = RING.seal("hush", "sources/a")
    index = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
    changed = sealed[:index] + other + sealed[index + 1 :]
    if _same_bytes(sealed, changed):
        return
    with pytest.raises(CannotOpenError):
        RING.unseal(changed, "sources/a")


def _same_bytes(one: str, other: str) -> bool:
    # The last character of base64 carries bits that mean nothing, so two texts can be the same bytes.
    prefix, _, encoded = one.rpartition(":")
    other_prefix, _, other_encoded = other.rpartition(":")
    try:
        return prefix == other_prefix and base64.b64decode(encoded) == base64.b64decode(other_encoded)
    except ValueError:
        return False


@given(TEXT)
def test_a_text_that_was_never_sealed_does_not_open(text: str) -> None:
    with pytest.raises(CannotOpenError):
        RING.unseal(text, "sources/a")


def test_a_new_first_key_seals_and_the_old_one_still_opens() -> None:
    old = key_text("old")
    sealed = Keyring.parse(old).seal("hush", "sources/a")
    rotated = Keyring.parse(f"{key_text('new')},{old}")
    assert rotated.unseal(sealed, "sources/a") == "hush"
    assert rotated.seal("hush", "sources/a").startswith("hlenc:v2:new:")


def test_a_text_sealed_with_a_key_that_is_gone_does_not_open() -> None:
    sealed = RING.seal("hush", "sources/a")
    with pytest.raises(CannotOpenError, match="not in the keyring"):
        Keyring.parse(key_text("b")).unseal(sealed, "sources/a")


def sealed_by_an_older_release(text: str, ring: str) -> str:
    """As it was done once, written down here: bound to the record alone."""
    key_id, _, key = ring.partition(":")
    nonce = os.urandom(12)
    encrypted = AESGCM(base64.b64decode(key)).encrypt(nonce, text.encode(), b"subscriptions/a")
    return f"hlenc:v1:{key_id}:{base64.b64encode(nonce + encrypted).decode()}"


def test_what_an_older_release_sealed_opens_in_a_table_for_its_record_and_is_refused_elsewhere() -> None:
    key = key_text("a")
    ring, old = Keyring.parse(key), sealed_by_an_older_release("hush", key)
    assert ring.opened_of_table(old, "subscriptions/a/headers/x for https://example.com:443") == "hush"
    with pytest.raises(CannotOpenError, match="another place or record"):
        ring.opened_of_table(old, "subscriptions/b/secret")
    for opens in (ring.opened, ring.unseal):
        with pytest.raises(CannotOpenError, match="older Hooklog"):
            opens(old, "subscriptions/a/secret")


def test_what_a_newer_release_sealed_is_known_as_such() -> None:
    with pytest.raises(UnknownKeyError, match="does not know"):
        RING.opened_of_table("hlenc:v3:a:AAAA", "sources/a/secret")


def test_a_sealed_text_tells_its_key_and_whether_it_was_sealed_as_it_is_now() -> None:
    key = key_text("a")
    assert sealed_with(Keyring.parse(key).seal("hush", "x")) == ("a", True)
    assert sealed_with(sealed_by_an_older_release("hush", key)) == ("a", False)
    assert sealed_with("hush") == ("", False)


@pytest.mark.parametrize("text", ["", " ,\n", "a", "a:", "a:AAAA", "a:not base64!", "a:é", ":" + "A" * 43 + "="])
def test_an_unusable_keyring_is_refused(text: str) -> None:
    with pytest.raises(UnusableKeyringError):
        Keyring.parse(text)


def test_two_keys_with_one_id_are_refused_and_one_that_stands_twice_is_not() -> None:
    key = key_text("a")
    assert list(Keyring.parse(f"{key},{key_text('b')}\n{key}").keys) == ["a", "b"]
    with pytest.raises(UnusableKeyringError, match="number 2 has the id of another"):
        Keyring.parse(f"{key},{key_text('a')}")


def test_a_refusal_of_a_keyring_never_shows_the_key() -> None:
    secret = base64.b64encode(b"x" * 31).decode()
    for text in (f"a:{secret}", secret, f"{secret}:a", f"{key_text('a')},{secret}"):
        with pytest.raises(UnusableKeyringError) as refusal:
            Keyring.parse(text)
        assert secret not in str(refusal.value)
