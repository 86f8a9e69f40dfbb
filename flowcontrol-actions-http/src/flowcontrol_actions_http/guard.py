"""The way out: connections to addresses that were looked at, and within the time that is left.

It is httpcore's network backend, and so below redirects, pools and TLS: no connection is made but from here. A name is
looked up once, each of its addresses is judged, and the very address that was judged is connected to. A name that is
asked for a second time may have another answer; nobody asks. Host and server name (SNI) stay those of the URL.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakSet

import httpcore2

from .addresses import Policy, parsed
from .deadline import remaining
from .errors import RequestRefused
from .targets import denied

__all__ = ["Backend", "Stream", "close_all"]

_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

#: Sockets of this process, which a fork hands to the child as well.
_open: WeakSet[socket.socket] = WeakSet()


class Stream(httpcore2.NetworkStream):
    """A socket that waits no longer than the request at hand may."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        _open.add(sock)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._sock.settimeout(remaining(timeout))
        try:
            return self._sock.recv(max_bytes)
        except TimeoutError:
            remaining()
            raise httpcore2.ReadTimeout("the server is silent") from None
        except OSError as error:
            raise httpcore2.ReadError(str(error)) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        try:
            while view:
                self._sock.settimeout(remaining(timeout))
                view = view[self._sock.send(view) :]
        except TimeoutError:
            remaining()
            raise httpcore2.WriteTimeout("the server takes nothing") from None
        except OSError as error:
            raise httpcore2.WriteError(str(error)) from error

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        if isinstance(self._sock, ssl.SSLSocket):
            raise httpcore2.ConnectError("a proxy that is itself called by https cannot be used for https")
        try:
            # The limit is that of the whole handshake, which ends in here.
            self._sock.settimeout(remaining(timeout))
            return Stream(ssl_context.wrap_socket(self._sock, server_hostname=server_hostname))
        except TimeoutError:
            self.close()
            remaining()
            raise httpcore2.ConnectTimeout("the TLS handshake takes too long") from None
        except OSError as error:
            self.close()
            raise httpcore2.ConnectError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "ssl_object":
                return self._sock if isinstance(self._sock, ssl.SSLSocket) else None
            case "socket":
                return self._sock
            case "server_addr":
                return self._sock.getpeername()
            case "is_readable":
                return _is_readable(self._sock)
        return None


def _is_readable(sock: socket.socket) -> bool:
    """Whether the server sent something, or closed, while the connection was in nobody's hands."""
    if sock.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


class Backend(httpcore2.NetworkBackend):
    """Connects where the policy lets it. ``exempt`` is a host that the deployer named himself: the proxy."""

    def __init__(self, policy: Policy, exempt: str = "") -> None:
        self._policy = policy
        self._exempt = exempt

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        problem: Exception = httpcore2.ConnectError(f"{host} has no address")
        for family, address in self._addresses(host, port, timeout):
            try:
                return Stream(_connected(family, address, remaining(timeout)))
            except TimeoutError:
                remaining()
                problem = httpcore2.ConnectTimeout(f"{host} does not answer")
            except OSError as error:
                problem = httpcore2.ConnectError(f"{host}: {error.strerror or error}")
        raise problem

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.NetworkStream:
        raise RequestRefused("Requests go to hosts, and not to sockets of this machine.")

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[tuple[int, Any]]:
        """All addresses of the host. Raises ``RequestRefused`` when one of them is closed: a mixture is no accident."""
        found = _looked_up(host, port, timeout)
        if host == self._exempt:
            return found
        for _, where in found:
            address = parsed(str(where[0]))
            reason = self._policy.refusal(address, host) if address else "it is no address"
            if reason:
                raise RequestRefused(denied(host, str(where[0]), reason))
        return found


def _looked_up(host: str, port: int, timeout: float | None) -> list[tuple[int, Any]]:
    """In a thread of its own, since nothing else limits how long a look-up takes; and of no pool, which no fork keeps."""
    answers: SimpleQueue[Any] = SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, name="flowcontrol-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=remaining(timeout))
    except Empty:
        remaining()
        raise httpcore2.ConnectTimeout(f"{host} is not found in time") from None
    if isinstance(answer, Exception):
        raise httpcore2.ConnectError(f"{host} is not found: {answer}") from answer
    return list(dict.fromkeys((family, where) for family, _, _, _, where in answer))


def _connected(family: int, address: Any, timeout: float | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def close_all() -> None:
    """In a child, after a fork: the connections are the parent's, and are not spoken on. Takes no lock."""
    for sock in [*_open]:
        # Of a TLS connection too, this closes the file and says nothing to the server.
        sock.close()
    _open.clear()
