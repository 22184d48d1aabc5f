"""What a key is: its form, its hash, its role and its end; and who can say who made a change."""

import asyncio
import base64
import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import Request

from rules.address_guard import AddressGuard
from runtime.actor import change_of, sealed_actor, told_actor
from runtime.api_key import fits, id_in, key_hash, new_key
from runtime.authorizer import Authorizer, Caller
from runtime.guesses import FAILURES_PER_MINUTE, Guesses
from runtime.keyring import Keyring
from runtime.known_keys import KnownKeys
from runtime.problem import ProblemError
from runtime.refresh import Refresher
from runtime.roles import NEEDED, needed_role
from runtime.tables import ConfigTables
from schemas.ids import RECORD_ID
from schemas.key import ROLES, KeySpec, includes
from schemas.stored import Record, masked
from schemas.streams import StreamNames

KEYRING = Keyring.parse("k1:" + base64.b64encode(os.urandom(32)).decode())
OTHER = Keyring.parse("k2:" + base64.b64encode(os.urandom(32)).decode())
IDS = st.from_regex(RECORD_ID, fullmatch=True)
CHANGES = st.tuples(
    st.sampled_from(["sources", "keys"]),
    st.binary(max_size=20) | st.none(),
    st.binary(max_size=50) | st.none(),
    st.none() | st.sampled_from(["-1", "7", "None"]),
)


def spec(key: str, **fields: Any) -> KeySpec:
    return KeySpec.model_validate({"id": "k", "name": "ci", "role": "viewer", "hash": key_hash(key)} | fields)


@given(IDS)
def test_a_key_names_its_id_and_fits_its_own_record_alone(key_id: str) -> None:
    key = new_key(key_id)
    assert id_in(key) == key_id
    assert fits(key, spec(key))
    assert not fits(new_key(key_id), spec(key))
    assert not fits(key_hash(key), spec(key))


@given(st.text())
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert id_in(text) is None
    assert id_in(f"hlk_{text}") is None


def test_a_key_has_256_random_bits_that_no_other_one_has() -> None:
    keys = {new_key("k") for _ in range(1_000)}
    assert len(keys) == 1_000
    assert all(re.fullmatch(r"hlk_k_[A-Za-z0-9]{43}", key) for key in keys)


def test_a_key_that_is_shown_gives_no_hash() -> None:
    key = new_key("k")
    assert key_hash(key) not in str(masked(Record(spec(key), 1, 1, "", "")))


def test_each_role_includes_those_before_it() -> None:
    assert [[includes(role, needed) for needed in ROLES] for role in ROLES] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_route_that_nobody_declared_needs_an_admin() -> None:
    assert needed_role("GET", "/api/v1/nothing") == "admin"
    assert needed_role("HEAD", "/api/v1/sources") == "admin"
    assert set(NEEDED.values()) == set(ROLES)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("role", "owner"),
        ("role", None),
        ("name", ""),
        ("name", "a\nb"),
        ("name", "x" * 101),
        ("hash", "a" * 63),
        ("hash", "A" * 64),
        ("hash", "a" * 64 + "\n"),
        ("expires_at", "tomorrow"),
        ("expires_at", "2027-01-02T03:04:05"),
        ("expires_at", 7),
        ("id", "a/b"),
        ("extra", 1),
    ],
)
def test_a_record_of_a_key_that_is_wrong_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        spec("k", **{field: value})


def test_a_key_ends_at_the_moment_that_it_names_in_whatever_zone() -> None:
    ending = spec("k", expires_at="2027-01-02T04:04:05+01:00")
    assert ending.expires_at == "2027-01-02T03:04:05.000Z"
    end_ms = 1_798_859_045_000
    assert not ending.has_expired(end_ms - 1)
    assert ending.has_expired(end_ms)
    assert not spec("k").has_expired(end_ms * 100)


@given(CHANGES)
def test_a_sealed_actor_is_told_for_its_own_change(change: Any) -> None:
    actor = Caller.of(spec("k")).actor
    header = sealed_actor(KEYRING, actor, change_of(*change)).decode()
    assert told_actor(KEYRING, {"hl-actor": header}, change_of(*change)) == "key:k ci"
    assert actor not in header


@given(CHANGES, CHANGES)
def test_no_sealed_actor_is_told_for_another_change(change: Any, other: Any) -> None:
    header = sealed_actor(KEYRING, "admin", change_of(*change)).decode()
    told = told_actor(KEYRING, {"hl-actor": header}, change_of(*other))
    assert (told == "admin") is (change == other)


@given(st.text(min_size=1) | st.sampled_from(["admin", "hooklog", "key:k ci", "hlenc:v1:k1:AAAA"]))
def test_whoever_has_no_encryption_key_is_shown_as_one_who_produced(claim: str) -> None:
    change = change_of("sources", b"s", b"{}", None)
    forged = sealed_actor(OTHER, "admin", change).decode()
    for header in (claim, forged, f"{forged}x"):
        assert told_actor(KEYRING, {"hl-actor": header}, change).startswith("produced:")
    assert told_actor(KEYRING, {}, change) == ""


def authorizer() -> Authorizer:
    """One that knows no key yet, because Kafka has not answered."""
    tables = ConfigTables("127.0.0.1:9", StreamNames("x."), KEYRING)
    guesses = Guesses(AddressGuard(FAILURES_PER_MINUTE))
    return Authorizer("the-admin-key", KnownKeys(tables, Refresher(tables)), guesses, lambda: 0)


async def status_of(header: str, address: str = "127.0.0.1", asked: Authorizer | None = None) -> int:
    scope = {
        "client": (address, 9),
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"authorization", header.encode("latin-1"))],
        "route_template": "/api/v1/keys",
    }
    try:
        await (asked or authorizer())(Request(scope))
    except ProblemError as problem:
        return problem.status
    return 200


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["", "Bearer ", "bearer hlk_", "Bearer hlk_a_"]))
def test_whatever_is_sent_as_a_key_is_answered_and_opens_nothing(text: str, before: str) -> None:
    assert asyncio.run(status_of(f"{before}{text}")) in {401, 503}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_key_of_the_environment_opens_before_anything_is_known(scheme: str) -> None:
    assert await status_of(f"{scheme} the-admin-key") == 200
    assert await status_of(f"{scheme} {new_key('k')}") == 503


async def test_an_address_that_keeps_sending_wrong_keys_is_turned_away_and_no_other() -> None:
    asked = authorizer()
    for _ in range(FAILURES_PER_MINUTE):
        assert await status_of("Bearer wrong", "203.0.113.7", asked) == 401
    assert await status_of("Bearer wrong", "203.0.113.7", asked) == 429
    assert await status_of("Bearer the-admin-key", "203.0.113.7", asked) == 429  # else the guess would be told right
    assert await status_of("Bearer the-admin-key", "203.0.113.8", asked) == 200
    for _ in range(FAILURES_PER_MINUTE + 1):
        assert await status_of("Bearer wrong", "127.0.0.1", asked) == 401


async def test_where_somebody_has_a_key_nobody_is_turned_away() -> None:
    asked = authorizer()
    assert await status_of("Bearer the-admin-key", "203.0.113.7", asked) == 200
    for _ in range(FAILURES_PER_MINUTE + 1):
        assert await status_of("Bearer wrong", "203.0.113.7", asked) == 401
    assert await status_of("Bearer the-admin-key", "203.0.113.7", asked) == 200


async def test_no_key_at_all_is_no_guess() -> None:
    asked = authorizer()
    for _ in range(FAILURES_PER_MINUTE + 1):
        assert await status_of("", "203.0.113.7", asked) == 401
