"""What the names in an expression stand for, and what of a value can be read by a dotted name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import chain
from typing import Any

from django.db.models import Model

from . import objects
from .missing import Missing
from .values import kind_of, localized

__all__ = ["RESERVED_NAMES", "Scope", "read_part"]

#: Names that a variable or a key of the state cannot take in expressions.
RESERVED_NAMES = frozenset({"state", "run", "now", "object"})


class Scope:
    """The names that an expression can read: variables of the loops around it, reserved names, keys of the state."""

    __slots__ = ("load_object", "now", "run", "state", "variables")

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

    def __iter__(self) -> Iterator[str]:
        """Every name that can be read, for a hint at one that was meant."""
        return chain(RESERVED_NAMES, self.variables, self.state)

    def read(self, name: str) -> Any:
        """The value of a root name. Raises ``UnknownName``."""
        if self.variables and name in self.variables:
            return self.variables[name]
        if name in RESERVED_NAMES:
            return self.load_object() if name == "object" else getattr(self, name)
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


def read_part(value: Any, part: str, path: str, depth: int) -> tuple[Any, int]:
    """``part`` of the value that ``path`` gave, and how many relations deep that is.

    Raises ``UnknownName`` for what is not there, and for what may not be read.
    """
    if isinstance(value, Model):
        return objects.read(value, part, path, depth)
    if isinstance(value, Mapping):
        if part in value:
            return value[part], depth
        raise Missing(f'"{path}" has no "{part}".', part, value)
    if isinstance(value, list):
        if part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            return value[int(part)], depth
        raise Missing(f'"{path}" is a list of {len(value)}, and has no "{part}".')
    for kind, parts in _PARTS:
        if isinstance(value, kind):
            if part in parts:
                return parts[part](value), depth
            raise Missing(f'"{path}" is {kind_of(value)}, which has {", ".join(parts)}, and no "{part}".')
    if value is None:
        what = "there is no object" if path == "object" else "it is None"
        raise Missing(f'"{path}.{part}" cannot be read: {what}.')
    raise Missing(f'"{path}" is {kind_of(value)}, which has no "{part}" to read.')
