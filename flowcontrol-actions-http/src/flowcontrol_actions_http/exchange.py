"""A request and its answer: sent, followed through redirects, and read, within its bounds."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from typing import Protocol

import httpcore2
import httpx2

from . import conf, pools, tls
from .deadline import DeadlinePassed, limited
from .errors import (
    InvalidRequest,
    InvalidResponse,
    RequestRefused,
    RequestTimedOut,
    ResponseTooLarge,
    Unreachable,
)
from .targets import Target, target

__all__ = ["Authentication", "Bounds", "Reply", "Sending", "exchange"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What is sent on to another origin. All other headers of the author may be what only the first one should get.
_FOR_ANYBODY = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})
#: What httpx unpacks with nothing but Python's own library.
_ENCODINGS = "gzip, deflate"


class Authentication(Protocol):
    """A credential at work."""

    def applied(self, request: httpx2.Request) -> httpx2.Request:
        """The request as it is sent. Raises ``CredentialNotAllowed`` where the credential may not go."""


@dataclass(frozen=True)
class Bounds:
    """How long it may take, how much may come, and how often it may be sent elsewhere."""

    connect: float
    read: float
    total: float
    max_bytes: int
    redirects: int = 5


@dataclass(frozen=True)
class Sending:
    """What is sent."""

    method: str
    url: str | httpx2.URL
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    is_verified: bool = True
    authentication: Authentication | None = None


@dataclass(frozen=True)
class Reply:
    """What came back, unpacked."""

    status: int
    headers: httpx2.Headers
    content: bytes
    #: Where it came from in the end, as the step asked for it: without what a credential adds.
    url: httpx2.URL
    charset: str | None = field(default=None)


def exchange(sending: Sending, bounds: Bounds) -> Reply:
    """Send it and read the whole answer, whatever its status. Raises a ``RequestFailed``, which says what went wrong."""
    with limited(bounds.total):
        found = target(sending.url, conf.policy())
        for _ in range(bounds.redirects + 1):
            with _told(found, bounds), _answered(sending, found, bounds) as response:
                location = response.headers.get("location")
                if not bounds.redirects or response.status_code not in _REDIRECTS or not location:
                    content = _read(response, bounds.max_bytes)
                    return Reply(
                        response.status_code, response.headers, content, found.url, response.charset_encoding
                    )
                status = response.status_code
            # The connection is closed or free again by now, and the body of a redirect was not read.
            onward = _onward(found, location)
            sending = _redirected(sending, found, onward, status)
            found = onward
    raise InvalidResponse(f"{found.told}: more than {bounds.redirects} redirects, one after the other.")


def _onward(found: Target, location: str) -> Target:
    try:
        joined = found.url.join(location)
    except (httpx2.InvalidURL, ValueError) as error:
        raise InvalidResponse(f"{found.told} redirects to what is no URL: {error}") from None
    return target(joined, conf.policy())


def _redirected(sending: Sending, before: Target, onward: Target, status: int) -> Sending:
    """What is sent to where a redirect leads."""
    if before.origin != onward.origin:
        kept = tuple((name, value) for name, value in sending.headers if name.lower() in _FOR_ANYBODY)
        sending = replace(sending, headers=kept, authentication=None)
    if (status == 303 and sending.method != "HEAD") or (status in (301, 302) and sending.method == "POST"):
        kept = tuple((name, value) for name, value in sending.headers if name.lower() != "content-type")
        sending = replace(sending, method="GET", headers=kept, content=None)
    return sending


@contextmanager
def _answered(sending: Sending, found: Target, bounds: Bounds) -> Iterator[httpx2.Response]:
    profile = tls.profile(found.scheme, found.host, is_verified=sending.is_verified)
    request = _request(sending, found)
    response = pools.pool(profile).handle_request(
        httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.content,
            extensions={
                "timeout": {
                    "connect": bounds.connect,
                    "read": bounds.read,
                    "write": bounds.read,
                    "pool": bounds.total,
                }
            },
        )
    )
    try:
        yield httpx2.Response(
            response.status, headers=response.headers, stream=_Body(response), request=request
        )
    finally:
        response.close()


class _Body(httpx2.SyncByteStream):
    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()


def _request(sending: Sending, found: Target) -> httpx2.Request:
    headers = httpx2.Headers({"Accept": "*/*", "User-Agent": conf.get("USER_AGENT")})
    headers.update(httpx2.Headers(sending.headers, encoding="utf-8"))
    # Not for the author to choose: what we cannot unpack would be read as it is.
    headers["Accept-Encoding"] = _ENCODINGS
    try:
        request = httpx2.Request(sending.method, found.url, headers=headers, content=sending.content)
    except (UnicodeError, ValueError, TypeError) as error:
        raise InvalidRequest(f"{found.told}: this makes no request: {error}") from None
    if sending.authentication is None:
        return request
    return sending.authentication.applied(request)


def _read(response: httpx2.Response, most: int) -> bytes:
    """The unpacked body. What is too large is found out while it comes, and the rest is not read."""
    announced = response.headers.get("content-length", "")
    if (
        announced.isascii()
        and announced.isdecimal()
        and int(announced[:20]) > most
        and not _is_packed(response)
    ):
        raise _too_large(response, most)
    _require_known_packing(response)
    parts, size = [], 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        # What is packed into nothing is bounded as well.
        if size > most or response.num_bytes_downloaded > 2 * most + 65_536:
            raise _too_large(response, most)
    return b"".join(parts)


def _require_known_packing(response: httpx2.Response) -> None:
    """What nobody can unpack here would be taken for the body itself."""
    given = {one.strip().lower() for one in response.headers.get("content-encoding", "").split(",")}
    unknown = sorted(given - _known_packings() - {""})
    if unknown:
        raise InvalidResponse(
            f"The response is packed as {', '.join(unknown)[:100]}, which was not asked for and cannot be unpacked here."
        )


@cache
def _known_packings() -> frozenset[str]:
    """With the libraries that happen to be here, httpx unpacks more than is asked for."""
    found = {"gzip", "deflate", "identity"}
    if find_spec("brotli") or find_spec("brotlicffi"):
        found.add("br")
    return frozenset(found)


def _is_packed(response: httpx2.Response) -> bool:
    return "content-encoding" in response.headers or response.request.method == "HEAD"


def _too_large(response: httpx2.Response, most: int) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"The response (status {response.status_code}) has more than {most:,} bytes, and the step takes no more. See "
        'max_bytes, and FLOWCONTROL_HTTP["MAX_RESPONSE_BYTES"].'
    )


@contextmanager
def _told(found: Target, bounds: Bounds) -> Iterator[None]:
    """What the libraries below raise, in this pack's words."""
    try:
        yield
    except (RequestRefused, InvalidRequest, InvalidResponse):
        raise
    except DeadlinePassed:
        raise RequestTimedOut(f"{found.told}: not answered within {bounds.total:g} s.") from None
    except httpcore2.TimeoutException as error:
        raise RequestTimedOut(f"{found.told}: {str(error) or 'not answered in time'}.") from error
    except (httpcore2.LocalProtocolError, httpcore2.UnsupportedProtocol):
        # What it says repeats the header, which may be that of a credential.
        raise InvalidRequest(f"{found.told}: a header has characters that no header can have.") from None
    except (httpcore2.RemoteProtocolError, httpx2.DecodingError) as error:
        raise _broken(found, error) from error
    except (httpcore2.NetworkError, httpcore2.ProxyError, ssl.SSLError) as error:
        raise Unreachable(f"{found.told}: {error}.") from error


def _broken(found: Target, error: Exception) -> Exception:
    # A connection that ends in the middle is no fault of the answer.
    is_cut_off = "disconnected" in str(error) or "peer closed connection" in str(error)
    return (Unreachable if is_cut_off else InvalidResponse)(f"{found.told}: {error}.")
