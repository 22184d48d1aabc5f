"""Every route of both services is declared: found without anything that runs, so that no new one is forgotten."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from ingest.http_app import Access, IngestApp, build_app
from ingest.parts import Parts
from projections.query.api import build_api
from rules.address_guard import AddressGuard
from runtime.authorizer import Authorizer
from runtime.guesses import Guesses
from runtime.health import Health
from runtime.keyring import Keyring
from runtime.known_keys import KnownKeys
from runtime.refresh import Refresher
from runtime.roles import NEEDED
from runtime.settings import Settings
from runtime.tables import ConfigTables
from schemas.streams import StreamNames
from tests.ingest_fixture import KEYS
from tests.roles_fixture import PUBLIC

NOWHERE = "127.0.0.1:9"


def ingest_document(folder: Path) -> dict[str, Any]:
    layer: Any = build_app(
        Parts(Settings(data_dir=folder, kafka_bootstrap=NOWHERE), Keyring.parse(KEYS)), Access("key", []), "1.2.3"
    )
    while not isinstance(layer, IngestApp):
        layer = layer._app
    return layer.openapi()


def query_document() -> dict[str, Any]:
    tables = ConfigTables(NOWHERE, StreamNames("x."), Keyring.parse(KEYS))
    authorizer = Authorizer("key", KnownKeys(tables, Refresher(tables)), Guesses(AddressGuard(1)), lambda: 0)
    unused: Any = SimpleNamespace(
        logs=None,
        streams=None,
        stats=None,
        sql=None,
        resender=None,
        replayer=None,
        choosers=None,
        egress=None,
        rebuilder=None,
        auditor=None,
        tail=SimpleNamespace(slots=None),
        now_ms=None,
        clocks_apart_ms=0,
    )
    return build_api(authorizer, Health("projections", {}, CollectorRegistry()), unused).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_every_route_is_declared_or_public_and_nothing_else_is(tmp_path: Path) -> None:
    told = [*operations(ingest_document(tmp_path)), *operations(query_document())]
    assert {(method, path) for method, path, _ in told} == set(NEEDED) | PUBLIC
    for method, path, operation in told:
        assert ({"401", "403", "429"} <= set(operation["responses"])) or (method, path) in PUBLIC, path
