"""What may be done with any value an expression meets, without running code that belongs to the value.

A model or a field's own type can define ``__eq__``, ``__bool__``, ``__len__`` or ``__str__``. None of them is ever
called from here: an object is true, equals the object of the same row, has no order, and has text only where the
deployer opened it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from django.db import Error as DatabaseProblem
from django.db.models import Model
from django.utils import timezone

from .. import conf
from ..exceptions import EvaluationError, ObjectGone
from .budget import Work
from .kinds import PLAIN, Names, describe, is_model, is_opaque, opaque, reduced

__all__ = [
    "MAX_ITEMS",
    "MAX_TEXT",
    "as_text",
    "compare",
    "equals",
    "is_in",
    "localized",
    "opened_names",
    "search_cost",
    "truth",
    "weigh",
]

#: Longest text that a filter takes or makes, in characters.
MAX_TEXT = 262_144
#: Most items of a list that an operator or filter walks through, or makes.
MAX_ITEMS = 10_000
#: How deep lists may be nested that are compared; JSON of any database is less deep.
MAX_DEPTH = 1_000

_LISTS = frozenset({list, tuple})
_MAPPINGS = frozenset({dict, Names})
#: Of Python's own whose truth is their size.
_SIZED = frozenset({list, tuple, dict, Names, set, frozenset, range, bytes, bytearray, memoryview})

# Units of work; see budget.py.
#: Two numbers in a list, by Python's own `in`.
_COMPARED = 10
#: Two values that are looked at one by one.
_LOOKED_AT = 120
#: Two moments, each in its time zone; a decimal number and a float; and the text of a moment.
_MOMENTS, _EXACT, _WRITTEN_MOMENT = 200, 600, 1_500
#: A value as text.
_WRITTEN = 100

#: Types of which two are compared in no time, and texts from which on it takes some.
_CHEAP = PLAIN - {datetime, time, Decimal}
_LONG = 1_000


def truth(value: Any) -> bool:
    """As Python has it, and an object is true."""
    kind = type(value)
    if kind in PLAIN or kind in _SIZED:
        return bool(value)
    if issubclass(kind, Model):
        return True
    value = reduced(value)
    if is_opaque(value):
        raise opaque(value, "is neither true nor false")
    return bool(value)


# -- equality --------------------------------------------------------------------------------------------------


def equals(one: Any, other: Any, work: Work) -> bool:
    """Never an error for a difference of types: an object, a None and a number may each be asked after."""
    kind, other_kind = type(one), type(other)
    if kind in _CHEAP and other_kind in _CHEAP and not (kind is str is other_kind and len(one) >= _LONG):
        return bool(one == other)
    work.spend(_LOOKED_AT)
    # A loop over what is left of each list and mapping inside, and no recursion: Python's stack may be full already.
    rest: list[Iterator[tuple[Any, Any]]] = [iter(((one, other),))]
    while rest:
        for one, other in rest[-1]:
            inside = _inside(one, other, work)
            if inside is False:
                return False
            if inside is not True:
                if len(rest) > MAX_DEPTH:
                    raise EvaluationError(f'"==" compares what is nested at most {MAX_DEPTH:,} deep.')
                rest.append(inside)
                break
        else:
            rest.pop()
    return True


def _inside(one: Any, other: Any, work: Work) -> bool | Iterator[tuple[Any, Any]]:
    """Whether two values are equal; or, for lists and mappings, the pairs in them that have to be."""
    one, other = reduced(one), reduced(other)
    kind, other_kind = type(one), type(other)
    if kind in PLAIN and other_kind in PLAIN:
        return _same(one, other, work)
    work.spend(_LOOKED_AT)
    if issubclass(kind, Model) or issubclass(other_kind, Model):
        work.spend(_LOOKED_AT)
        return is_model(one) and is_model(other) and _same_row(one, other)
    if kind in _LISTS and other_kind in _LISTS:
        return _items(one, other, work) if kind is other_kind and len(one) == len(other) else False
    if kind in _MAPPINGS and other_kind in _MAPPINGS:
        return _pairs(one, other, work)
    for each in (one, other):
        if is_opaque(each) and one is not None and other is not None:
            raise opaque(each, "cannot be compared")
    return False


def _same(one: Any, other: Any, work: Work) -> bool:
    work.spend(_LOOKED_AT + _cost(one, other))
    try:
        return bool(one == other)
    except ArithmeticError as error:
        # Decimal's signalling NaN.
        raise _incomparable(one, other, f": {error}") from error


def _items(one: Any, other: Any, work: Work) -> bool | Iterator[tuple[Any, Any]]:
    work.spend(_LOOKED_AT + 2 * _COMPARED * len(one))
    if _CHEAP.issuperset(map(type, one)) and _CHEAP.issuperset(map(type, other)):
        if str in map(type, one):
            work.spend(sum(len(item) for item in one if type(item) is str) // 16)
        return bool(one == other)
    return zip(one, other, strict=True)


def _pairs(one: Mapping[Any, Any], other: Mapping[Any, Any], work: Work) -> bool | Iterator[tuple[Any, Any]]:
    if len(one) != len(other):
        return False
    work.spend(_LOOKED_AT * (1 + len(one)))
    # Keys of classes of their own would be asked for their hash and equality.
    for each in (one, other):
        if not PLAIN.issuperset(map(type, each)):
            raise EvaluationError(f"{describe(each)} with keys that are no texts cannot be compared.")
    if not all(key in other for key in one):
        return False
    return ((one[key], other[key]) for key in one)


def _cost(one: Any, other: Any) -> int:
    """What comparing two plain values costs beyond looking at them."""
    kinds = {type(one), type(other)}
    if Decimal in kinds:
        return (
            _EXACT if float in kinds else sum(each.bit_length() for each in (one, other) if type(each) is int)
        )
    if datetime in kinds or time in kinds:
        return _MOMENTS
    return min(len(one), len(other)) // 16 if kinds == {str} else 0


def _same_row(one: Model, other: Model) -> bool:
    if one is other:
        return True
    if one._meta.concrete_model is not other._meta.concrete_model:
        return False
    # From the dictionary: `pk` may be a property of the model's own.
    keys = [
        [reduced(each.__dict__.get(field.attname)) for field in each._meta.pk_fields] for each in (one, other)
    ]
    if not all(type(key) in PLAIN for each in keys for key in each):
        raise _incomparable(one, other, ": their keys are of a type that expressions do not know.")
    return keys[0] == keys[1] and None not in keys[0]


# -- order, and what is in what --------------------------------------------------------------------------------


def compare(symbol: str, function: Callable[[Any, Any], Any], one: Any, other: Any, work: Work) -> bool:
    """``one < other`` and the like. Types that have no common order are an error, and never a false."""
    error: Exception | None = None
    one, other = reduced(one), reduced(other)
    # No lists: Python would ask the objects inside for their own order.
    if type(one) in PLAIN and type(other) in PLAIN:
        work.spend(2 * _LOOKED_AT + _cost(one, other))
        try:
            return bool(function(one, other))
        except (ArithmeticError, TypeError, ValueError) as raised:
            error = raised
    raise _incomparable(one, other, f' by "{symbol}".') from error


def _incomparable(one: Any, other: Any, why: str) -> EvaluationError:
    return EvaluationError(f"{describe(one)} and {describe(other)} cannot be compared{why}")


def is_in(one: Any, other: Any, work: Work) -> bool:
    """A text in a text, an item in a list, a key in a mapping; everything else is an error."""
    one, other = reduced(one), reduced(other)
    kind = type(other)
    if kind is str:
        if type(one) is not str:
            raise EvaluationError(f"{describe(one)} cannot be looked for in a text, only a text can.")
        work.spend(search_cost(one, other))
        return one in other
    if kind in _LISTS:
        if len(other) > MAX_ITEMS:
            raise EvaluationError(
                f'"in" looks through at most {MAX_ITEMS:,} items; this list has {len(other):,}.'
            )
        return _is_item(one, other, work)
    if kind in _MAPPINGS:
        return type(one) is str and _is_key(one, other, work)
    raise EvaluationError(
        f"Nothing can be looked for in {describe(other)}; it takes a list, a text or a mapping."
    )


def _is_item(one: Any, items: Any, work: Work) -> bool:
    work.spend(_COMPARED * len(items))
    if type(one) in _CHEAP and _CHEAP.issuperset(map(type, items)):
        if type(one) is str and len(one) >= _LONG:
            work.spend(len(items) * len(one) // 16)
        return one in items
    return any(item is one or equals(one, item, work) for item in items)


def _is_key(name: str, mapping: Mapping[Any, Any], work: Work) -> bool:
    if type(mapping) is Names:
        return name in mapping
    work.spend(_COMPARED * len(mapping))
    # Keys of classes of their own would be asked for their equality.
    return PLAIN.issuperset(map(type, mapping)) and name in mapping


def search_cost(one: str, other: str) -> int:
    """Of looking for ``one`` in ``other``: Python takes the product of their lengths as long as both are short."""
    size, most = len(one), len(other)
    has_product = most < 30_000 and (size < 100 or most < 2_500)
    return most // 2 + (size * most // 32 if has_product else 0)


# -- text ------------------------------------------------------------------------------------------------------


def as_text(value: Any, work: Work, limit: int = MAX_TEXT) -> str:
    """What a reader is to see: None as nothing, datetimes in the current time zone. At most ``limit`` characters."""
    value = reduced(value)
    kind = type(value)
    if value is None:
        return ""
    work.spend(_WRITTEN_MOMENT if kind is datetime else _WRITTEN)
    if kind is int:
        work.spend(value.bit_length())
    text = value if kind is str else _written(value)
    work.spend(len(text) // 16)
    if len(text) > limit:
        raise EvaluationError(f"The text would have more than {MAX_TEXT:,} characters.")
    return text


def _written(value: Any) -> str:
    kind = type(value)
    if kind in _LISTS or kind in _MAPPINGS:
        way_out = "name one of its parts" if kind in _MAPPINGS else "join its items with |join"
        raise EvaluationError(f"{describe(value)} has no text; {way_out}.")
    if is_opaque(value):
        raise opaque(value, "has no text")
    if issubclass(kind, Model) and "__str__" not in opened_names(kind):
        raise EvaluationError(
            f"{describe(value)} has no text that may be read; name one of its fields. The deployer can open it with "
            f'EXPRESSION_PROPERTIES = {{"{value._meta.label_lower}": ["__str__"]}}.'
        )
    try:
        return str.__str__(str(localized(value)))
    except (DatabaseProblem, ObjectGone):
        raise
    except Exception as error:
        raise EvaluationError(f"{describe(value)} has no text: {error}") from error


def localized(value: Any) -> Any:
    """An aware datetime in the current time zone, everything else as it is."""
    if type(value) is not datetime or timezone.is_naive(value):
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


def weigh(value: Any, limit: int, work: Work) -> int:
    """About how much memory a nested value takes, in characters; stops counting beyond ``limit``."""
    weight, rest = 0, [value]
    while rest and weight <= limit:
        each = reduced(rest.pop())
        weight += 1
        if type(each) is str:
            weight += len(each)
        elif type(each) is list or type(each) is dict:
            # Each item counts one: what is longer than the rest of the limit need not be walked.
            if len(each) > limit - weight:
                return limit + 1
            work.spend(_COMPARED * 3 * len(each))
            if type(each) is dict:
                weight += sum(len(key) for key in each if type(key) is str)
            rest.extend(each.values() if type(each) is dict else each)
    return weight
