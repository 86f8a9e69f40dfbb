"""What the names in an expression stand for, and what of a value can be read by a dotted name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any

from django.db.models import Model

from . import objects
from .budget import Work
from .kinds import Names, is_model, kind_of, reduced
from .missing import Missing
from .values import localized

__all__ = ["RESERVED_NAMES", "Scope", "read_part"]

#: Names that a variable or a key of the state cannot take in expressions.
RESERVED_NAMES = frozenset({"state", "run", "now", "object"})


class Scope:
    """The names that an expression can read: variables of the loops around it, reserved names, keys of the state."""

    __slots__ = ("load_object", "now", "run", "state", "variables", "work")

    def __init__(
        self,
        state: Mapping[str, Any],
        variables: Mapping[str, Any],
        run: Mapping[str, Any],
        now: datetime,
        load_object: Callable[[], Model | None],
    ) -> None:
        self.state = state
        self.variables = variables
        self.run = run
        self.now = now
        self.load_object = load_object
        #: What is left of the work that the evaluation under way may be.
        self.work = Work()

    def __iter__(self) -> Iterator[str]:
        """Every name that can be read, for a hint at one that was meant."""
        return chain(RESERVED_NAMES, self.variables, self.state)

    def read(self, name: str) -> Any:
        """The value of a root name. Raises ``UnknownName``."""
        if self.variables and name in self.variables:
            return self.variables[name]
        if name in RESERVED_NAMES:
            return self._reserved(name)
        try:
            return self.state[name]
        except KeyError:
            pass
        raise Missing(
            f'There is no "{name}" in the state.',
            name,
            self,
            "A value for when it is missing can be given: |default:0.",
        )

    def _reserved(self, name: str) -> Any:
        if name == "object":
            return self.load_object()
        if name == "now":
            return self.now
        mapping = self.state if name == "state" else self.run
        return mapping if type(mapping) is dict else Names(mapping)


def _local(read: Callable[[datetime], Any]) -> Callable[[datetime], Any]:
    """A part of a datetime as the clock on the wall shows it, as in texts and in the filter ``date``."""
    return lambda value: read(localized(value))


_DAY: dict[str, Callable[[Any], Any]] = {
    "year": lambda value: value.year,
    "month": lambda value: value.month,
    "day": lambda value: value.day,
    "weekday": lambda value: value.weekday(),
}
_CLOCK: dict[str, Callable[[Any], Any]] = {
    "hour": lambda value: value.hour,
    "minute": lambda value: value.minute,
    "second": lambda value: value.second,
}
_MOMENT: dict[str, Callable[[Any], Any]] = {
    **_DAY,
    **_CLOCK,
    "date": lambda value: value.date(),
    "time": lambda value: value.time(),
}
#: What dates and the like have by name. A table, so that no attribute of any other kind can ever be reached.
_PARTS: tuple[tuple[type, dict[str, Callable[[Any], Any]]], ...] = (
    (datetime, {name: _local(part) for name, part in _MOMENT.items()}),
    (date, _DAY),
    (time, _CLOCK),
    (timedelta, {"days": lambda value: value.days, "total_seconds": lambda value: value.total_seconds()}),
)


#: Units of work of a part of a value, of one of an object, and of one of a date.
_PART, _FIELD, _OF_DATE = 100, 400, 600


def read_part(value: Any, part: str, path: str, depth: int, work: Work) -> tuple[Any, int]:
    """``part`` of the value that ``path`` gave, and how many relations deep that is.

    Raises ``UnknownName`` for what is not there, and for what may not be read.
    """
    if is_model(value):
        work.spend(_FIELD)
        return objects.read(value, part, path, depth)
    value = _reduced(value, work)
    kind = type(value)
    if kind is dict or kind is Names:
        if part in value:
            return value[part], depth
        raise Missing(f'"{path}" has no "{part}".', part, value)
    if kind is list:
        if part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            return value[int(part)], depth
        raise Missing(f'"{path}" is a list of {len(value)}, and has no "{part}".')
    work.spend(_OF_DATE)
    return _part_of_date(value, part, path), depth


def _reduced(value: Any, work: Work) -> Any:
    work.spend(_PART)
    known = reduced(value)
    if known is not value and type(known) in (dict, list):
        # It was copied.
        work.spend(_PART * len(known))
    return known


def _part_of_date(value: Any, part: str, path: str) -> Any:
    for kind, parts in _PARTS:
        if type(value) is kind:
            if part in parts:
                return parts[part](value)
            raise Missing(f'"{path}" is {kind_of(value)}, which has {", ".join(parts)}, and no "{part}".')
    if value is None:
        what = "there is no object" if path == "object" else "it is None"
        raise Missing(f'"{path}.{part}" cannot be read: {what}.')
    raise Missing(f'"{path}" is {kind_of(value)}, which has no "{part}" to read.')
