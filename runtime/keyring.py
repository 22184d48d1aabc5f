"""Encryption of secrets at rest: AES-256-GCM, each text bound to the record that it belongs to.

Source: NIST SP 800-38D; 96-bit random nonces, of which one key may use 2^32, far beyond any number of secrets.
"""

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MARK = "hlenc:v1:"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class UnusableKeyringError(ValueError):
    """The text of the keys cannot be used: mend `HOOKLOG_ENCRYPTION_KEYS` or the keyring file."""


class CannotOpenError(ValueError):
    """A sealed text was made by a key that is not here, for another record, or was changed."""


class UnknownKeyError(CannotOpenError):
    """A sealed text names a key that is not here: this process has other keys than the one that sealed it."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by id; the first one seals, all of them open."""

    keys: dict[str, AESGCM]

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Reads `id:base64,id:base64`.

        Raises:
            UnusableKeyringError: there is no key, or one is not 32 bytes of base64.
        """
        keys: dict[str, AESGCM] = {}
        for number, item in enumerate(filter(None, (part.strip() for part in text.replace("\n", ",").split(","))), 1):
            key_id, _, encoded = item.partition(":")
            keys[key_id] = AESGCM(_key(number, key_id, encoded))
        if not keys:
            raise UnusableKeyringError("there is no encryption key")
        return cls(keys)

    def seal(self, text: str, context: str) -> str:
        """The text encrypted; it opens only with the same context, such as `sources/github`."""
        key_id, key = next(iter(self.keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + key.encrypt(nonce, text.encode(), context.encode())
        return f"{_MARK}{key_id}:{base64.b64encode(sealed).decode()}"

    def unseal(self, text: str, context: str) -> str:
        """The text that was sealed for this context.

        Raises:
            CannotOpenError: it is not sealed, or not with a key of this ring, or not for this context.
        """
        key_id, _, encoded = text.removeprefix(_MARK).partition(":")
        key = self.keys.get(key_id)
        if not is_sealed(text):
            raise CannotOpenError("not sealed")
        if key is None:
            raise UnknownKeyError("sealed with a key that is not in the keyring")
        try:
            sealed = base64.b64decode(encoded, validate=True)
            return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise CannotOpenError("sealed for another record, or changed") from error

    def opened(self, text: str, context: str) -> str:
        """The text that was sealed for this context, or one that never was: people produce secrets in the clear.

        Raises:
            CannotOpenError: as `unseal`.
        """
        return self.unseal(text, context) if is_sealed(text) else text


def is_sealed(text: str) -> bool:
    """Whether a text has the form of a sealed one."""
    return text.startswith(_MARK)


def _key(number: int, key_id: str, encoded: str) -> bytes:
    # Named by its number: what stands where the id should be may be the key itself.
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError as error:  # also: it is not ASCII
        raise UnusableKeyringError(f"encryption key number {number} is not base64") from error
    if len(key) != _KEY_BYTES or not key_id:
        raise UnusableKeyringError(f"encryption key number {number} must be an id, a colon and 32 bytes of base64")
    return key
