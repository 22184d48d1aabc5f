"""Whatever is asked of the two APIs, well or badly, is answered as their OpenAPI documents say; never with a 500."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import content_type_conformance, status_code_conformance
from schemathesis.core.result import Ok

from tests.oracle.stack import Stack

EXAMPLES = 25
"""Of each operation and each mode: about a minute for either API."""

SEED = 20_261_127
CALL_S = 30.0
CHECKS = [status_code_conformance, content_type_conformance]
ENDLESS = "/api/v1/logs/tail"
"""It ends when it is told to, and is told to end after a second."""

Operation = schemathesis.APIOperation[Any, Any, Any, Any]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A gateway of its own: what is asked here makes subscriptions of everything."""
    running = Stack(tmp_path_factory.mktemp("asked"))
    try:
        asyncio.run(running.up())
        yield running
    finally:
        asyncio.run(running.down())


def asks(operation: Operation, mode: schemathesis.GenerationMode, admin_key: str) -> Callable[[], None]:
    """Asks one operation many times; raises what is wrong with the answers."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case[Any]) -> None:
        if operation.path == ENDLESS and str(case.query.get("max_s", 1)).isdecimal():
            case.query["max_s"] = min(1, int(str(case.query.get("max_s", 1))))
        answer = case.call(headers={"Authorization": f"Bearer {admin_key}"}, timeout=CALL_S)
        assert answer.status_code != 500, f"{case.method} {case.formatted_path}: {answer.text}"
        case.validate_response(answer, checks=CHECKS)

    return ask


def faults(port: int, admin_key: str) -> Iterator[str]:
    """What is wrong with any operation of a service."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found.err()
        operation = found.ok()
        for mode in MODES:
            try:
                asks(operation, mode, admin_key)()
            except Unsatisfiable:
                continue  # there is no wrong way to ask
            except Exception as error:  # noqa: BLE001 - all of them are told together
                yield f"{operation.label}, {mode.value}: {error}"


@pytest.mark.parametrize("service", ["ingest", "projections"])
def test_every_answer_of_an_api_is_one_that_its_document_tells_of(asked: Stack, service: str) -> None:
    wrong = list(faults(asked.ports[service], asked.admin_key))
    assert not wrong, "\n\n".join(wrong)
    asyncio.run(asked.ready("ingest", "processors", "projections", within_s=10))
