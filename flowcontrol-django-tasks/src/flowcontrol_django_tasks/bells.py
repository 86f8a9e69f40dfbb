"""Bells and the tick: every question here is answered by one statement, so that of many who ask one is told to send."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F
from flowcontrol.engine import Clock

from .models import Bell, Tick

__all__ = ["Due", "answer", "begin", "follow", "hasten", "next_tick", "overdue_seconds", "ring"]

#: A message that nobody took for so long counts as lost, and is sent again.
_PATIENCE = timedelta(seconds=120)
#: How much earlier it has to be for a tick to be sent anew.
_HASTE = timedelta(seconds=0.5)
#: The one row of the tick.
_ONLY = 1

_clock = Clock()


class Due(NamedTuple):
    """A tick: its number, and when it has to come."""

    number: int
    at: datetime


def ring(queue: str, number: int) -> bool:
    """Whether a message has to be sent; false while one is on its way that nobody took."""
    bells = Bell.objects.filter(queue=queue, number=number)
    # Asked first: a SELECT waits for nobody, and most of the time somebody rang already.
    if bells.filter(rung_at__gte=_clock.after(-_PATIENCE)).exists():
        return False
    if bells.exclude(rung_at__gte=_clock.after(-_PATIENCE)).update(rung_at=_clock.now()):
        return True
    _, is_new = Bell.objects.get_or_create(queue=queue, number=number, defaults={"rung_at": _clock.now()})
    return is_new


def answer(queue: str, number: int) -> None:
    """A worker took the message, or it could not be sent. What becomes due from now on is worth another one."""
    Bell.objects.filter(queue=queue, number=number).update(rung_at=None)


def begin(grace: timedelta) -> Due | None:
    """A tick to be sent at once, unless there is one that is not overdue by more than this."""
    ticks = Tick.objects.filter(pk=_ONLY)
    if ticks.filter(due_at__gte=_clock.after(-grace)).exists():
        return None
    lapsed = ticks.filter(due_at__lt=_clock.after(-grace))
    if lapsed.update(number=F("number") + 1, due_at=_clock.now()):
        return next_tick()
    _, is_new = Tick.objects.get_or_create(pk=_ONLY, defaults={"number": 1, "due_at": _clock.now()})
    return next_tick() if is_new else None


def follow(number: int, delay: timedelta) -> Due | None:
    """The tick to be sent after this one came; none when it is late or doubled, and another one is on its way."""
    came = Tick.objects.filter(pk=_ONLY, number=number)
    return next_tick() if came.update(number=F("number") + 1, due_at=_clock.after(delay)) else None


def hasten(delay: timedelta) -> Due | None:
    """A tick to be sent in place of the one on its way, which comes too late; none when that comes early enough."""
    late = Tick.objects.filter(pk=_ONLY, due_at__gt=_clock.after(delay + _HASTE))
    if not late.exists():
        return None
    return next_tick() if late.update(number=F("number") + 1, due_at=_clock.after(delay)) else None


def next_tick() -> Due | None:
    """The tick that is on its way."""
    row = Tick.objects.filter(pk=_ONLY).values_list("number", "due_at").first()
    return None if row is None else Due(*row)


def overdue_seconds() -> float | None:
    """For how long the tick is due, negative when it is not yet; None when none was ever sent."""
    rows = Tick.objects.filter(pk=_ONLY).annotate(told=_clock.now()).values_list("due_at", "told")
    return next(((told - due_at).total_seconds() for due_at, told in rows), None)
