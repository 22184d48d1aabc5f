"""Every setting of every process, read from `HOOKLOG_*` variables once, in each composition root."""

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.networks import Network, parse_network

MAX_PORT = 65535

_WIDEST_PROXIES = {4: 8, 6: 7}
"""Lengths of the largest private networks, 10.0.0.0/8 and fc00::/7: nobody's proxies fill more."""

CLOCKS_APART_MS = 2_000
"""How far the clocks of a cluster's brokers may lie apart: `hooklog doctor` allows this machine as much."""


class Settings(BaseSettings):
    """What an operator can set; the defaults run a laptop.

    Raises:
        pydantic.ValidationError: a variable has a value that cannot be used; the error names it.
    """

    model_config = SettingsConfigDict(env_prefix="HOOKLOG_", env_ignore_empty=True)

    data_dir: Path = Path(".hooklog")
    host: str = "127.0.0.1"
    ingest_port: int = Field(default=8000, ge=1, le=MAX_PORT)
    query_port: int = Field(default=8080, ge=1, le=MAX_PORT)
    processors_port: int = Field(default=8081, ge=1, le=MAX_PORT)
    sql_port: int = Field(default=8123, ge=0, le=MAX_PORT)
    """ClickHouse's HTTP interface of the embedded engine, read-only; 0 is none. A server has its own."""
    sql_host: str = "127.0.0.1"
    """Where that port listens: whoever opens the others to a network has not opened the database."""
    kafka_port: int = Field(default=9092, ge=1, le=MAX_PORT)

    kafka_bootstrap: str = ""
    """`host:port,host:port` of a cluster; empty means the embedded broker on loopback."""
    kafka_prefix: str = Field(default="hooklog.", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    partitions: int = Field(default=8, ge=1, le=1024)
    replication_factor: int = Field(default=1, ge=1, le=9)
    session_timeout_s: float = Field(default=30.0, ge=6, le=300)
    """Kafka refuses group sessions below 6 s; below 30 s a busy laptop rebalances for nothing."""

    instance_id: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,64}$")
    """A name of this process that no other one of its kind has, kept over restarts: Kafka then gives a process that
    was killed its partitions back at once, where it would wait for the end of the session (KIP-345)."""

    clickhouse_url: str = ""
    """`http://user:password@host:8123/database`; empty means the embedded engine."""

    clickhouse_reader_url: str = ""
    """The same as a user who can only read, for all that the read side asks; empty is the user above, read-only by
    request. `deploy/clickhouse_users.sql` makes one."""

    audit_every_s: float = Field(default=300.0, ge=0, le=86_400)
    """How long projections wait from one audit of the last day to the next, seconds; 0 is never."""
    retention_days: int = Field(default=90, ge=2, le=3_650)
    """How long ClickHouse keeps events, dispatches, deliveries and attempts: at least this, and up to a week more."""
    retention_rejections_days: int = Field(default=30, ge=1, le=3_650)
    """As above, refused requests: whoever attacks fills this table."""
    retention_operations_days: int = Field(default=365, ge=1, le=3_650)
    """As above, what happened to Hooklog itself."""
    retention_errors_days: int = Field(default=90, ge=1, le=3_650)
    """As above, records that became no row."""
    retention_stats_days: int = Field(default=730, ge=2, le=36_500)
    """As above, hourly figures, which take a hundredth of the attempts' room."""

    ingest_url: str = ""
    """Where the commands find ingest, such as `https://hooks.example.com`; empty is this host and port."""
    query_url: str = ""
    """As above, the query API."""

    tls_cert: Path | None = None
    """Our certificate and its chain, PEM: with it and its key, ingest and the query API speak TLS 1.2 or 1.3 alone."""
    tls_key: Path | None = None
    """Its private key, PEM, not encrypted."""
    tls_client_ca: Path | None = None
    """Authorities, PEM: whoever connects to ingest or the query API must show a certificate of one of them."""

    ca: Path | None = None
    """Authorities, PEM, that the commands trust when they ask over TLS; empty are the system's."""
    client_cert: Path | None = None
    """What the commands and the supervisor show of themselves over TLS: a certificate, PEM."""
    client_key: Path | None = None
    """Its private key, PEM, not encrypted."""

    admin_key: str = ""
    """Opens everything, and is nobody's in particular; API keys are made with it."""
    api_key: str = ""
    """What the commands send instead of the admin key; the services do not look at it."""
    encryption_keys: str = ""
    """`id:base64,id:base64`, 32-byte AES keys; the first one encrypts, all of them decrypt."""
    allowed_hosts: str = ""
    """Extra host names that requests may name, comma separated; loopback names are always allowed."""
    trusted_proxies: str = ""
    """CIDRs, comma separated, of proxies whose `X-Forwarded-For` says the client's address; nobody's by default."""
    ingest_failures_per_minute: int = Field(default=60, ge=0, le=100_000)
    """Refused requests (403, 404) of one address, over a long time and at once, before it gets 429 unread; 0 is no
    limit. A sender whose secret was mistyped is seen whole in its first minute, and a guess a second is none."""
    egress_allow: str = ""
    """CIDRs, comma separated, that deliveries may reach although they are private."""
    egress_dns: str = Field(default="", pattern=r"^[0-9A-Fa-f.:, \[\]]*$")
    """Name servers for deliveries, `address:port` comma separated; empty are the system's."""
    max_body_bytes: int = Field(default=1_048_576, ge=1, le=1_900_000)
    """1 MiB covers every provider's webhooks; a record of the events stream holds at most 2 MiB."""
    retry_scale: float = Field(default=1.0, gt=0, le=1.0)
    """Multiplies every tier and retry delay; only for demonstrations and tests."""
    log_level: str = "info"

    @field_validator("retention_stats_days")
    @classmethod
    def _outlives_attempts(cls, days: int, info: ValidationInfo) -> int:
        if days < info.data.get("retention_days", 0):
            raise ValueError("the hourly figures must be kept at least as long as the attempts (retention_days)")
        return days

    @property
    def bootstrap(self) -> str:
        """The Kafka bootstrap servers, `host:port` comma separated."""
        return self.kafka_bootstrap or f"127.0.0.1:{self.kafka_port}"

    @property
    def embedded(self) -> bool:
        """Whether this process belongs to a stack on one machine with an embedded broker."""
        return not self.kafka_bootstrap

    @property
    def serves_sql(self) -> bool:
        """Whether projections speak ClickHouse's HTTP interface themselves: a server in its place does."""
        return not self.clickhouse_url and self.sql_port > 0

    @property
    def clocks_apart_ms(self) -> int:
        """How far two times that Kafka gave may be in the wrong order; one broker has one clock."""
        return 0 if self.embedded else CLOCKS_APART_MS

    @property
    def allowed_host_names(self) -> list[str]:
        """Extra names a `Host` header may carry."""
        return _items(self.allowed_hosts)

    @property
    def trusted_networks(self) -> list[Network]:
        """Networks of proxies that may say whom they talk to."""
        return [_proxies(cidr) for cidr in _items(self.trusted_proxies)]

    @field_validator("trusted_proxies")
    @classmethod
    def _exact_proxies(cls, value: str) -> str:
        for cidr in _items(value):
            _proxies(cidr)
        return value

    @property
    def egress_dns_servers(self) -> list[str]:
        """Name servers that deliveries ask instead of the system's."""
        return _items(self.egress_dns)

    @property
    def egress_networks(self) -> list[str]:
        """Networks that deliveries may reach although they are private, as CIDRs."""
        networks = _items(self.egress_allow)
        if self.embedded and self.host in {"127.0.0.1", "localhost", "::1"}:
            networks += ["127.0.0.0/8", "::1/128"]  # a laptop delivers to itself
        return networks


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _proxies(cidr: str) -> Network:
    everybody = f"{cidr} would let everybody who connects say who they are; name your proxies, such as 10.0.0.7"
    if cidr == "*":
        raise ValueError(everybody)
    try:
        network = parse_network(cidr)
    except ValueError as error:
        raise ValueError(f"{cidr} {error}") from None
    if network.prefixlen < _WIDEST_PROXIES[network.version]:
        raise ValueError(everybody)
    return network
