"""A clock that stands until it is moved, by which a test's Python and its databases go alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, Self

import time_machine
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils.timezone import is_naive
from django.utils.timezone import now as present

from ..models.database import moment_for, now_of

__all__ = ["VirtualTime", "clock_in_force"]

#: A zone that is nobody's: for one that has a name, time-machine changes the time zone of the process.
_NAMELESS = timezone(timedelta(minutes=1))

#: The last one counts.
_in_force: list[VirtualTime] = []


class VirtualTime:
    """A clock that stands until it is moved. It begins at the present, or at an aware date.

    ``with VirtualTime() as clock:`` has everything in this process go by it: ``timezone.now()``, ``datetime.now()``,
    ``time.time()``, and the present time for which flowcontrol asks the database; so dates of runs, of their history
    and of an application's own rows agree. ``time.monotonic()`` goes on, and so does what other SQL asks for. Inside
    one another, the inner one counts. Raises ``ValueError`` for a date without a time zone.
    """

    def __init__(self, now: datetime | None = None) -> None:
        began = _aware(present() if now is None else now)
        # No finer than SQLite's clock is: by that, a run could be due a moment before it was started.
        self._now = began.replace(microsecond=began.microsecond // 1_000 * 1_000)
        self._entered: list[tuple[ExitStack, Any]] = []

    @property
    def now(self) -> datetime:
        """The present time by this clock."""
        return self._now

    def move(self, *, to: datetime | None = None, **length: float) -> None:
        """Move it on: ``move(hours=3)`` as in ``timedelta``, or ``move(to=aware_date)``.

        Raises ``ValueError`` for a date without a time zone, and for one that is past.
        """
        then = _aware(to if to is not None else self._now + timedelta(**length))
        if then < self._now:
            raise ValueError(f"It is {self._now} already; a clock does not go back to {then}.")
        self._now = then
        for _, journey in self._entered:
            journey.move_to(then.astimezone(_NAMELESS))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            travel = time_machine.travel(self._now.astimezone(_NAMELESS), tick=False)
            journey = stack.enter_context(travel)
            stack.enter_context(_databases_are_told())
            _in_force.append(self)
            stack.callback(_in_force.pop)
            self._entered.append((stack.pop_all(), journey))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack, _ = self._entered.pop()
        stack.__exit__(kind, error, trace)


def clock_in_force() -> VirtualTime | None:
    """The clock by which everything goes at the moment; None when that is the real time."""
    return _in_force[-1] if _in_force else None


@contextmanager
def _databases_are_told() -> Iterator[None]:
    """Inside, where a statement asks for the database's present time, it is given that of the clock in force."""
    told: list[BaseDatabaseWrapper] = []

    def tell(connection: BaseDatabaseWrapper, **_: Any) -> None:
        if _instead not in connection.execute_wrappers:
            connection.execute_wrappers.append(_instead)
            told.append(connection)

    for connection in connections.all():
        tell(connection)
    # Threads have connections of their own.
    connection_created.connect(tell, weak=False)
    try:
        yield
    finally:
        connection_created.disconnect(tell)
        for connection in told:
            connection.execute_wrappers.remove(_instead)


def _instead(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    clock, connection = clock_in_force(), context["connection"]
    if clock is not None and isinstance(sql, str):
        # In the statement, not in what makes it: some are made once and kept.
        sql = sql.replace(now_of(connection), moment_for(connection, clock.now))
    return execute(sql, params, many, context)


def _aware(moment: datetime) -> datetime:
    if is_naive(moment):
        raise ValueError(f"The date {moment} has no time zone; use an aware datetime.")
    return moment
