"""The time by which runs are claimed, leased and woken: the database's, or a made-up one."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import ClassVar

from django.db.models import DateTimeField, Value
from django.db.models.expressions import Combinable, Expression

from ..models.database import DatabaseNow

__all__ = ["Clock", "FixedClock", "VirtualClock"]


class Clock:
    """The database's clock: the same for all workers, whatever their own say."""

    def now(self) -> Expression | datetime:
        """The present time as a value for a query."""
        return DatabaseNow()

    def after(self, delay: timedelta) -> Combinable | datetime:
        """The time so much later than now as a value for a query."""
        return DatabaseNow() + delay

    def at_claim(self, told: datetime) -> datetime:
        """The time of a claim; ``told`` is what the database said then."""
        return told

    #: Microseconds that pass on it while a second does.
    pace: ClassVar[int] = 1_000_000

    def passed(self, claimed_at: datetime, seconds: float) -> datetime:
        """The time in Python so many seconds after a claim: what the database said then, and what passed since."""
        return claimed_at + timedelta(seconds=seconds)

    def since(self, claimed_at: datetime, started: float) -> datetime:
        """The present time in Python; ``started`` is ``time.monotonic()`` of the claim."""
        return self.passed(claimed_at, time.monotonic() - started)


class VirtualClock(Clock):
    """A clock that stands at a given time: for tests, simulations and looking ahead."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> Value:
        return Value(self._now, output_field=DateTimeField())

    def after(self, delay: timedelta) -> Value:
        return Value(self._now + delay, output_field=DateTimeField())

    def at_claim(self, told: datetime) -> datetime:
        return self._now

    pace = 0

    def passed(self, claimed_at: datetime, seconds: float) -> datetime:
        return self._now


class FixedClock(Clock):
    """One moment as plain dates: what the holder of a lease writes, so that many runs go into one statement."""

    def __init__(self, now: datetime) -> None:
        # No finer than SQLite's clock is, or what is due at once would be due in less than a millisecond.
        self._now = now.replace(microsecond=now.microsecond // 1_000 * 1_000)

    def now(self) -> datetime:
        return self._now

    def after(self, delay: timedelta) -> datetime:
        return self._now + delay
