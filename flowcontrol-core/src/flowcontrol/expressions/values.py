"""What may be done with any value an expression meets, without running code that belongs to the value.

A model can define ``__eq__``, ``__bool__``, ``__len__`` or ``__str__``. None of them is ever called from here: an
object is true, equals the object of the same row, has no order, and has text only where the deployer opened it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseProblem
from django.db.models import Model
from django.utils import timezone

from .. import conf
from ..exceptions import EvaluationError, ObjectGone

__all__ = [
    "MAX_ITEMS",
    "MAX_TEXT",
    "as_text",
    "compare",
    "describe",
    "equals",
    "is_in",
    "kind_of",
    "localized",
    "opened_names",
    "plain",
    "truth",
    "weigh",
]

#: Longest text that a filter takes or makes, in characters.
MAX_TEXT = 262_144
#: Most items of a list that an operator or filter walks through, or makes.
MAX_ITEMS = 10_000

#: Types whose own comparison and truth are Python's.
_PLAIN = frozenset({bool, int, float, str, Decimal, datetime, date, time, timedelta, UUID, type(None)})

_CONTAINERS = (list, tuple, Mapping)
#: Also a mapping has no order, but Python knows that itself.
_NO_ORDER = (Model, list, tuple)

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "a text"),
    (int, "a whole number"),
    (float, "a number"),
    (Decimal, "a decimal number"),
    (datetime, "a datetime"),
    (date, "a date"),
    (time, "a time"),
    (timedelta, "a length of time"),
    (UUID, "a UUID"),
    (list, "a list"),
    (Mapping, "a mapping"),
)


def kind_of(value: Any) -> str:
    """``a whole number``: the type in words."""
    if value is None:
        return "None"
    if isinstance(value, Model):
        return f"an object ({value._meta.label})"
    return next((words for kind, words in _KINDS if isinstance(value, kind)), f"a {type(value).__name__}")


def describe(value: Any) -> str:
    """The value for an error's text: short, whatever its size, and without asking an object."""
    if value is None or isinstance(value, (Model, list, Mapping)):
        return kind_of(value)
    if isinstance(value, str):
        text = repr(value[:60]) if len(value) <= 60 else f"{value[:57]!r}…"
    elif isinstance(value, int) and value.bit_length() > 200:
        text = f"of {value.bit_length()} bits"
    elif type(value) in _PLAIN:
        text = str(value)[:60]
    else:
        return kind_of(value)
    return f"{text} ({kind_of(value)})"


def truth(value: Any) -> bool:
    """As Python has it, and an object is true."""
    if type(value) in _PLAIN or isinstance(value, (str, int, list, dict)):
        return bool(value)
    if isinstance(value, Model):
        return True
    try:
        return bool(value)
    except Exception as error:
        raise EvaluationError(f"Whether {kind_of(value)} is true cannot be told: {error}") from error


def equals(one: Any, other: Any) -> bool:
    """Never an error for a difference of types: an object, a None and a number may each be asked after."""
    if (
        isinstance(one, _CONTAINERS)
        and isinstance(other, _CONTAINERS)
        and _is_large(one)
        and _is_large(other)
    ):
        raise EvaluationError(f'"==" compares lists and mappings of at most {MAX_ITEMS:,} items in all.')
    return _equal(one, other)


def _equal(one: Any, other: Any) -> bool:
    if type(one) in _PLAIN and type(other) in _PLAIN:
        try:
            return bool(one == other)
        except ArithmeticError as error:
            # Decimal's signalling NaN.
            raise EvaluationError(
                f"{describe(one)} and {describe(other)} cannot be compared: {error}"
            ) from error
    if isinstance(one, Model) or isinstance(other, Model):
        return isinstance(one, Model) and isinstance(other, Model) and _same_row(one, other)
    # Item by item: Python would ask the objects inside for their own idea of equality.
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    try:
        return bool(one == other)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        raise EvaluationError(f"{describe(one)} and {describe(other)} cannot be compared: {error}") from error


def _is_large(value: Any) -> bool:
    """Whether there are more than ``MAX_ITEMS`` items in it, however deep."""
    count, rest = 0, [value]
    while rest:
        each = rest.pop()
        count += len(each)
        if count > MAX_ITEMS:
            return True
        inside = each.values() if isinstance(each, Mapping) else each
        rest.extend(item for item in inside if isinstance(item, _CONTAINERS))
    return False


