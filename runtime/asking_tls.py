"""TLS of those who ask Hooklog: the commands, which send the admin key, and the supervisor, which sends nothing."""

import ssl

from runtime.settings import Settings


class UnusableClientFilesError(Exception):
    """`HOOKLOG_CA`, `HOOKLOG_CLIENT_CERT` or `HOOKLOG_CLIENT_KEY` cannot be used; the message says why."""


def asking_context(settings: Settings) -> ssl.SSLContext:
    """For whoever sends something: the other side must prove who it is.

    Raises:
        UnusableClientFilesError: the files cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=settings.ca)
    except OSError as error:
        raise UnusableClientFilesError(f"HOOKLOG_CA={settings.ca}: {error}") from error
    return _showing(context, settings)


def probing_context(settings: Settings) -> ssl.SSLContext:
    """For `/ready` of a service on this machine: its certificate is for the name that others know it by.

    Raises:
        UnusableClientFilesError: the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return _showing(context, settings)


def _showing(context: ssl.SSLContext, settings: Settings) -> ssl.SSLContext:
    cert, key = settings.client_cert, settings.client_key
    if cert is None and key is None:
        return context
    if cert is None or key is None:
        raise UnusableClientFilesError("HOOKLOG_CLIENT_CERT and HOOKLOG_CLIENT_KEY belong together: set both")
    try:
        context.load_cert_chain(cert, key, password="")
    except OSError as error:
        reason = f"HOOKLOG_CLIENT_CERT={cert} with HOOKLOG_CLIENT_KEY={key}: {error}"
        raise UnusableClientFilesError(reason) from error
    return context
