"""Encryption of secrets at rest: AES-256-GCM, each text bound to the place that it belongs to (`schemas/sealing.py`).

Source: NIST SP 800-38D; 96-bit random nonces, of which one key may use 2^32, far beyond any number of secrets.
"""

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.sealing import record_context

_SEALED = "hlenc:"
_MARK = "hlenc:v2:"
_MARK_OF_RECORD = "hlenc:v1:"
"""Bound to `kind/id` alone: any secret of a record opened in any place of it."""

_NONCE_BYTES = 12
_KEY_BYTES = 32


class UnusableKeyringError(ValueError):
    """The text of the keys cannot be used: mend `HOOKLOG_ENCRYPTION_KEYS` or the keyring file."""


class CannotOpenError(ValueError):
    """A sealed text was made by a key that is not here, for another place, or was changed."""


class UnknownKeyError(CannotOpenError):
    """A sealed text names a key, or a form, that is not known here: what sealed it has other keys, or is newer."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys by id; the first one seals, all of them open."""

    keys: dict[str, AESGCM]

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Reads `id:base64,id:base64`.

        Raises:
            UnusableKeyringError: there is no key, one is not 32 bytes of base64, or two have one id.
        """
        keys: dict[str, bytes] = {}
        for number, item in enumerate(filter(None, (part.strip() for part in text.replace("\n", ",").split(","))), 1):
            key_id, _, encoded = item.partition(":")
            key = _key(number, key_id, encoded)
            if keys.setdefault(key_id, key) != key:  # one of them would open nothing, and nobody would be told
                raise UnusableKeyringError(f"encryption key number {number} has the id of another one")
        if not keys:
            raise UnusableKeyringError("there is no encryption key")
        return cls({key_id: AESGCM(key) for key_id, key in keys.items()})

    @property
    def first(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.keys))

    def seal(self, text: str, context: str) -> str:
        """The text encrypted; it opens only with the same context, such as `sources/github/secret`."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self.keys[self.first].encrypt(nonce, text.encode(), context.encode())
        return f"{_MARK}{self.first}:{base64.b64encode(sealed).decode()}"

    def unseal(self, text: str, context: str) -> str:
        """The text that was sealed for this context.

        Raises:
            CannotOpenError: it is not sealed, or not with a key of this ring, or not for this context.
        """
        if text.startswith(_MARK_OF_RECORD):
            raise CannotOpenError("sealed by an older Hooklog, for no certain place: give it again")
        return self._unseal(text, context)

    def opened(self, text: str, context: str) -> str:
        """The text that was sealed for this context, or one that never was: people produce secrets in the clear.

        Raises:
            CannotOpenError: as `unseal`.
        """
        return self.unseal(text, context) if is_sealed(text) else text

    def opened_of_table(self, text: str, context: str) -> str:
        """As `opened`, and what was sealed for the record alone: only in what the config agent alone writes.

        Raises:
            CannotOpenError: as `unseal`.
        """
        if text.startswith(_MARK_OF_RECORD):
            return self._unseal(text, record_context(context))
        return self.opened(text, context)

    def _unseal(self, text: str, context: str) -> str:
        if not is_sealed(text):
            raise CannotOpenError("not sealed")
        if not text.startswith((_MARK, _MARK_OF_RECORD)):
            raise UnknownKeyError("sealed in a form that this Hooklog does not know")
        key_id, _, encoded = text.removeprefix(_MARK).removeprefix(_MARK_OF_RECORD).partition(":")
        key = self.keys.get(key_id)
        if key is None:
            raise UnknownKeyError("sealed with a key that is not in the keyring")
        try:
            sealed = base64.b64decode(encoded, validate=True)
            return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise CannotOpenError("sealed for another place or record, or changed") from error


def is_sealed(text: str) -> bool:
    """Whether a text has the form of a sealed one."""
    return text.startswith(_SEALED)


def sealed_with(text: str) -> tuple[str, bool]:
    """The id of the key that sealed a text, empty when none did; and whether it was done as it is done now."""
    if not is_sealed(text):
        return "", False
    return text.removeprefix(_SEALED).partition(":")[2].partition(":")[0], text.startswith(_MARK)


def _key(number: int, key_id: str, encoded: str) -> bytes:
    # Named by its number: what stands where the id should be may be the key itself.
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError as error:  # also: it is not ASCII
        raise UnusableKeyringError(f"encryption key number {number} is not base64") from error
    if len(key) != _KEY_BYTES or not key_id:
        raise UnusableKeyringError(f"encryption key number {number} must be an id, a colon and 32 bytes of base64")
    return key
