"""The read side holds no body that is larger than any that it asks for, whoever sends it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from runtime.bounded_bodies import MAX_BODY_BYTES
from tests.kafka_fixture import RunningKafka
from tests.projections_fixture import Projections

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def projections(session_kafka: RunningKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projections]:
    if session_kafka.pid is None:
        session_kafka.start()
    running = Projections(session_kafka, tmp_path_factory.mktemp("projections"))
    running.start()
    running.until_ready()
    yield running
    assert running.stop() == 0


def answered(projections: Projections, path: str, body: object) -> tuple[int, str]:
    url = f"http://127.0.0.1:{projections.settings.query_port}{path}"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})  # type: ignore[arg-type] # bytes or an iterable
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("path", ["/api/v1/sql", "/api/v1/replays"])
def test_a_body_that_is_too_large_is_refused_whether_its_length_was_told_or_not(
    projections: Projections, path: str
) -> None:
    piece = b" " * 65_536
    pieces = [piece] * (MAX_BODY_BYTES // len(piece) + 1)
    status, text = answered(projections, path, iter(pieces))  # in chunks
    assert (status, json.loads(text)["code"]) == (413, "too_large")
    assert answered(projections, path, b"{}")[0] == 401
