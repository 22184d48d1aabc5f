"""What an API key looks like: `hlk_`, its id, and 256 random bits; only its hash is kept.

The hash is plain SHA-256. Slow hashes protect secrets that people choose; nobody can try 2^256 values, however fast
each trial is. Sources: NIST SP 800-63B, section 5.1.2.2 (look-up secrets of at least 112 bits of entropy need an
approved hash, and neither salt nor iterations); OWASP Password Storage Cheat Sheet (slow hashes, for passwords). A slow
one would also let whoever sends wrong keys burn our processor.
"""

import hashlib
import hmac
import re
import secrets
import string

from schemas.key import KeySpec

PREFIX = "hlk_"
"""So that people, and scanners of repositories, know what they have found."""

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARS = 43
"""62^43 is 2^256.03; letters and digits alone, so that a double click takes all of it."""

_FORM = re.compile(rf"{PREFIX}([A-Za-z0-9._-]{{1,64}})_[A-Za-z0-9]{{{_RANDOM_CHARS}}}")


def new_key(key_id: str) -> str:
    """A key that nobody has had before."""
    return f"{PREFIX}{key_id}_{''.join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARS))}"


def key_hash(key: str) -> str:
    """What is kept of a key, in hex."""
    return hashlib.sha256(key.encode()).hexdigest()


def id_in(text: str) -> str | None:
    """The id in a text that has the form of a key, else `None`."""
    found = _FORM.fullmatch(text)
    return found[1] if found else None


def fits(text: str, spec: KeySpec) -> bool:
    """Whether a text is the key, compared in constant time."""
    return hmac.compare_digest(key_hash(text), spec.hash)
