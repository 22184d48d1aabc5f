"""Requests that are no requests, or two: what may come in at an open port. Each is bytes, and what may come of them."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

PATH = b"/api/v1/ingest/t"
HOST = b"host: localhost\r\n"
BODY = b'{"attack":true}'
SMUGGLED = b"POST /api/v1/ingest/t HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8\r\n\r\nsmuggled"


BAD_TARGETS = (
    b"*",
    b"t",
    b"",
    b"//api/v1/ingest/t",
    b"/api/v1/ingest//t",
    b"/api/v1/ingest/t/",
    b"/api/v1/ingest/../ingest/t",
    b"/api/v1/ingest/.",
    b"/api/v1/ingest/..",
    b"/api/v1/ingest/%2e%2e",
    b"/api/v1/ingest/..%2fingest%2ft",
    b"/api/v1/ingest/t%00",
    b"/api/v1/ingest/t%0a",
    b"/api/v1/ingest/t%0d%0ax:y",
    b"/api/v1/ingest/t%20",
    b"/api/v1/ingest/t%2f",
    b"/api/v1/ingest/%",
    b"/api/v1/ingest/%zz",
    b"/api/v1/ingest/%c1%b4",
    b"/api/v1/ingest/%ef%bd%94",
    b"/api/v1/ingest/%ff",
    b"/api/v1/ingest/t;v=1",
    b"/api/v1/ingest/\xef\xbd\x94",
    b"/API/v1/ingest/t",
    b"/api/v1/ingest/hooklog.operations",
    b"localhost:80",
    b"http://",
    b"http://elsewhere.example",
    b"/api/v1/ingest/" + b"%74" * 3_000,
    b"/api/webhooks/..",
    b"/api/webhooks/%00",
)


@dataclass(frozen=True)
class Attack:
    """What one connection sends.

    Attributes:
        may_store: bodies of events that may come of it: some of these requests are valid, if odd.
        answers: how many are waited for, unless it is closed before.
    """

    name: str
    content: bytes
    may_store: frozenset[bytes] = frozenset()
    answers: int = 1


def request(
    head: bytes = b"", body: bytes = BODY, *, line: bytes = b"POST " + PATH + b" HTTP/1.1", sized: bool = True
) -> bytes:
    """A request with some lines more or another first one."""
    length = b"content-length: %d\r\n" % len(body) if sized else b""
    return line + b"\r\n" + HOST + length + head + b"\r\n" + body


def chunked(content: bytes, head: bytes = b"") -> bytes:
    """A request with a body in chunks, whatever they are."""
    return request(b"transfer-encoding: chunked\r\n" + head, content, sized=False)


def truncated() -> Iterator[Attack]:
    """A valid request, cut off at every position; the rest never comes."""
    whole = request(b"content-type: application/json\r\n")
    for length in range(len(whole)):
        yield Attack(f"first {length} bytes", whole[:length])


def control_characters() -> Iterator[Attack]:
    """One byte that is not allowed there, in every place."""
    for byte in (b"\x00", b"\x01", b"\x0b", b"\x1b", b"\x7f", b"\r", b"\n", b"\xff", b" "):
        odd = byte + b"x"
        yield Attack(f"{byte!r} in the method", request(line=b"PO" + byte + b"ST " + PATH + b" HTTP/1.1"))
        yield Attack(f"{byte!r} in the topic", request(line=b"POST " + PATH + odd + b" HTTP/1.1"))
        yield Attack(f"{byte!r} in the version", request(line=b"POST " + PATH + b" HTTP/1" + byte + b".1"))
        yield Attack(f"{byte!r} in a header's name", request(b"x" + odd + b": v\r\n"))
        yield Attack(f"{byte!r} in the length", request(b"content-length: 1" + byte + b"5\r\n", sized=False))
        yield Attack(f"{byte!r} in the host", request().replace(b"localhost", b"local" + byte + b"host"))
    for byte in (b"\x00", b"\x01", b"\x0b", b"\x1b", b"\x7f", b"\r", b"\n"):
        yield Attack(f"{byte!r} in a header's value", request(b"x: a" + byte + b"b\r\n"))


def smuggling() -> Iterator[Attack]:
    """One request for us and another for a proxy before us: nothing that hides in them may be taken for a request."""
    hidden = b"0\r\n\r\n" + SMUGGLED
    chunked_line = b"transfer-encoding: chunked\r\n"
    yield Attack("length and chunked", request(chunked_line, hidden))
    yield Attack("chunked and length", chunked(hidden, b"content-length: %d\r\n" % len(hidden)))
    yield Attack("two lengths", request(b"content-length: 5\r\n", BODY + SMUGGLED))
    yield Attack("two equal lengths", request(b"content-length: %d\r\n" % len(BODY)))
    yield Attack("a list of lengths", request(b"content-length: 15, 15\r\n", BODY, sized=False))
    for value in (b"+15", b"-15", b"0x0f", b"15 15", b"1 5", b"15;", b"1e1", b"", b"15.0", b"9" * 400, b"\xb9\xb5"):
        yield Attack(f"length {value[:9]!r}", request(b"content-length: " + value + b"\r\n", BODY, sized=False))
    for line in (
        b"transfer-encoding: xchunked",
        b"transfer-encoding: chunked, identity",
        b"transfer-encoding: identity",
        b"transfer-encoding: identity, chunked",
        b"transfer-encoding: gzip, chunked",
        b"transfer-encoding: chunked, chunked",
        b"transfer-encoding: chunked;q=1",
        b"transfer-encoding: \x0bchunked",
        b"transfer-encoding: chunked\x00",
        b'transfer-encoding: "chunked"',
        b"transfer-encoding : chunked",
        b"transfer-encoding\t: chunked",
        b" transfer-encoding: chunked",
        b"x: y\r\n transfer-encoding: chunked",
        b"x: y\ntransfer-encoding: chunked",
        b"x: y\rtransfer-encoding: chunked",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity",
        b"transfer-encoding:\r\n chunked",
    ):
        yield Attack(f"with a length, {line!r}", request(line + b"\r\n", hidden))
        yield Attack(f"without, {line!r}", request(line + b"\r\n", hidden, sized=False))
    yield Attack("HTTP/1.0 chunked", chunked(hidden).replace(b"HTTP/1.1", b"HTTP/1.0"))
    yield Attack("a folded header", request(b"x: a\r\n b\r\n"))
    yield Attack("bare line feeds", request().replace(b"\r\n", b"\n"))
    yield Attack("bare carriage returns", request().replace(b"\r\n", b"\r"))
    yield Attack("a blank before the colon", request(b"x : y\r\n"))
    yield Attack("a header without a colon", request(b"xyz\r\n"))
    yield Attack("a header without a name", request(b": y\r\n"))


def upgrades() -> Iterator[Attack]:
    """What asks for another protocol, or speaks one: no body may be lost, and none be taken for a request."""
    for name in (b"websocket", b"h2c", b"TLS/1.0", b"anything"):
        head = b"connection: upgrade\r\nupgrade: " + name + b"\r\n"
        # Passing over the offer and taking the next request is right (RFC 9110, section 7.8); losing a body is not.
        yield Attack(f"to {name!r}", request(head) + SMUGGLED, frozenset({BODY, b"smuggled"}), answers=2)
    yield Attack("connect", b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED)
    yield Attack("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    yield Attack("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    yield Attack("SSH", b"SSH-2.0-OpenSSH_9.0\r\n")


def chunks() -> Iterator[Attack]:
    """Bodies whose framing lies."""
    end = b"0\r\n\r\n"
    for size in (
        b"g",
        b"-1",
        b"+5",
        b"0x5",
        b" 5",
        b"5 ",
        b"",
        b"\xb5",
        b"f" * 16,
        b"f" * 17,
        b"1" * 5_000,
        b"5;\n",
        b"5\n",
    ):
        yield Attack(f"size {size[:18]!r}", chunked(size + b"\r\nhello\r\n" + end))
    yield Attack("size below the chunk", chunked(b"3\r\nhello\r\n" + end))
    yield Attack("size above the chunk", chunked(b"9\r\nhello\r\n" + end))
    yield Attack("no end of the chunk", chunked(b"5\r\nhello" + end))
    yield Attack("no last chunk", chunked(b"5\r\nhello\r\n"))
    yield Attack("a flood of extensions", chunked((b"1;" + b"e" * 16_000 + b"\r\nx\r\n") * 300 + end))
    yield Attack("one endless extension", chunked(b"5;" + b"e" * 5_000_000 + b"\r\nhello\r\n" + end))
    yield Attack("a flood of trailers", chunked(b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 500_000 + b"\r\n"))
    yield Attack(
        "a trailer that is a length", chunked(b"5\r\nhello\r\n0\r\ncontent-length: 2\r\n\r\n"), frozenset({b"hello"})
    )
    yield Attack("more than a body may have", chunked((b"8000\r\n" + b"x" * 32_768 + b"\r\n") * 64 + end))


def sizes() -> Iterator[Attack]:
    """More of anything than anybody needs."""
    yield Attack("100,000 headers", request(b"".join(b"x%d: y\r\n" % number for number in range(100_000))))
    yield Attack("the same header 100,000 times", request(b"x: y\r\n" * 100_000))
    yield Attack("a header line of 10 MB", request(b"x: " + b"y" * 10_000_000 + b"\r\n"))
    yield Attack("a header name of 1 MB", request(b"x" * 1_000_000 + b": y\r\n"))
    yield Attack("a method of 1 MB", request(line=b"P" * 1_000_000 + b" " + PATH + b" HTTP/1.1"))
    yield Attack("a target of 1 MB", request(line=b"POST " + PATH + b"t" * 1_000_000 + b" HTTP/1.1"))
    yield Attack("a query of 1 MB", request(line=b"POST " + PATH + b"?" + b"q" * 1_000_000 + b" HTTP/1.1"))
    yield Attack("a topic of 20,000 characters", request(line=b"POST " + PATH + b"t" * 20_000 + b" HTTP/1.1"))
    yield Attack("10 GB announced", request(b"content-length: 10000000000\r\n", BODY, sized=False))
    yield Attack("2^64 announced", request(b"content-length: 18446744073709551616\r\n", BODY, sized=False))
    yield Attack("2 MB sent", request(body=b"x" * 2_000_000))
    yield Attack("a content type of 20,000 characters", request(b"content-type: " + b"x" * 20_000 + b"\r\n"))
    bomb = gzip.compress(bytes(100_000_000), 9)
    yield Attack("a gzip bomb", request(b"content-encoding: gzip\r\n", bomb))
    yield Attack("a gzip bomb in gzip", request(b"content-encoding: gzip, gzip\r\n", gzip.compress(bomb)))
    yield Attack("blank lines for ever", b"\r\n" * 500_000)
    yield Attack("expectations", request(b"expect: 200-ok\r\nexpect: everything\r\n"), frozenset({BODY}))


def first_lines() -> Iterator[Attack]:
    """Versions and methods that nobody should send."""
    for version in (
        b"HTTP/0.9",
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/3",
        b"HTTP/11.1",
        b"HTTP/1.1.1",
        b"http/1.1",
        b"HTP/1.1",
        b"",
    ):
        yield Attack(f"version {version!r}", request(line=b"POST " + PATH + b" " + version))
    yield Attack("HTTP/0.9", b"GET /\r\n")
    for method in (b"GET", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"post", b"POSTX", b"M-SEARCH", b""):
        yield Attack(f"method {method!r}", request(line=method + b" " + PATH + b" HTTP/1.1"))


def targets() -> Iterator[Attack]:
    """Targets and hosts that are not ours, or that are written oddly."""
    for target in BAD_TARGETS:
        yield Attack(f"target {target[:40]!r}", request(line=b"POST " + target + b" HTTP/1.1"))
    for target in (b"/api/v1/ingest/%74", b"/api/v1/ingest%2ft", b"http://localhost" + PATH, PATH + b"?x=%00"):
        yield Attack(f"valid target {target!r}", request(line=b"POST " + target + b" HTTP/1.1"), frozenset({BODY}))
    for host in (b"evil.example", b"localhost.evil.example", b"localhost@evil.example", b"", b"[::1", b"a" * 9_000):
        yield Attack(f"host {host[:40]!r}", request().replace(HOST, b"host: " + host + b"\r\n"))
    yield Attack("no host", request().replace(HOST, b""))
    yield Attack("two hosts", request(b"host: evil.example\r\n"))


def pipelined() -> Iterator[Attack]:
    """Many requests at once: valid ones, and a bad one among them."""
    many = [request(body=b"pipelined %d" % number) for number in range(1_000)]
    stored = frozenset(b"pipelined %d" % number for number in range(1_000))
    yield Attack("1,000 valid ones", b"".join(many), stored, answers=1_000)
    yield Attack("a bad one last", b"".join(many[:5]) + b"\x00" + SMUGGLED, stored, answers=6)
    yield Attack("100 for nobody", request(line=b"POST /api/v1/ingest/nobody HTTP/1.1") * 100, answers=100)


GROUPS = {
    group.__name__: tuple(group())
    for group in (
        truncated,
        control_characters,
        smuggling,
        upgrades,
        chunks,
        sizes,
        first_lines,
        targets,
        pipelined,
    )
}
