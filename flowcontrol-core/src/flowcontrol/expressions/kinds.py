"""The types that expressions know, and every other value as exactly one of them, without running any code of it.

A field, a property or a filter may give a text, a number or a list of a class of its own, with its own ``__eq__``,
``__str__`` or ``__len__``. It is taken as what it is beneath: the base type's own methods read it. What is nothing of
the kind stays as it is, *opaque*: it can be passed on, and asked whether it is None, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

from django.db.models import Model
from django.utils.functional import Promise

from ..exceptions import EvaluationError

__all__ = ["KNOWN", "PLAIN", "Names", "describe", "is_model", "is_opaque", "kind_of", "opaque", "reduced"]

#: Types whose own comparison and truth are Python's.
PLAIN = frozenset({bool, int, float, str, Decimal, datetime, date, time, timedelta, UUID, type(None)})


class Names(Mapping[str, Any]):
    """``state`` and ``run``: whatever mapping the engine has for them, as a type that expressions know."""

    __slots__ = ("_mapping",)

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        self._mapping: Final = mapping

    def __getitem__(self, key: str) -> Any:
        return self._mapping[key]

    def __contains__(self, key: object) -> bool:
        return key in self._mapping

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping)

    def __len__(self) -> int:
        return len(self._mapping)


#: With these, all types that expressions know but objects.
KNOWN = PLAIN | {list, tuple, dict, Names}

_WORDS: dict[type, str] = {
    type(None): "None",
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
    Decimal: "a decimal number",
    datetime: "a datetime",
    date: "a date",
    time: "a time",
    timedelta: "a length of time",
    UUID: "a UUID",
    list: "a list",
    tuple: "a tuple",
    dict: "a mapping",
    Names: "a mapping",
}


def kind_of(value: Any) -> str:
    """``a whole number``: the type in words."""
    kind = type(value)
    if issubclass(kind, Model):
        return f"an object ({kind._meta.label})"
    return next((_WORDS[base] for base in kind.__mro__ if base in _WORDS), f"a {kind.__name__}")


def describe(value: Any) -> str:
    """The value for an error's text: short, whatever its size, and without asking an object."""
    value = reduced(value)
    kind = type(value)
    if kind is str:
        text = repr(value[:60]) if len(value) <= 60 else f"{value[:57]!r}…"
    elif kind is int and value.bit_length() > 200:
        text = f"of {value.bit_length()} bits"
    elif kind in PLAIN and value is not None:
        text = str(value)[:60]
    else:
        return kind_of(value)
    return f"{text} ({kind_of(value)})"


def is_model(value: Any) -> bool:
    # By the type, as everywhere here: `isinstance` would ask the value for its `__class__`.
    return issubclass(type(value), Model)


def is_opaque(value: Any) -> bool:
    """Whether it is, even after ``reduced``, of a type that expressions know nothing of."""
    return type(value) not in KNOWN and not is_model(value)


def opaque(value: Any, problem: str) -> EvaluationError:
    return EvaluationError(
        f"{kind_of(value)} {problem}: it is of a type that expressions do not know. Give the model a property that "
        "makes a text, a number or a date of it; the deployer opens it with EXPRESSION_PROPERTIES."
    )


def reduced(value: Any) -> Any:
    """The value as exactly one of the types that are known; an object, and what is opaque, as it is."""
    kind = type(value)
    if kind in KNOWN:
        return value
    reduce = _reducer(cast("Any", kind))
    return value if reduce is None else reduce(value)


# Attributes and methods of the types themselves: whatever a subclass has under these names is not asked.
_DATE = tuple(date.__dict__[name].__get__ for name in ("year", "month", "day"))
_CLOCK = ("hour", "minute", "second", "microsecond", "tzinfo")
_TIME = tuple(time.__dict__[name].__get__ for name in _CLOCK)
_MOMENT = tuple(datetime.__dict__[name].__get__ for name in _CLOCK)
_LENGTH = tuple(timedelta.__dict__[name].__get__ for name in ("days", "seconds", "microseconds"))
_fold_of_time, _fold_of_moment = time.__dict__["fold"].__get__, datetime.__dict__["fold"].__get__
_number_of_uuid = UUID.__dict__["int"].__get__
_ALL = slice(None)


def _as_datetime(value: datetime) -> datetime:
    parts = [read(value) for read in (*_DATE, *_MOMENT)]
    return datetime(*parts, fold=_fold_of_moment(value))  # noqa: DTZ001  # the time zone is one of the parts


def _as_date(value: date) -> date:
    return date(*(read(value) for read in _DATE))


def _as_time(value: time) -> time:
    parts: list[int | tzinfo | None] = [read(value) for read in _TIME]
    return time(*parts, fold=_fold_of_time(value))  # type: ignore[arg-type]


def _as_timedelta(value: timedelta) -> timedelta:
    return timedelta(*(read(value) for read in _LENGTH))


def _as_uuid(value: UUID) -> UUID:
    return UUID(int=_number_of_uuid(value))


def _as_dict(value: dict[Any, Any]) -> Any:
    # Keys of classes of their own would be asked for their hash.
    return dict(dict.items(value)) if PLAIN.issuperset(map(type, dict.keys(value))) else value


# datetime before date, whose subclass it is.
_REDUCERS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Decimal, Decimal),
    (datetime, _as_datetime),
    (date, _as_date),
    (time, _as_time),
    (timedelta, _as_timedelta),
    (UUID, _as_uuid),
    (list, lambda value: list.__getitem__(value, _ALL)),
    (tuple, lambda value: tuple.__getitem__(value, _ALL)),
    (dict, _as_dict),
)


@lru_cache(maxsize=1_024)
def _reducer(kind: type) -> Callable[[Any], Any] | None:
    if issubclass(kind, Promise) and kind.__module__ == Promise.__module__:
        # A translation that waits for the language of its reader. Only as Django itself makes them.
        return lambda value: str.__str__(str(value))
    if issubclass(kind, Model):
        return None
    return next((reduce for base, reduce in _REDUCERS if issubclass(kind, base)), None)
