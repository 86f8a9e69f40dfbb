"""When a delay is over: calendar arithmetic in a time zone, as pure functions. No Django, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from dateutil.relativedelta import relativedelta
from flowcontrol.exceptions import EvaluationError

__all__ = ["Shift", "due_time", "first_moment", "moment_of"]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a delay reaches, applied in the order of the fields.

    ``months`` are counted on the calendar: the day is kept, or the month's last day taken when it has none
    such. ``seconds`` are elapsed time. ``weekday`` (0 is Monday) and ``time`` then go on to the next moment
    at or after what was reached; a weekday without a time keeps the time of day.
    """

    months: int = 0
    seconds: int = 0
    weekday: int | None = None
    time: time | None = None


def due_time(base: datetime, shift: Shift, zone: tzinfo, *, after_base: bool = False) -> datetime:
    """The moment, in UTC, that ``shift`` leads to from ``base`` (aware) by clocks and calendar of ``zone``.

    With ``after_base`` a weekday and time that ``base`` itself meets does not count: who waits from now until
    Monday, on a Monday, means the next one. A time that the clocks skip becomes the first moment after the
    gap, a time that they show twice is the first of the two. Raises ``OverflowError`` outside of the years
    1 to 9999.
    """
    try:
        moment = base.astimezone(UTC)
        earliest = moment + timedelta.resolution if after_base else None
        if shift.months:
            wall = moment.astimezone(zone).replace(tzinfo=None)
            moment = first_moment(wall + relativedelta(months=shift.months), zone)
        moment += timedelta(seconds=shift.seconds)
        if shift.weekday is None and shift.time is None:
            return moment
        return next(
            candidate
            for candidate in _matches(moment, shift.weekday, shift.time, zone)
            if candidate >= moment and (earliest is None or candidate >= earliest)
        )
    except (OverflowError, ValueError) as error:  # dateutil raises the one, datetime either
        raise OverflowError(
            f"A delay from {base.isoformat()} by {shift.months} months and {shift.seconds} seconds "
            "ends outside of the years 1 to 9999."
        ) from error


def first_moment(wall: datetime, zone: tzinfo) -> datetime:
    """The first moment, in UTC, at which clocks in ``zone`` show ``wall`` (naive) or, skipping it, more."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first <= second:
        return first
    # Python reads a skipped time with the offset before the gap (fold 0) or after it (fold 1): moments on
    # either side of the change of the clocks, in reverse. Such changes happen at whole seconds.
    before, after = math.floor(second.timestamp()), math.floor(first.timestamp())
    offset_before = second.astimezone(zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset_before:
            before = middle
        else:
            after = middle
    return datetime.fromtimestamp(after, UTC)


def moment_of(value: object, zone: tzinfo, source: str) -> datetime:
    """The moment, in UTC, that the value of the expression ``source`` stands for.

    An aware datetime, a date (its first moment in ``zone``), or either of them as ISO text, for what came in
    as JSON. Raises ``EvaluationError`` for anything else, a datetime without a time zone included.
    """
    found = _read_iso(value) if isinstance(value, str) else value
    if isinstance(found, datetime):
        if found.utcoffset() is None:
            raise EvaluationError(
                f"The expression “{source}” gives the datetime {found.isoformat()} without a time zone, "
                "which is a different moment in each. Give it one where the value comes from "
                "(django.utils.timezone.make_aware), or write the offset: 2026-12-24T18:00+01:00."
            )
        return found.astimezone(UTC)
    if isinstance(found, date):
        return first_moment(datetime.combine(found, time.min), zone)
    given = "nothing (None)" if value is None else f"{value!r:.80}, a {type(value).__name__}"
    raise EvaluationError(
        f"The expression “{source}” gives {given}, where a date or a datetime with a time zone is needed. "
        "Name a field or state key that holds one, or give a default: "
        "“object.due_at|default:now”; as text, write 2026-12-24 or 2026-12-24T18:00+01:00."
    )


def _read_iso(text: str) -> date | None:
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    return None


def _matches(moment: datetime, weekday: int | None, at: time | None, zone: tzinfo) -> Iterator[datetime]:
    """Moments of this weekday and time in order, from one not after ``moment``'s first match on."""
    local = moment.astimezone(zone)
    days_ahead = 0 if weekday is None else (weekday - local.weekday()) % 7
    if at is None and days_ahead == 0:
        yield moment  # exact where the clocks show this time twice
        days_ahead = 7
    day = local.date() + timedelta(days=days_ahead)
    every = timedelta(days=1 if weekday is None else 7)
    # A day that a zone skips as a whole leads to the start of the next, so it takes a few tries at most.
    while True:
        yield first_moment(datetime.combine(day, at or local.time()), zone)
        day += every
