"""PostgreSQL's LISTEN and NOTIFY: idle workers hear at once that something is due. Elsewhere they look again and again.

A notification says nothing but "look": what is due stands in the table, so one that is lost makes nothing but a wait.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db import Error as DatabaseError

from .. import conf

__all__ = ["CHANNEL", "QUIET_SECONDS", "Listener", "can_listen", "send"]

logger = logging.getLogger("flowcontrol.engine")

CHANNEL = "flowcontrol"

#: One process notifies at most once in this time. Workers look again so much later whenever they were woken
#: (``worker``), so they find what became due meanwhile, and a thousand starts a second are ten notifications.
QUIET_SECONDS = 0.1

#: A connection on which nothing comes is asked now and then whether it is still there.
_PROBE_SECONDS = 30.0
_CLOSE_SECONDS = 2.0
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0

#: ``time.monotonic()`` of the last notification, by database.
_sent: dict[str, float] = {}


def can_listen(alias: str) -> bool:
    """Whether workers on this database are woken by notifications."""
    return connections[alias].vendor == "postgresql" and conf.settings.LISTEN_NOTIFY


# -- sending -------------------------------------------------------------------------------------------------


def send(alias: str = DEFAULT_DB_ALIAS) -> None:
    """Wake idle workers once what this transaction wrote is committed; at most once for each commit.

    Costs nothing but a look on databases other than PostgreSQL.
    """
    if not can_listen(alias):
        return
    connection = connections[alias]
    if connection.in_atomic_block:
        inside = set(connection.savepoint_ids)
        for savepoints, hook, *_ in connection.run_on_commit:
            # One that a rollback to a savepoint would take away, and leave this one, does not count.
            if isinstance(hook, _Notification) and hook.alias == alias and savepoints <= inside:
                return
    transaction.on_commit(_Notification(alias), using=alias, robust=True)


class _Notification:
    """What is done after the commit; a class, to be recognised among others that wait for it."""

    def __init__(self, alias: str) -> None:
        self.alias = alias

    def __call__(self) -> None:
        now = time.monotonic()
        if now - _sent.get(self.alias, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        _sent[self.alias] = now
        connection = connections[self.alias]
        connection.ensure_connection()
        # By the driver, past Django's log of queries and its wrappers: it is no part of what the caller does, and
        # comes or not as time passes.
        with connection.connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


# -- listening -----------------------------------------------------------------------------------------------


class Listener:
    """A thread with a connection of its own, which calls ``heard`` for notifications. Connects again when it has to."""

    def __init__(self, alias: str, heard: Callable[[], None]) -> None:
        self.alias = alias
        self.heard = heard
        self._is_listening = threading.Event()
        self._is_closed = threading.Event()
        # What the thread waits on beside its connection, to be told that it is over.
        self._end, self._other_end = socket.socketpair()
        self._thread = threading.Thread(target=self._work, name="flowcontrol-listener", daemon=True)

    @property
    def is_listening(self) -> bool:
        """False while there is no connection: look for due runs as if nobody notified."""
        return self._is_listening.is_set()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._is_closed.set()
        self._other_end.close()
        self._thread.join(_CLOSE_SECONDS)
        self._end.close()

    def _work(self) -> None:
        database_is_away = (DatabaseError, OSError, _driver_error(self.alias))
        retry = 0.0
        while not self._is_closed.is_set():
            try:
                self._listen()
            except database_is_away as error:
                retry = 0.0 if self._is_listening.is_set() else retry
                retry = min(retry * 2 or _FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS)
                logger.warning("not listening, trying again in %g s: %s", retry, str(error).strip())
                self._is_listening.clear()
                # The worker may sleep on the promise that it would be woken.
                self.heard()
                self._is_closed.wait(retry)

    def _listen(self) -> None:
        wrapper: Any = connections[self.alias]
        # Past Django's pool: a connection that listens must not go back to it.
        raw = wrapper.Database.connect(**wrapper.get_connection_params())
        with closing(raw), selectors.DefaultSelector() as selector:
            raw.autocommit = True
            with raw.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self._is_listening.set()
            logger.debug("listening channel=%s", CHANNEL)
            selector.register(raw.fileno(), selectors.EVENT_READ)
            selector.register(self._end, selectors.EVENT_READ)
            # Once at the beginning, too: what was notified before has been missed.
            self.heard()
            while not self._is_closed.is_set():
                if not selector.select(_PROBE_SECONDS):
                    with raw.cursor() as cursor:
                        cursor.execute("SELECT 1")
                    # The answer may have brought a notification along.
                    self.heard()
                elif not self._is_closed.is_set() and _has_notifications(raw):
                    self.heard()


def _has_notifications(raw: Any) -> bool:
    """Read what came on a connection of psycopg 3 or 2, and tell whether notifications were in it."""
    if hasattr(raw, "pgconn"):
        raw.pgconn.consume_input()
        count = 0
        while raw.pgconn.notifies() is not None:
            count += 1
    else:
        raw.poll()
        count = len(raw.notifies)
        raw.notifies.clear()
    return count > 0


def _driver_error(alias: str) -> type[Exception]:
    wrapper: Any = connections[alias]
    error: type[Exception] = wrapper.Database.Error
    return error
