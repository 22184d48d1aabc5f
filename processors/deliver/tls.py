"""TLS as a subscription asks for it."""

import asyncio
import secrets
import ssl
import tempfile
from collections import OrderedDict

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from processors.deliver.connection import NoAnswerError
from rules.certificates import certificates_in, private_key_in
from schemas.tls import TlsSpec

MAX_CONTEXTS = 256
"""One that trusts the system's authorities holds 0.7 MiB; the one that waited longest is made again, in 25 ms."""

SETTINGS = "tls_settings"
"""The subscription's own certificates or key cannot be used."""


class TlsContexts:
    """Contexts by the settings they are made of, so that what two subscriptions share in trust they share in memory.

    Args:
        default: of subscriptions that say nothing.
    """

    def __init__(self, default: ssl.SSLContext) -> None:
        self._default = default
        self._known: OrderedDict[TlsSpec, asyncio.Task[ssl.SSLContext]] = OrderedDict()

    async def of(self, settings: TlsSpec | None) -> ssl.SSLContext:
        """The context to connect with; a new one is made in a thread, once for all who wait for it.

        Raises:
            NoAnswerError: the settings cannot be used.
        """
        if settings is None or (settings.ca_pem is None and settings.client_cert_pem is None):
            return self._default
        making = self._known.get(settings)
        if making is None:
            making = self._known[settings] = asyncio.create_task(asyncio.to_thread(context_of, settings))
            making.add_done_callback(lambda done: self._forget(settings, done))
            while len(self._known) > MAX_CONTEXTS:
                self._known.popitem(last=False)
        self._known.move_to_end(settings)
        try:
            return await asyncio.shield(making)
        except (ValueError, OSError):  # an SSLError is the latter
            raise NoAnswerError(SETTINGS) from None

    def _forget(self, settings: TlsSpec, done: asyncio.Task[ssl.SSLContext]) -> None:
        if (done.cancelled() or done.exception()) and self._known.get(settings) is done:
            del self._known[settings]  # a disk that was full is not full for ever


def context_of(settings: TlsSpec) -> ssl.SSLContext:
    """A context that trusts and shows what the settings say.

    Raises:
        ValueError: a text in them cannot be read.
        ssl.SSLError: OpenSSL does not take what it says.
    """
    trusted = None
    if settings.ca_pem is not None:
        found = certificates_in(settings.ca_pem, "tls.ca_pem")
        trusted = b"".join(one.public_bytes(Encoding.DER) for one in found)
    context = ssl.create_default_context(cadata=trusted)
    if trusted is not None:
        # A team may name an intermediate authority or the endpoint's own certificate: it trusts no more than that.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if settings.client_cert_pem is not None and settings.client_key_pem is not None:
        _show(context, settings.client_cert_pem, settings.client_key_pem)
    return context


def _show(context: ssl.SSLContext, chain_pem: str, key_pem: str) -> None:
    # The ssl module takes keys from files alone, so the key is there for a moment: encrypted, for this moment only.
    password = secrets.token_bytes(24).hex().encode()
    key = private_key_in(key_pem).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    chain = b"".join(one.public_bytes(Encoding.PEM) for one in certificates_in(chain_pem, "tls.client_cert_pem"))
    with tempfile.NamedTemporaryFile() as file:
        file.write(key + chain)
        file.flush()
        context.load_cert_chain(file.name, password=password)
