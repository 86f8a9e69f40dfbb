"""Filters that calculate: numbers exactly and within bounds, dates by the clock on the wall."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from ..exceptions import EvaluationError
from .budget import Work
from .kinds import describe
from .values import MAX_TEXT, localized, weigh

__all__ = [
    "MAX_DIGITS",
    "add",
    "add_days",
    "add_hours",
    "add_minutes",
    "add_seconds",
    "check",
    "divide",
    "divisibleby",
    "modulo",
    "multiply",
    "number",
    "subtract",
    "to_decimal",
    "to_int",
]

#: Most digits of a number, before and after the point.
MAX_DIGITS = 300

#: Most numbers are nearer to nought than this, and need no counting of digits.
_SMALL = 2**63

Number = int | float | Decimal

#: Wide enough that sums and products of numbers within bounds are exact.
_EXACT = Context(prec=4 * MAX_DIGITS)
_QUOTIENT = Context(prec=28)
_WRITTEN = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?\s*", re.ASCII | re.IGNORECASE)


def check(value: Any) -> int:
    """About how many digits a number has, if it is a large one; everything else has none.

    Raises ``EvaluationError`` for a number that is none, or that has too many digits.
    """
    if type(value) is bool or (type(value) is int and -_SMALL < value < _SMALL):
        return 0
    # A Decimal by its own word for it: `math` raises for one that signals.
    if isinstance(value, Decimal) and not value.is_finite():
        raise EvaluationError(f"{value} is no number to calculate with.")
    if isinstance(value, float) and not math.isfinite(value):
        raise EvaluationError(f"{value} is no number to calculate with.")
    if isinstance(value, int):
        digits = int(value.bit_length() * 0.30103)
    elif isinstance(value, Decimal):
        digits = abs(value.adjusted()) + len(value.as_tuple().digits)
    else:
        return 0
    if digits > MAX_DIGITS:
        raise EvaluationError(f"A number has at most {MAX_DIGITS} digits here; this has {digits:,}.")
    return digits


def number(value: Any) -> Number:
    """The value as a number; text that looks like one counts, as in Django's filters."""
    found: Number | None = None
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        found = value
    elif isinstance(value, str) and len(value) <= 2 * MAX_DIGITS and (match := _WRITTEN.fullmatch(value)):
        written = match[0].strip()
        found = int(written) if written.lstrip("+-").isdigit() else Decimal(written)
    if found is None:
        raise EvaluationError(f"{describe(value)} is no number.")
    check(found)
    return found


def _pair(value: Any, argument: Any) -> tuple[Any, Any]:
    """Two numbers that calculate with one another: both Decimals if one is."""
    left, right = number(value), number(argument)
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return to_decimal(left), to_decimal(right)
    return left, right


def to_int(value: Any) -> int:
    """Without the fraction."""
    return int(number(value))


def to_decimal(value: Any) -> Decimal:
    found = number(value)
    return found if isinstance(found, Decimal) else Decimal(str(found))


def add(value: Any, argument: Any, *, work: Work) -> Any:
    """The sum of two numbers, two texts put together, two lists, or a date and a timedelta."""
    kind = str if isinstance(value, str) else list
    if isinstance(value, (str, list)) and isinstance(argument, kind):
        # What is in them counts too: a list holds a large text many times at no cost, until somebody writes it.
        if weigh(value, MAX_TEXT, work) + weigh(argument, MAX_TEXT, work) > MAX_TEXT:
            raise EvaluationError(f"Both together have more than {MAX_TEXT:,} characters.")
        return value + argument  # type: ignore[operator]
    if isinstance(value, (date, timedelta)) and isinstance(argument, timedelta):
        return value + argument
    if isinstance(value, timedelta) and isinstance(argument, date):
        return argument + value
    left, right = _pair(value, argument)
    return _EXACT.add(left, right) if isinstance(left, Decimal) else left + right


def subtract(value: Any, argument: Any) -> Any:
    """The difference of two numbers, of two dates (a timedelta), or of a date and a timedelta."""
    if isinstance(value, (date, timedelta)) and isinstance(argument, (date, timedelta)):
        return value - argument  # type: ignore[operator]
    left, right = _pair(value, argument)
    return _EXACT.subtract(left, right) if isinstance(left, Decimal) else left - right


def multiply(value: Any, argument: Any) -> Any:
    left, right = _pair(value, argument)
    return _EXACT.multiply(left, right) if isinstance(left, Decimal) else left * right


def divide(value: Any, argument: Any) -> Any:
    """The quotient: of two whole numbers a Decimal."""
    left, right = _pair(value, argument)
    if right == 0:
        raise EvaluationError(f"{describe(value)} cannot be divided by 0.")
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    return _QUOTIENT.divide(Decimal(left), Decimal(right))


def modulo(value: Any, argument: Any) -> Any:
    """The remainder; never negative for a positive divisor."""
    left, right = _pair(value, argument)
    if right == 0:
        raise EvaluationError(f"{describe(value)} has no remainder by 0.")
    if not isinstance(left, Decimal):
        return left % right
    rest = _EXACT.remainder(left, right)
    return _EXACT.add(rest, right) if rest and (rest < 0) != (right < 0) else rest


def divisibleby(value: Any, argument: Any) -> bool:
    return bool(modulo(value, argument) == 0)


# -- dates -----------------------------------------------------------------------------------------------------


def add_days(value: Any, argument: Any) -> Any:
    """So many days on. A datetime keeps its time of day in the current time zone, over a change of clocks too."""
    shift = timedelta(days=float(number(argument)))
    if isinstance(value, datetime):
        moved: datetime = localized(value) + shift
        # By way of UTC, so that a time of day which the change of clocks leaves out becomes one that there is.
        return moved if moved.tzinfo is None else moved.astimezone(UTC).astimezone(moved.tzinfo)
    if isinstance(value, date):
        if shift % timedelta(days=1):
            raise EvaluationError(f"{describe(value)} has no time of day: add whole days to it.")
        return value + shift
    raise EvaluationError(f"{describe(value)} is no date.")


def add_hours(value: Any, argument: Any) -> Any:
    """So many hours later, whatever clocks do meanwhile; so too for minutes and seconds."""
    return _later(value, timedelta(hours=float(number(argument))))


def add_minutes(value: Any, argument: Any) -> Any:
    return _later(value, timedelta(minutes=float(number(argument))))


def add_seconds(value: Any, argument: Any) -> Any:
    return _later(value, timedelta(seconds=float(number(argument))))


def _later(value: Any, shift: timedelta) -> datetime:
    if not isinstance(value, datetime):
        raise EvaluationError(f"{describe(value)} has no time of day.")
    if value.tzinfo is None:
        return value + shift
    return (value.astimezone(UTC) + shift).astimezone(value.tzinfo)
