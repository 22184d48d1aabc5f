"""What a subscription says about TLS: whom to trust and who we are. That certificates are checked is not for choice."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_PEM_CHARS = 16_384
"""About ten certificates: a chain has three, an authority that is being replaced two."""

MAX_KEY_CHARS = 8_192
"""A key of RSA with 8,192 bits takes 6,400."""

Pem = Annotated[str, Field(min_length=1, max_length=MAX_PEM_CHARS)]


class TlsSpec(BaseModel):
    """TLS to one subscription's endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    ca_pem: Pem | None = None
    """Certificates, PEM: only what one of them signed is trusted; left out, what the system trusts."""
    client_cert_pem: Pem | None = None
    """Our certificate, PEM, its chain after it: for an endpoint that asks who calls."""
    client_key_pem: Annotated[str, Field(min_length=1, max_length=MAX_KEY_CHARS)] | None = None
    """Its private key, PEM, not encrypted: a secret."""
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$")] | None = None
    """The name that is asked for (SNI) and that the certificate must be for; left out, the URL's host."""
