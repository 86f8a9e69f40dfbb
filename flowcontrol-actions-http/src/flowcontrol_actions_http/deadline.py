"""The wall-clock limit of a request: everything that waits for the network asks how long it still may."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["DeadlinePassed", "limited", "remaining"]

_deadline: ContextVar[float | None] = ContextVar("flowcontrol_http_deadline", default=None)


class DeadlinePassed(Exception):
    """The time of the whole request is up."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Inside, in this thread, ``remaining`` gives what is left of so many seconds, and of a limit around it."""
    around = _deadline.get()
    own = time.monotonic() + seconds
    token = _deadline.set(own if around is None else min(own, around))
    try:
        yield
    finally:
        _deadline.reset(token)


def remaining(at_most: float | None = None) -> float | None:
    """Seconds that may be waited now; None without any limit. Raises ``DeadlinePassed`` when there are none left."""
    deadline = _deadline.get()
    if deadline is None:
        return at_most
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeadlinePassed
    return left if at_most is None else min(left, at_most)
