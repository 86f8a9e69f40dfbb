"""The connections of this process: made once, shared by all its threads, and left behind by a fork."""

from __future__ import annotations

import os
import threading
from typing import NamedTuple

import httpcore2
import httpx2

from . import conf, guard, tls

__all__ = ["pool"]

#: Connections that are kept open for a next request, and for how long: shorter than most servers do, since one that
#: the server closes as it is used again fails a request. How many are in use is bounded by the threads that ask.
_MOST_IDLE = 100
_IDLE_SECONDS = 5.0


class _Pools(NamedTuple):
    lock: threading.Lock
    by_profile: dict[tls.Profile, httpcore2.ConnectionPool]


_pools = _Pools(threading.Lock(), {})


def pool(profile: tls.Profile) -> httpcore2.ConnectionPool:
    """The one pool of this process for connections of this profile."""
    pools = _pools
    with pools.lock:
        if profile not in pools.by_profile:
            pools.by_profile[profile] = _made(profile)
        return pools.by_profile[profile]


def _made(profile: tls.Profile) -> httpcore2.ConnectionPool:
    through = conf.get("PROXY")
    url = httpx2.URL(through) if through else None
    return httpcore2.ConnectionPool(
        ssl_context=tls.context(profile),
        proxy=None if url is None else _proxy(url),
        max_connections=None,
        max_keepalive_connections=_MOST_IDLE,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=guard.Backend(
            conf.policy(), exempt="" if url is None else url.raw_host.decode("ascii")
        ),
    )


def _proxy(url: httpx2.URL) -> httpcore2.Proxy:
    plain = str(url.copy_with(userinfo=None))
    if not url.userinfo:
        return httpcore2.Proxy(plain)
    return httpcore2.Proxy(plain, auth=(url.username, url.password))


@conf.on_change
def _close() -> None:
    with _pools.lock:
        made = [*_pools.by_profile.values()]
        _pools.by_profile.clear()
    for one in made:
        one.close()


def _forked() -> None:
    """The child has none of the parent's connections, and waits for none of its locks: their holders are not here."""
    global _pools  # noqa: PLW0603
    _pools = _Pools(threading.Lock(), {})
    guard.close_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
