"""Keeping the leases of runs that take long: one thread per process, which sleeps unless something does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from django.db import Error, connections

from .claims import database, lease_length, renew

__all__ = ["hold", "let_go"]

logger = logging.getLogger("flowcontrol.engine")


class _Heartbeat:
    """The leases of this process that are at work, and the thread that renews them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.held: dict[str, Sequence[int]] = {}
        self.thread: threading.Thread | None = None

    def hold(self, token: str, run_ids: Sequence[int]) -> None:
        with self.changed:
            self.held[token] = run_ids
            # A forked process has the object, and not the thread.
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self.beat, name="flowcontrol-heartbeat", daemon=True)
                self.thread.start()

    def let_go(self, token: str) -> None:
        with self.changed:
            self.held.pop(token, None)

    def beat(self) -> None:
        while True:
            with self.changed:
                known = set(self.held)
                self.changed.wait(lease_length().total_seconds() / 3)
                # What was held for the whole time is due; what came since has its lease from the claim.
                overdue = {token: self.held[token] for token in known if token in self.held}
            for token, run_ids in overdue.items():
                try:
                    renew(token, run_ids)
                except Error:
                    # The database is away: the lease may pass, and the token keeps this worker from writing then.
                    logger.exception("lease not renewed token=%s", token, extra={"runs": list(run_ids)})
            if overdue:
                connections[database()].close()


_heartbeat = _Heartbeat()


def hold(token: str, run_ids: Sequence[int]) -> None:
    """Have the leases of these runs renewed three times in their length, until ``let_go``."""
    _heartbeat.hold(token, run_ids)


def let_go(token: str) -> None:
    """Renew no more what was claimed with this token."""
    _heartbeat.let_go(token)
