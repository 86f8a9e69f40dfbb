"""Servers on this machine: of HTTP, of TLS, and of what is neither."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["OPEN", "Listener", "LocalServer", "Seen", "raw_server", "reply", "wait_until"]

#: FLOWCONTROL_HTTP of a project whose flows may call this machine, on every port.
OPEN = {"NETWORKS": ["127.0.0.0/8", "::1/128"], "PORTS": range(1, 65_536), "CONNECT_SECONDS": 2.0}


@dataclass(frozen=True)
class Seen:
    """A request as the server got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    #: Which connection it came by: the client's address.
    connection: tuple[str, int]

    def json(self) -> Any:
        return json.loads(self.body)


Answer = Callable[[BaseHTTPRequestHandler, Seen], None]


@dataclass
class LocalServer:
    """A server of HTTP 1.1 with a thread for each connection. What it answers is said path by path."""

    context: ssl.SSLContext | None = None
    #: One that listens already; a new one otherwise.
    listening: socket.socket | None = None
    host: str = "127.0.0.1"
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    #: What is answered to all other paths.
    otherwise: Answer = field(default_factory=lambda: missing)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> LocalServer:
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Small parts are sent as they are written.
            wbufsize = 0
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, ssl.SSLError):
                    self.close_connection = True

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                path = self.path.partition("?")[0]
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, self.rfile.read(length), self.client_address)
                with world.lock:
                    world.seen.append(seen)
                    world.at_once += 1
                    world.most_at_once = max(world.most_at_once, world.at_once)
                try:
                    world.answers.get(path, world.otherwise)(self, seen)
                finally:
                    with world.lock:
                        world.at_once -= 1

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_CONNECT = answer

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 200
            if ":" in self.host:
                address_family = socket.AF_INET6

            def handle_error(self, *_: Any) -> None:
                pass

        self.server = Server((self.host, 0), Handler, bind_and_activate=self.listening is None)
        if self.listening is not None:
            self.server.socket.close()
            self.server.socket = self.listening
        if self.context is not None:
            self.server.socket = self.context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    @property
    def port(self) -> int:
        listening = self.listening or self.server.socket
        return int(listening.getsockname()[1])

    def url(self, path: str = "/", host: str = "") -> str:
        return f"http{'s' if self.context else ''}://{host or self.host}:{self.port}{path}"

    def says(
        self,
        path: str,
        body: Any = b"",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        after: float = 0.0,
    ) -> None:
        """Have a path answered with this; what is no bytes as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
        pause = threading.Event()

        def answer(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
            pause.wait(after)
            reply(handler, content, status, {**kind, **(headers or {})})

        self.answers[path] = answer

    def redirects(self, path: str, to: str, status: int = 302) -> None:
        self.says(path, b"", status, {"Location": to})


def reply(
    handler: BaseHTTPRequestHandler,
    content: bytes,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    handler.send_response(status)
    for name, value in (headers or {}).items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)


def missing(handler: BaseHTTPRequestHandler, seen: Seen) -> None:
    reply(handler, b"nothing here", 404, {"Content-Type": "text/plain"})


class Listener:
    """A port of this machine that counts who knocks, and answers as a server would."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        self.connections = 0
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.bind((host, 0))
        self._socket.listen(20)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # What waits in accept hears of it by a last connection.
        self._is_over = True
        with socket.create_connection((self.host, self.port), 5):
            self._thread.join(5)
        self._socket.close()

    _is_over = False

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self._is_over:
                    return
                self.connections += 1
                connection.settimeout(5)
                connection.recv(65_536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\ninside!"
                )


@contextmanager
def raw_server(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that says what no library for servers would; gives its URL."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(30)
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection,), daemon=True).start()

    def converse(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(30)
            try:
                connection.recv(65_536)
                speak(connection)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        is_over.set()
        with socket.create_connection(listening.getsockname(), 5):
            pass
        thread.join(5)
        listening.close()


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        pause.wait(0.01)
