"""Replies that would take all memory or all time, and such as break the protocol. Limits off first, then on."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import tracemalloc
import zlib

import brotli
import pytest
from http_servers import raw_server

from flowcontrol_actions_http.errors import (
    InvalidResponse,
    RequestFailed,
    RequestTimedOut,
    ResponseTooLarge,
    Unreachable,
)
from flowcontrol_actions_http.exchange import Bounds, Sending, exchange

pytest_plugins = ["http_world"]
pytestmark = pytest.mark.usefixtures("reachable")

MEGABYTE = 2**20
_PAUSE = threading.Event()


def ask(url: str, *, total: float = 10.0, max_bytes: int = 10_000, read: float = 5.0, connect: float = 5.0):
    return exchange(Sending("GET", url), Bounds(connect, read, total, max_bytes))


def pause(seconds: float) -> None:
    """As slow as somebody who wants to hold us up."""
    _PAUSE.wait(seconds)


def peak_of(function) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BIG = b"\0" * (16 * MEGABYTE)
BOMBS = {
    "gzip": lambda: gzip.compress(BIG, 1),
    "deflate": lambda: zlib.compress(BIG, 1),
    "br": lambda: brotli.compress(BIG, quality=1),
    "gzip, gzip": lambda: gzip.compress(gzip.compress(BIG, 1), 1),
    "identity": lambda: BIG,
}


@pytest.mark.parametrize("encoding", BOMBS)
def test_a_bomb_takes_no_more_memory_than_the_step_allows(server, encoding):
    headers = {} if encoding == "identity" else {"Content-Encoding": encoding}
    server.says("/", BOMBS[encoding](), headers=headers)
    assert peak_of(lambda: ask(server.url(), max_bytes=64 * MEGABYTE)) > 16 * MEGABYTE

    def bounded() -> None:
        with pytest.raises(ResponseTooLarge, match="more than 1,000,000 bytes"):
            ask(server.url(), max_bytes=1_000_000)

    assert peak_of(bounded) < 6 * MEGABYTE


def test_what_is_packed_many_times_over_is_refused(server):
    server.says("/", b"", headers={"Content-Encoding": ", ".join(["gzip"] * 50)})
    with pytest.raises(InvalidResponse, match="content encodings"):
        ask(server.url())


@pytest.mark.parametrize("encoding", ["zip", "gzip, rot13", "br, snappy"])
def test_what_nobody_can_unpack_is_not_taken_for_the_body(server, encoding):
    server.says("/", b"gibberish", headers={"Content-Encoding": encoding})
    with pytest.raises(InvalidResponse, match="cannot be unpacked here"):
        ask(server.url())


def chunks(
    connection: socket.socket, part: bytes, *, times: int, every: float = 0.0, head: bytes = b""
) -> int:
    """How many were sent before the other side had enough."""
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + head + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for number in range(times):
        try:
            connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        except OSError:
            return number
        pause(every)
    connection.sendall(b"0\r\n\r\n")
    return times


def test_a_reply_without_an_end_is_cut_off(reachable):
    sent: list[int] = []
    with raw_server(lambda connection: sent.append(chunks(connection, b"x" * 65_536, times=500))) as url:
        assert len(ask(url, max_bytes=64 * MEGABYTE).content) == 500 * 65_536
        with pytest.raises(ResponseTooLarge):
            ask(url, max_bytes=100_000)
    assert sent[0] == 500


def test_a_reply_that_unpacks_to_nothing_is_cut_off(reachable):
    # Blocks of deflate that hold nothing: five bytes each, as many as one likes.
    empty = b"\0\0\0\xff\xff" * 20_000
    head = b"Content-Encoding: deflate\r\n"

    def speak(connection: socket.socket) -> None:
        packed = b"\x78\x9c" + empty
        chunks(connection, packed, times=1, head=head)
        for _ in range(1_000):
            connection.sendall(b"%x\r\n%b\r\n" % (len(empty), empty))

    with raw_server(speak) as url:
        began = time.monotonic()
        try:
            reply = ask(url, max_bytes=1_000, total=5)
            assert reply.content == b""
        except RequestFailed:
            pass
        assert time.monotonic() - began < 5


SLOW = {
    "body": lambda connection: chunks(connection, b"x", times=30, every=0.05),
    "headers": lambda connection: drip(connection, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"),
    "informational": lambda connection: informational(connection),
}


def drip(connection: socket.socket, text: bytes) -> None:
    for number in range(len(text)):
        connection.sendall(text[number : number + 1])
        pause(0.04)


def informational(connection: socket.socket) -> None:
    for _ in range(30):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        pause(0.05)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("part", SLOW)
def test_a_server_that_is_never_silent_for_long_is_not_waited_for_longer_than_the_whole_limit(
    reachable, part
):
    with raw_server(SLOW[part]) as url:
        began = time.monotonic()
        # Each single read is answered in time: that limit alone ends nothing.
        assert ask(url, read=0.5, total=10).status == 200
        assert time.monotonic() - began > 1.2
        began = time.monotonic()
        with pytest.raises(RequestTimedOut, match=r"within 0\.4 s"):
            ask(url, read=0.5, total=0.4)
        assert time.monotonic() - began < 1.4


def test_a_redirect_does_not_begin_the_time_anew(server):
    for number in range(5):
        server.says(f"/{number}", b"", 302, {"Location": f"/{number + 1}"}, after=0.2)
    server.says("/5")
    assert ask(server.url("/0"), total=5).status == 200
    began = time.monotonic()
    with pytest.raises(RequestTimedOut):
        ask(server.url("/0"), total=0.5)
    assert time.monotonic() - began < 1.4


def test_a_server_that_says_nothing_is_given_up_after_the_limit_to_read(reachable):
    with raw_server(lambda connection: pause(1.0)) as url:
        began = time.monotonic()
        with pytest.raises(RequestTimedOut, match="silent"):
            ask(url, read=0.2)
        assert time.monotonic() - began < 1


def test_the_whole_limit_ends_a_silence_that_the_limit_to_read_would_bear(reachable):
    with raw_server(lambda connection: pause(3.0)) as url:
        began = time.monotonic()
        with pytest.raises(RequestTimedOut, match=r"within 0\.3 s"):
            ask(url, read=2.5, total=0.3)
        assert time.monotonic() - began < 1.3


def test_a_server_that_takes_nothing_is_given_up(reachable):
    listening = socket.create_server(("127.0.0.1", 0))
    with listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        began = time.monotonic()
        with pytest.raises(RequestTimedOut):
            exchange(Sending("POST", url, (), b"x" * 8 * MEGABYTE), Bounds(1, 0.3, 5, 100))
        assert time.monotonic() - began < 2


def test_a_handshake_that_does_not_end_is_given_up(reachable):
    with raw_server(lambda connection: pause(2.0)) as url:
        began = time.monotonic()
        with pytest.raises(RequestTimedOut):
            ask(url.replace("http:", "https:"), connect=0.3)
        assert time.monotonic() - began < 1.5


def test_a_look_up_that_takes_too_long_is_given_up(reachable, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(5) and [])
    began = time.monotonic()
    with pytest.raises(RequestTimedOut, match="not found in time"):
        ask("http://slow.test/", connect=0.2)
    assert time.monotonic() - began < 1
    over.set()


BROKEN = {
    "50,000 headers": (
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(50_000)),
        InvalidResponse,
    ),
    "a header without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000, InvalidResponse),
    "less than it says": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", Unreachable),
    "nothing": (b"", Unreachable),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", InvalidResponse),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", InvalidResponse),
    "a length that is none": (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", InvalidResponse),
    "chunks that are none": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", InvalidResponse),
    "not packed as it says": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        InvalidResponse,
    ),
    "a status that is none": (b"HTTP/1.1 999999 OK\r\n\r\n", InvalidResponse),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_reply_that_breaks_the_protocol_is_told_as_what_it_is(reachable, how):
    said, expected = BROKEN[how]
    with raw_server(lambda connection: connection.sendall(said)) as url, pytest.raises(expected):
        ask(url)


def test_a_connection_that_is_reset_is_told_as_such(reachable):
    def reset(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(reset) as url, pytest.raises(Unreachable):
        ask(url)


def test_nobody_there_is_told_with_the_host_and_without_the_query(reachable):
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1/path: 127\.0\.0\.1: Connection refused"):
        ask("http://127.0.0.1:1/path?token=hush")


def test_an_answer_after_the_one_that_was_too_large_comes_by_another_connection(server):
    server.says("/large", b"x" * 100_000)
    server.says("/", b"fine")
    with pytest.raises(ResponseTooLarge):
        ask(server.url("/large"))
    assert ask(server.url()).content == b"fine"