def _same_row(one: Model, other: Model) -> bool:
    if one is other:
        return True
    if one._meta.concrete_model is not other._meta.concrete_model:
        return False
    # From the dictionary: `pk` may be a property of the model's own.
    keys = [[each.__dict__.get(field.attname) for field in each._meta.pk_fields] for each in (one, other)]
    return keys[0] == keys[1] and None not in keys[0]


def compare(symbol: str, function: Callable[[Any, Any], Any], one: Any, other: Any) -> bool:
    """``one < other`` and the like. Types that have no common order are an error, and never a false."""
    error: Exception | None = None
    # No lists: Python would ask the objects inside for their own order.
    if not isinstance(one, _NO_ORDER) and not isinstance(other, _NO_ORDER):
        try:
            return bool(function(one, other))
        except (ArithmeticError, TypeError, ValueError) as raised:
            error = raised
    raise EvaluationError(
        f'{describe(one)} and {describe(other)} cannot be compared by "{symbol}".'
    ) from error


def is_in(one: Any, other: Any) -> bool:
    """A text in a text, an item in a list, a key in a mapping; everything else is an error."""
    if isinstance(other, str):
        if not isinstance(one, str):
            raise EvaluationError(f"{describe(one)} cannot be looked for in a text, only a text can.")
        return one in other
    if isinstance(other, (list, tuple)):
        if len(other) > MAX_ITEMS:
            raise EvaluationError(
                f'"in" looks through at most {MAX_ITEMS:,} items; this list has {len(other):,}.'
            )
        if isinstance(one, _CONTAINERS) and _is_large(one):
            raise EvaluationError(f"{describe(one)} is too large to be looked for.")
        return any(item is one or _equal(one, item) for item in other)
    if isinstance(other, Mapping):
        return isinstance(one, str) and one in other
    raise EvaluationError(
        f"Nothing can be looked for in {describe(other)}; it takes a list, a text or a mapping."
    )


def as_text(value: Any, limit: int = MAX_TEXT) -> str:
    """What a reader is to see: None as nothing, datetimes in the current time zone. At most ``limit`` characters."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple, Mapping)):
        way_out = "name one of its parts" if isinstance(value, Mapping) else "join its items with |join"
        raise EvaluationError(f"{describe(value)} has no text; {way_out}.")
    if isinstance(value, Model) and "__str__" not in opened_names(type(value)):
        raise EvaluationError(
            f"{describe(value)} has no text that may be read; name one of its fields. The deployer can open it with "
            f'EXPRESSION_PROPERTIES = {{"{value._meta.label_lower}": ["__str__"]}}.'
        )
    try:
        text = plain(value) if isinstance(value, str) else str(localized(value))
    except (DatabaseProblem, ObjectGone):
        raise
    except Exception as error:
        raise EvaluationError(f"{describe(value)} has no text: {error}") from error
    if len(text) > limit:
        raise EvaluationError(f"The text would have more than {MAX_TEXT:,} characters.")
    return text


def plain(value: str) -> str:
    """The same text as exactly a ``str``: what claims to be safe HTML must not reach a page by way of the state."""
    return str.__str__(value)


def localized(value: Any) -> Any:
    """An aware datetime in the current time zone, everything else as it is."""
    if not isinstance(value, datetime) or timezone.is_naive(value):
        return value
    try:
        return timezone.localtime(value)
    except OverflowError:
        # Within a day of the calendar's first or last moment there is none in every zone.
        return value


def opened_names(model: type[Model]) -> frozenset[str]:
    """What the deployer opened of a model, its bases included."""
    opened = conf.get("EXPRESSION_PROPERTIES")
    if not opened:
        return _NONE
    labels = [
        base._meta.label_lower for base in model.__mro__ if issubclass(base, Model) and hasattr(base, "_meta")
    ]
    return frozenset(name for label in labels for name in opened.get(label, ()))


_NONE: frozenset[str] = frozenset()


def weigh(value: Any, limit: int) -> int:
    """About how much memory a nested value takes, in characters; stops counting beyond ``limit``."""
    weight, rest = 0, [value]
    while rest and weight <= limit:
        each = rest.pop()
        weight += 1
        if isinstance(each, str):
            weight += len(each)
        elif isinstance(each, Mapping):
            weight += sum(map(len, each))
            rest.extend(each.values())
        elif isinstance(each, list):
            # Each item counts one: what is longer than the rest of the limit need not be walked.
            if len(each) > limit - weight:
                return limit + 1
            rest.extend(each)
    return weight
