"""Where a request goes: what of a URL is taken, before anything is looked up or sent."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2

from .addresses import Policy, parsed
from .errors import InvalidRequest, RequestRefused

__all__ = ["Target", "denied", "target"]

_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 8_000


@dataclass(frozen=True)
class Target:
    """A URL that was looked at."""

    url: httpx2.URL
    scheme: str
    #: As it is looked up, in small letters.
    host: str
    port: int

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def told(self) -> str:
        """For errors: without the query, which may be what nobody should read."""
        return str(self.url.copy_with(query=None, fragment=None))


def target(url: str | httpx2.URL, policy: Policy) -> Target:
    """Raises ``InvalidRequest`` for what is no URL, and ``RequestRefused`` for one that no flow may call."""
    if len(str(url)) > _LONGEST_URL:
        raise InvalidRequest(f"The URL has {len(str(url)):,} characters, and may have {_LONGEST_URL:,}.")
    try:
        read = httpx2.URL(url)
        host = read.raw_host.decode("ascii").lower()
    except (httpx2.InvalidURL, ValueError, TypeError) as error:
        raise InvalidRequest(f"This is no URL ({error}): {str(url).partition('?')[0][:200]!r}") from None
    if read.scheme not in _PORTS or not host:
        raise RequestRefused(f"A URL has to begin with http:// or https:// and a host: {_begin(url)!r}")
    if read.userinfo:
        # Not repeated: it may be a password.
        raise RequestRefused(
            "The URL has a user in it, before an @. Give the step a credential instead, and no user in its URL."
        )
    if "%" in host:
        # Not even the zone of an address of IPv6: that is for neighbours on the wire.
        raise InvalidRequest(f"The URL's host {host[:100]!r} has characters that no host has.")
    if not (read.port or 80) < 65_536:
        raise InvalidRequest(f"There is no port {read.port}.")
    found = Target(read.copy_with(fragment=None), read.scheme, host, read.port or _PORTS[read.scheme])
    _check(found, policy)
    return found


def _begin(url: str | httpx2.URL) -> str:
    return str(url).partition("?")[0][:40]


def _check(found: Target, policy: Policy) -> None:
    if policy.is_on and found.port not in policy.ports:
        opened = ", ".join(map(str, sorted(policy.ports)))
        raise RequestRefused(
            f"Requests may be sent to the ports {opened}, and not to {found.port}: {found.told}. "
            'The deployer opens one with FLOWCONTROL_HTTP["PORTS"].'
        )
    literal = parsed(found.host)
    if literal is not None and (reason := policy.refusal(literal, found.host)):
        raise RequestRefused(denied(found.host, found.host, reason))


def denied(host: str, address: str, reason: str) -> str:
    """The text of a refusal."""
    where = address if host == address else f"{host}, whose address is {address}"
    return (
        f"No request may be sent to {where}: {reason}. The deployer opens networks and hosts with "
        'FLOWCONTROL_HTTP["NETWORKS"] and FLOWCONTROL_HTTP["HOSTS"].'
    )
