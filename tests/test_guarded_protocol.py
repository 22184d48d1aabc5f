"""What the server does by itself with bytes on a real socket: refused, closed or cut off, and never two requests."""

import pytest

from ingest import guarded_protocol
from ingest.guarded_protocol import MAX_PIPELINED
from ingest.server import SPARE_CONNECTIONS
from rules.request_head import MAX_HEAD_BYTES, MAX_HEADER_LINES
from tests.ingest_fixture import wait_until
from tests.wire_fixture import Wire, received, serving, statuses

HEAD = b"POST /first HTTP/1.1\r\nhost: localhost\r\n"
SECOND = b"GET /second HTTP/1.1\r\nhost: localhost\r\n\r\n"
LAST = b"GET /%s HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
BODY = b"content-length: 2\r\n\r\nhi"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
UPGRADE = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQ\r\n"


@pytest.fixture(scope="module")
def wire() -> object:
    with serving() as running:
        yield running


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"x: y\r\n" * MAX_HEADER_LINES + BODY, 431),
        (HEAD + b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n" + BODY, 431),
        (b"POST /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: localhost\r\n" + BODY, 431),
        (HEAD + b"host: other\r\n" + BODY, 400),
        (b"POST /first HTTP/1.1\r\n" + BODY, 400),
        (b"POST /first HTTP/2.0\r\nhost: localhost\r\n" + BODY, 505),
        (HEAD + b"content-length: 2\r\n" + BODY, 400),
        (HEAD + b"content-length: 3\r\n" + BODY, 400),
        (HEAD + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n" + SECOND, 400),
        (HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND, 400),
        (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SECOND, 501),
        (HEAD + b"transfer-encoding: identity\r\n\r\n0\r\n\r\n" + SECOND, 501),
        (HEAD.replace(b"1.1", b"1.0") + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND, 501),
        (HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SECOND, 400),
        (HEAD + b"x: a\r\n b\r\n" + BODY, 400),
        (HEAD + b"x: a\nz: b\r\n" + BODY, 400),
        (HEAD + b"x: a\x00b\r\n" + BODY, 400),
        (HEAD + b"x : a\r\n" + BODY, 400),
        (CHUNKED + b"2\nhi\n0\n\n" + SECOND, 400),
        (CHUNKED + b"2\r\nhi0\r\n\r\n" + SECOND, 400),
        (CHUNKED + b"10000000000000002\r\nhi\r\n0\r\n\r\n" + SECOND, 400),
        (CHUNKED + b"2;" + b"x" * 200_000 + b"\r\nhi\r\n0\r\n\r\n", 400),
        (CHUNKED + b"2\r\nhi\r\n0\r\nx: " + b"y" * 200_000 + b"\r\n\r\n", 400),
        (HEAD + UPGRADE + b"content-length: 3\r\n" + BODY + SECOND, 400),
        (HEAD + UPGRADE + b"transfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n" + SECOND, 400),
        (HEAD + UPGRADE + b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n" + BODY, 431),
        (b"POST http:// HTTP/1.1\r\nhost: localhost\r\n" + BODY + SECOND, 400),
        (b"POST http://[::1/x HTTP/1.1\r\nhost: localhost\r\n" + BODY + SECOND, 400),
        (b"CONNECT localhost:80 HTTP/1.1\r\nhost: localhost\r\n\r\n" + SECOND, 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50), 400),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_is_no_request(
    wire: Wire, request_bytes: bytes, status: int
) -> None:
    wire.requests.clear()
    answer = wire.exchange(request_bytes)
    assert statuses(answer) == [status]
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer
    assert wire.requests == []


OFFERS = {
    "length": (UPGRADE + b"content-length: %d\r\n\r\n" % len(SECOND) + SECOND, SECOND),
    "chunks": (UPGRADE + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi"),
    "no body": (UPGRADE + b"\r\n", b""),
    "websocket": (b"connection: keep-alive, upgrade\r\nupgrade: websocket\r\n" + BODY, b"hi"),
    "long": (UPGRADE + b"content-length: 300000\r\n\r\n" + b"z" * 300_000, b"z" * 300_000),
}


@pytest.mark.parametrize("packet_bytes", [1, 7, 100, 1_000_000])
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offered_upgrade_is_ignored_and_the_body_is_what_was_sent(wire: Wire, offer: str, packet_bytes: int) -> None:
    wire.requests.clear()
    rest, body = OFFERS[offer]
    request = (HEAD + rest) * 2 + LAST % b"end"
    packets = [request[start : start + packet_bytes] for start in range(0, min(len(request), 2_000), packet_bytes)]
    answer = wire.exchange(*packets, request[len(packets) * packet_bytes :])
    assert statuses(answer) == [200, 200, 200]
    assert [(path, got) for path, got, _ in wire.requests] == [("/first", body), ("/first", body), ("/end", b"")]
    assert not {b"upgrade", b"http2-settings"} & {name for _, _, headers in wire.requests for name in headers}


def test_as_much_as_is_allowed_is_taken(wire: Wire) -> None:
    wire.requests.clear()
    lines = HEAD + b"".join(b"x-%d: y\r\n" % number for number in range(MAX_HEADER_LINES - 3))
    with wire.connect() as sender:
        sender.sendall(lines + b"connection: close\r\n" + BODY)
        assert statuses(received(sender)) == [200]
    assert wire.requests[0][1] == b"hi"


def test_a_body_in_chunks_of_one_byte_is_taken(wire: Wire) -> None:
    wire.requests.clear()
    with wire.connect() as sender:
        sender.sendall(CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        sender.sendall(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
        assert statuses(received(sender)) == [200]
    assert wire.requests[0][1] == b"x" * 100_000


def test_trailers_are_no_headers(wire: Wire) -> None:
    wire.requests.clear()
    chunks = b"2\r\nhi\r\n0\r\nx-forwarded-for: 192.0.2.1\r\nhost: other\r\n\r\n"
    with wire.connect() as sender:
        sender.sendall(CHUNKED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n") + chunks)
        assert statuses(received(sender)) == [200]
    path, body, headers = wire.requests[0]
    assert (path, body, headers[b"host"]) == ("/first", b"hi", b"localhost")
    assert b"x-forwarded-for" not in headers


def test_a_long_body_and_the_beginning_of_the_next_head_in_one_packet_are_both_taken(wire: Wire) -> None:
    wire.requests.clear()
    first = HEAD + b"content-length: 200000\r\n\r\n" + bytes(200_000)
    with wire.connect() as sender:
        sender.sendall(first + SECOND[:20])
        sender.sendall((LAST % b"second")[20:])
        assert statuses(received(sender)) == [200, 200]
    assert [request[0] for request in wire.requests] == ["/first", "/second"]


def test_what_was_asked_before_a_bad_request_is_answered_and_then_it_closes(wire: Wire) -> None:
    wire.requests.clear()
    with wire.connect() as sender:
        sender.sendall(SECOND + HEAD + b"content-length: x\r\n\r\n" + SECOND)
        assert statuses(received(sender)) == [200]
    assert [request[0] for request in wire.requests] == ["/second"]


def test_a_target_that_cannot_be_read_takes_no_answer_away_from_the_request_before_it(wire: Wire) -> None:
    with wire.connect() as sender:
        sender.sendall(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        wait_until(lambda: wire.requests and wire.requests[-1][0] == "/slow")
        sender.sendall(b"POST http:// HTTP/1.1\r\nhost: localhost\r\n" + BODY)
        wire.released = True
        assert statuses(received(sender)) == [200]
    wire.released = False


def test_who_was_answered_before_the_body_was_sent_is_idle_when_it_has_sent_it(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.server.KEEP_ALIVE_S", 0.5)
    with wire.connect() as sender:
        sender.sendall(b"GET /early HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n")
        assert statuses(sender.recv(65_536)) == [200]
        sender.sendall(b"x")
        assert received(sender) == b""  # closed; a socket that stays open runs into its timeout


def test_an_answer_instead_of_100_continue_ends_the_connection(wire: Wire) -> None:
    with wire.connect() as sender:
        sender.sendall(b"PUT /early HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 60\r\n\r\n")
        answer = received(sender)
    assert statuses(answer) == [200]
    assert b"connection: close" in answer.lower()


def test_no_more_requests_are_taken_from_one_packet_than_may_wait(wire: Wire) -> None:
    wire.requests.clear()
    with wire.connect() as sender:
        sender.sendall(SECOND * 1_000)
        assert set(statuses(received(sender))) == {200}
    assert 1 <= len(wire.requests) <= MAX_PIPELINED + 1


def test_a_client_that_reads_no_answer_is_cut_off(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_protocol, "UNREAD_DEADLINE_S", 1.0)
    before = wire.turned_away("unread")
    with wire.connect() as deaf, wire.connect() as closing:
        deaf.sendall(SECOND.replace(b"second", b"large"))
        closing.sendall(LAST % b"large")
        wait_until(lambda: wire.turned_away("unread") == before + 2)
        wait_until(lambda: not wire.server.server_state.connections)
        for sender in (deaf, closing):
            assert len(received(sender)) < 8_388_608  # what has come; the rest is gone, in the kernel too


def test_beyond_the_connections_requests_are_told_when_to_come_and_probes_are_answered() -> None:
    with serving(max_connections=3) as wire:
        idle = [wire.connect() for _ in range(3)]
        for sender in idle:
            sender.sendall(b"GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n")
        wait_until(lambda: len(wire.requests) == 3)
        late = wire.exchange(HEAD + BODY)
        assert statuses(late) == [503]
        assert b"retry-after: 5\r\n" in late
        assert b'"code":"overloaded"' in late
        for probe in (b"health", b"ready", b"metrics"):
            assert statuses(wire.exchange(LAST % probe)) == [200]
        wire.released = True
        for sender in idle[1:]:
            sender.close()
        wait_until(lambda: statuses(wire.exchange(LAST % b"first")) == [200])
        idle[0].close()


def test_when_many_are_connected_those_that_do_nothing_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.server.CROWDED_KEEP_ALIVE_S", 1)
    with serving(max_connections=4) as wire:
        kept = [wire.connect() for _ in range(4)]
        working, *idle = kept
        working.sendall(SECOND + LAST % b"slow")
        for sender in idle:
            sender.sendall(SECOND)
        for sender in idle:
            assert statuses(received(sender)) == [200]  # closed, long before the usual time
            sender.close()
        assert len(wire.server.server_state.connections) == 1
        wire.released = True
        assert statuses(received(working)) == [200, 200]
        working.close()


def test_connections_beyond_all_bounds_are_closed_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.server.SPARE_CONNECTIONS", 2)
    assert SPARE_CONNECTIONS > 2
    with serving(max_connections=1) as wire:
        silent = [wire.connect() for _ in range(10)]
        wait_until(lambda: wire.turned_away("full") == 7)
        assert len(wire.server.server_state.connections) <= 3
        for sender in silent:
            sender.close()
