"""The loop of a worker: execute what is due, sleep until something is, and see to its other duties in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections, reset_queries

from .. import conf
from .claims import database
from .due import Rounds, seconds_until_due
from .duties import sweep
from .health import Health
from .notify import QUIET_SECONDS, Listener, can_listen
from .presence import Presence
from .retention import prune_everything

__all__ = ["WorkerLoop", "WorkerOptions"]

logger = logging.getLogger("flowcontrol.engine")

_PRUNE_SECONDS = 3_600
#: How often connections are asked whether they are obsolete: in the words of ``CONN_MAX_AGE``, how long a request is.
_RECYCLE_SECONDS = 60
_SWEEP_SECONDS = 60
#: The first look after work comes this much sooner than a look after a long idleness.
_EAGERNESS = 8
#: A worker that is woken by notifications looks by itself now and then, too.
_LISTENING_POLL_SECONDS = 30.0
#: The shortest sleep. What is due and cannot be claimed is another worker's at this moment.
_SHORTEST_SLEEP = 0.01
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """How a worker works: ``poll_seconds`` is the longest time between two looks, for the others see ``Rounds``."""

    poll_seconds: float = 1.0
    queues: Sequence[str] = ()
    threads: int = 0
    batch: int | None = None


class WorkerLoop:
    """Executes due runs until ``stop`` is called: the step at hand is finished then, and the rest handed back.

    On PostgreSQL it sleeps until it is notified or until the next due date; elsewhere it looks again soon after there
    was something to do, and every ``poll_seconds`` when idle, or at the next due date if that is sooner. Survives a
    database that is away: logs it, connects anew, and tries again less and less often. What the settings say is too
    old is pruned once an hour.
    """

    def __init__(
        self,
        options: WorkerOptions | None = None,
        *,
        health: Health | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.options = options or WorkerOptions()
        self.health = health or Health()
        self.monotonic = monotonic
        #: Stretches executed so far.
        self.executed = 0
        self._is_watched = health is not None
        self._stop = threading.Event()
        #: Ends a sleep: to stop, or because something may be due.
        self._bell = threading.Event()
        #: How long it sleeps before the next look, and how long it slept last while it was idle.
        self._sleep = self._delay = 0.0
        self._retry = 0.0
        self._prune_at = self._recycle_at = self._sweep_at = monotonic()
        self._pruning: Iterator[int] | None = None
        self._presence = Presence(self.options.queues, lambda: self.executed)
        self._listener: Listener | None = None

    @property
    def is_stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """From any thread: finish the step at hand, and end."""
        self._stop.set()
        self.health.is_stopping = True
        self._presence.stopping()
        self._bell.set()

    def wake(self) -> None:
        """From any thread: something may be due, look at once."""
        self._bell.set()

    def run(self) -> None:
        rounds = Rounds(
            should_stop=self._should_stop if self._is_watched else self._stop.is_set,
            queues=self.options.queues,
            threads=self.options.threads,
            batch=self.options.batch,
        )
        with self._announced(), self._listening():
            try:
                while not self.is_stopping:
                    if self._survives(lambda: self._turn(rounds)):
                        self._rest()
                # Calls of the world under way are waited for; who waits for us decides for how long.
                while not rounds.is_idle and self._survives(rounds.round):
                    self.health.beat()
            finally:
                rounds.close()

    # -- working -----------------------------------------------------------------------------------------------

    def _should_stop(self) -> bool:
        """Asked between steps: a sign of life, where somebody looks for one."""
        self.health.beat()
        return self._stop.is_set()

    def _turn(self, rounds: Rounds) -> None:
        """One round, and a bite of each other duty."""
        self._sleep = 0.0
        executed = rounds.round()
        self.executed += executed
        if executed:
            self._delay = 0.0
        self._prune()
        self._sweep()
        self._recycle()
        # In DEBUG, Django keeps the text of every query.
        reset_queries()
        self.health.beat()
        if not executed and rounds.is_idle and self._pruning is None and not self.is_stopping:
            self._sleep = self._delay = self._next_delay()

    def _survives(self, work: Callable[[], object]) -> bool:
        """Do it; false, after a while, when the database was away."""
        try:
            work()
        except DatabaseError as error:
            self._retry = min(self._retry * 2 or _FIRST_RETRY_SECONDS, _LAST_RETRY_SECONDS)
            logger.error("database error, retrying in %g s: %s", self._retry, str(error).strip())
            self._pruning = None
            # What is left of a broken connection would fail for ever.
            connections.close_all()
            self._stop.wait(self._retry)
            return False
        if self._retry:
            logger.warning("database is back")
            self._retry = 0.0
        return True

    def _prune(self) -> None:
        if self._pruning is None:
            if self.monotonic() < self._prune_at or self.is_stopping:
                return
            # Set first: pruning that fails is tried again in an hour, not at once for ever.
            self._prune_at = self.monotonic() + _PRUNE_SECONDS
            self._pruning = prune_everything()
        if next(self._pruning, None) is None:
            self._pruning = None

    def _sweep(self) -> None:
        if self.monotonic() >= self._sweep_at:
            self._sweep_at = self.monotonic() + _SWEEP_SECONDS
            sweep()

    def _recycle(self) -> None:
        """Close connections that are older than ``CONN_MAX_AGE``, or not usable any more."""
        is_time = self.monotonic() >= self._recycle_at
        if is_time:
            self._recycle_at = self.monotonic() + _RECYCLE_SECONDS
        for connection in connections.all(initialized_only=True):
            if is_time or connection.errors_occurred:
                connection.close_if_unusable_or_obsolete()

    # -- sleeping ----------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """Sleep when there is nothing to do, or until the bell rings."""
        if self._sleep and self._bell.wait(self._sleep) and not self.is_stopping:
            # Cleared before the next look: what rings from here on is looked at by the one after it.
            self._bell.clear()
            self._delay = 0.0

    def _next_delay(self) -> float:
        """Seconds until the next look when nothing was due: few at first, ever more, and never past a due date."""
        longest = self._longest_delay()
        until_due = seconds_until_due(self.options.queues)
        if until_due is not None and until_due <= 0:
            # Due, and not to be had, as what another worker holds at this moment.
            longest = min(longest, self._delay * 2 or self.options.poll_seconds / _EAGERNESS)
        elif until_due is not None:
            longest = min(longest, until_due)
        return max(min(longest, conf.settings.HEALTH_SECONDS / 3), _SHORTEST_SLEEP)

    def _longest_delay(self) -> float:
        if self._is_listening:
            return _LISTENING_POLL_SECONDS if self._delay else QUIET_SECONDS
        return min(self._delay * 2 or self.options.poll_seconds / _EAGERNESS, self.options.poll_seconds)

    @property
    def _is_listening(self) -> bool:
        return self._listener is not None and self._listener.is_listening

    # -- beginning and end -------------------------------------------------------------------------------------

    @contextmanager
    def _announced(self) -> Iterator[None]:
        """Inside, this worker is in the table of workers, and its health can be asked for."""
        self._presence.start()
        self.health.beat()
        try:
            yield
        finally:
            self._presence.remove()
            self.health.remove()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        if not can_listen(database()):
            yield
            return
        self._listener = Listener(database(), self._bell.set)
        self._listener.start()
        try:
            yield
        finally:
            self._listener.close()
