"""What a sealed secret is bound to: it opens in the place that it was sealed for, and nowhere else.

Who may write to the intake streams can read what is sealed there and in the tables, and could otherwise have it opened,
and sent, by putting it where it goes to them: a signing secret into `headers`, a header under another `target_url`,
or a source's key under an `auth_type` that sends it as it is.
"""

from typing import Any
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}
_SENT = ("headers", "tls")
"""What the endpoint is shown. Signatures show nothing of the secret that they are made with."""


def is_sent(field: str) -> bool:
    """Whether the secret in a field such as `headers.Authorization` is shown to whoever answers at `target_url`."""
    return field.partition(".")[0] in _SENT


def origin(url: object) -> str:
    """Scheme, host and port of a URL (RFC 6454, section 4); what is no URL is its own origin."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return f"{url!r:.100}"
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{port}"


def sealing_context(kind: str, document: dict[str, Any], field: str) -> str:
    """`kind/id/place`, such as `sources/shop/secret of github` or `subscriptions/a/headers/x-team for https://a.example:443`.

    Args:
        kind: of the record.
        document: the record; its `id`, and its `target_url` or `auth_type`, count.
        field: as `secrets_in` names it; the position among `secrets`, and capitals in names of headers, do not count.
    """
    place, _, name = field.partition(".")
    context = f"{kind}/{document.get('id')}/{place}"
    if "auth_type" in document:
        return f"{context} of {document['auth_type']}"
    if not is_sent(field):
        return context
    return f"{context}/{name.lower()} for {origin(document.get('target_url'))}"


def record_context(context: str) -> str:
    """`kind/id`: all that older releases bound a secret to."""
    return "/".join(context.split("/")[:2])
