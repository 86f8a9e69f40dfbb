"""Keeping the leases of runs that take long: one thread per process, which sleeps unless something does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import Error, connections

from .claims import database, lease_length, renew

__all__ = ["kept_alive"]

logger = logging.getLogger("flowcontrol.engine")

_changed = threading.Condition()
_held: dict[str, Sequence[int]] = {}
_thread: threading.Thread | None = None


@contextmanager
def kept_alive(token: str, run_ids: Sequence[int]) -> Iterator[None]:
    """While the block runs, the leases of these runs are renewed three times in their length."""
    global _thread
    with _changed:
        _held[token] = run_ids
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_beat, name="flowcontrol-heartbeat", daemon=True)
            _thread.start()
    try:
        yield
    finally:
        with _changed:
            _held.pop(token, None)


def _beat() -> None:
    while True:
        with _changed:
            known = set(_held)
            _changed.wait(lease_length().total_seconds() / 3)
            # What was held for the whole time is due; what came since has its lease from the claim.
            overdue = {token: _held[token] for token in known if token in _held}
        for token, run_ids in overdue.items():
            try:
                renew(token, run_ids)
            except Error:
                # The database is away: the lease may pass, and the token keeps this worker from writing then.
                logger.exception("lease not renewed token=%s", token)
        if overdue:
            connections[database()].close()
