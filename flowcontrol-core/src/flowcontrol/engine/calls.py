"""Calls of the outside world side by side: threads that make them, so that waiting for it blocks no other run."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from django.db import connections

from .stretch import Call
from .timelimit import StepTimeout, interrupt

__all__ = ["Calls"]


@dataclass(eq=False, slots=True)
class _Ticket:
    """A call under way: who it is for, and since when it runs, once it does."""

    owner: Any
    call: Call
    began: float | None = None
    thread_id: int | None = None
    is_over: bool = False
    is_abandoned: bool = False

    @property
    def deadline(self) -> float | None:
        return None if self.began is None else self.began + self.call.limit


@dataclass(eq=False)
class Calls:
    """At most ``size`` calls at a time; further ones wait for their turn.

    A call that takes longer than its limit counts as failed. Its thread cannot be stopped from outside: it is told to
    end at its next instruction of Python, another one takes its place, and what it answers is not heard.
    """

    size: int
    _todo: SimpleQueue[_Ticket | None] = field(default_factory=SimpleQueue)
    _done: SimpleQueue[tuple[_Ticket, Any]] = field(default_factory=SimpleQueue)
    _under_way: set[_Ticket] = field(default_factory=set)
    _threads: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __len__(self) -> int:
        """Calls that were started and have not been answered."""
        return len(self._under_way)

    def start(self, owner: Any, call: Call) -> None:
        ticket = _Ticket(owner, call)
        self._under_way.add(ticket)
        if self._threads < min(self.size, len(self._under_way)):
            self._add_thread()
        self._todo.put(ticket)

    def answers(self, patience: float) -> list[tuple[Any, Any]]:
        """Owners of calls that ended, with what was returned or raised; waits for the first up to ``patience`` s."""
        found: list[tuple[_Ticket, Any]] = []
        try:
            if patience > 0 and self._under_way:
                found.append(self._done.get(timeout=self._until_deadline(patience)))
            while True:
                found.append(self._done.get_nowait())
        except Empty:
            pass
        heard = [(ticket.owner, answer) for ticket, answer in found if ticket in self._under_way]
        self._under_way.difference_update(ticket for ticket, _ in found)
        return heard + self._overdue()

    def withdraw(self) -> list[Any]:
        """Owners of calls that were not begun, and will not be."""
        owners = []
        with suppress(Empty):
            while True:
                ticket = self._todo.get_nowait()
                if ticket is not None:
                    self._under_way.discard(ticket)
                    owners.append(ticket.owner)
        return owners

    def close(self) -> None:
        """Have the threads end once they have nothing to do."""
        for _ in range(self._threads):
            self._todo.put(None)
        self._threads = 0

    def _until_deadline(self, patience: float) -> float:
        deadlines = [ticket.deadline for ticket in self._under_way if ticket.deadline is not None]
        return max(0.0, min(patience, min(deadlines) - time.monotonic())) if deadlines else patience

    def _overdue(self) -> list[tuple[Any, Any]]:
        now = time.monotonic()
        late = [
            ticket for ticket in self._under_way if ticket.deadline is not None and ticket.deadline <= now
        ]
        given_up = [ticket for ticket in late if self._is_given_up(ticket)]
        self._under_way.difference_update(given_up)
        for _ in given_up:
            self._add_thread(replacing=True)
        return [(ticket.owner, StepTimeout(ticket.call.limit)) for ticket in given_up]

    def _is_given_up(self, ticket: _Ticket) -> bool:
        """Tell its thread to end; false when the call is over after all, and its answer on the way."""
        # Under the lock, or the thread might be at its next call already when it is told to end.
        with self._lock:
            if ticket.is_over:
                return False
            ticket.is_abandoned = True
            assert ticket.thread_id is not None
            interrupt(ticket.thread_id)
            return True

    def _add_thread(self, *, replacing: bool = False) -> None:
        self._threads += not replacing
        # A daemon, so that a call that hangs does not keep the process from ending.
        threading.Thread(target=self._work, name="flowcontrol-call", daemon=True).start()

    def _work(self) -> None:
        # Told to end when it was nearly over, it may hear of it here.
        with suppress(StepTimeout):
            while (ticket := self._todo.get()) is not None:
                ticket.thread_id = threading.get_ident()
                ticket.began = time.monotonic()
                try:
                    answer: Any = ticket.call.function()
                except BaseException as error:  # noqa: BLE001  whatever it is, its run has to hear of it
                    answer = error
                with self._lock:
                    ticket.is_over = True
                if ticket.is_abandoned:
                    connections.close_all()
                    return
                for connection in connections.all(initialized_only=True):
                    connection.close_if_unusable_or_obsolete()
                self._done.put((ticket, answer))
