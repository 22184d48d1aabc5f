"""TLS of the ports that Hooklog serves: its certificate, its key, whom it trusts, read again when the files change.

Every handshake takes the newest context there is, so what is open stays open, and a file that cannot be used changes
nothing but a line in the log.
"""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from prometheus_client import CollectorRegistry, Gauge

from runtime.settings import Settings

log = structlog.get_logger(__name__)

HANDSHAKE_S = 10.0
"""As long as a head may take: two round trips, and a client's own certificate."""

CLOSE_S = 5.0
"""How long a peer has to say goodbye; its connection is of no use meanwhile."""

_Stamp = tuple[tuple[int, int, int], ...]


class UnusableTlsFilesError(Exception):
    """The files that `HOOKLOG_TLS_*` name cannot be used; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What is served with, as PEM.

    Attributes:
        cert: our certificate, its chain after it.
        key: its private key, not encrypted.
        client_ca: authorities; when there are any, who connects must show a certificate of one of them.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> "TlsFiles | None":
        """The files that the settings name; `None` without TLS.

        Raises:
            UnusableTlsFilesError: some are named and others are missing.
        """
        if settings.tls_cert is not None and settings.tls_key is not None:
            return cls(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        if settings.tls_cert or settings.tls_key or settings.tls_client_ca:
            raise UnusableTlsFilesError("HOOKLOG_TLS_CERT and HOOKLOG_TLS_KEY belong together: set both")
        return None

    def context(self) -> ssl.SSLContext:
        """A server's context.

        Raises:
            UnusableTlsFilesError: a file cannot be read, or they do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325, section 3.1.1
        context.options |= ssl.OP_NO_RENEGOTIATION  # a client could have us do little else
        context.set_alpn_protocols(["http/1.1"])
        try:
            # A password, so that a key which wants one is an error and no question on a terminal.
            context.load_cert_chain(self.cert, self.key, password="")
        except OSError as error:  # ssl.SSLError is one
            reason = f"HOOKLOG_TLS_CERT={self.cert} with HOOKLOG_TLS_KEY={self.key}: {error}"
            raise UnusableTlsFilesError(reason) from error
        if self.client_ca is not None:
            self._require_clients(context, self.client_ca)
        return context

    def _require_clients(self, context: ssl.SSLContext, client_ca: Path) -> None:
        try:
            context.load_verify_locations(client_ca)
        except OSError as error:
            raise UnusableTlsFilesError(f"HOOKLOG_TLS_CLIENT_CA={client_ca}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
        context.options |= ssl.OP_NO_TICKET  # a ticket would let in whose certificate has ended since
        context.num_tickets = 0

    def ends(self) -> dt.datetime:
        """When our certificate is valid no more.

        Raises:
            UnusableTlsFilesError: it cannot be read.
        """
        try:
            return x509.load_pem_x509_certificates(self.cert.read_bytes())[0].not_valid_after_utc
        except (OSError, ValueError) as error:
            raise UnusableTlsFilesError(f"HOOKLOG_TLS_CERT={self.cert}: {error}") from error

    def stamp(self) -> _Stamp:
        """Changes when a file does, or a link to it; empty while one is not there."""
        try:
            found = [file.stat() for file in (self.cert, self.key, self.client_ca) if file is not None]
        except OSError:
            return ()
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)


class ServedTls:
    """What the connections of one server are made with.

    Args:
        files: as they are named; what they hold may change.
        registry: shows when the certificate ends.

    Attributes:
        context: for the listener, for good.

    Raises:
        UnusableTlsFilesError: they cannot be used.
    """

    def __init__(self, files: TlsFiles, registry: CollectorRegistry) -> None:
        self._files = files
        self._stamp: _Stamp = ()
        self._ends = Gauge(
            "hooklog_tls_certificate_expires_seconds",
            "When the certificate that is served ends, in seconds since the epoch",
            registry=registry,
        )
        self._stamp = files.stamp()
        self._newest = self._read()
        self.context = files.context()
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Takes what the files hold now, if that is something else and can be used."""
        stamp = self._files.stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._newest = self._read()
        except UnusableTlsFilesError as error:
            log.error("tls_files_unusable", error=str(error), served="what was read before")  # noqa: TRY400 - expected
        else:
            log.info("tls_files_read", cert=str(self._files.cert))

    def _read(self) -> ssl.SSLContext:
        context, ends = self._files.context(), self._files.ends()
        self._ends.set(ends.timestamp())
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _listener: ssl.SSLContext) -> None:
        # Called in every handshake, also where the client names no host.
        connection.context = self._newest


def served_tls(settings: Settings, registry: CollectorRegistry) -> ServedTls | None:
    """What the settings say to serve with; `None` is plain HTTP.

    Raises:
        UnusableTlsFilesError: the files cannot be used.
    """
    files = TlsFiles.of(settings)
    return ServedTls(files, registry) if files else None
