"""What the names in an expression stand for, and what of a value can be read by a dotted name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import Model

from ..exceptions import UnknownName
from ..suggestions import did_you_mean
from . import objects

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

    def read(self, name: str) -> Any:
        """The value of a root name. Raises ``UnknownName``."""
        if self.variables and name in self.variables:
            return self.variables[name]
        if name in RESERVED_NAMES:
            return self.load_object() if name == "object" else getattr(self, name)
        try:
            return self.state[name]
        except KeyError:
            known = [*RESERVED_NAMES, *self.variables, *self.state]
            hint = did_you_mean(name, known)
            raise UnknownName(
                f'There is no "{name}" in the state. {hint}'.rstrip()
                + " A value for when it is missing can be given: |default:0."
            ) from None


#: What dates and the like have by name. A table, so that no attribute of any other kind can ever be reached.
_PARTS: tuple[tuple[type, dict[str, Callable[[Any], Any]]], ...] = (
    (
        datetime,
        {
            "year": lambda value: value.year,
            "month": lambda value: value.month,
            "day": lambda value: value.day,
            "hour": lambda value: value.hour,
            "minute": lambda value: value.minute,
            "second": lambda value: value.second,
            "weekday": lambda value: value.weekday(),
            "date": lambda value: value.date(),
            "time": lambda value: value.time(),
        },
    ),
    (
        date,
        {
            "year": lambda value: value.year,
            "month": lambda value: value.month,
            "day": lambda value: value.day,
            "weekday": lambda value: value.weekday(),
        },
    ),
    (
        time,
        {
            "hour": lambda value: value.hour,
            "minute": lambda value: value.minute,
            "second": lambda value: value.second,
        },
    ),
    (timedelta, {"days": lambda value: value.days, "total_seconds": lambda value: value.total_seconds()}),
)


def read_part(value: Any, part: str, path: str, depth: int) -> tuple[Any, int]:
    """``part`` of the value that ``path`` gave, and how many relations deep that is.

    Raises ``UnknownName`` for what is not there, and for what may not be read.
    """
    if isinstance(value, Model):
        return objects.read(value, part, path, depth)
    if isinstance(value, Mapping):
        try:
            return value[part], depth
        except KeyError:
            hint = did_you_mean(part, [str(key) for key in value])
            raise UnknownName(f'"{path}" has no "{part}". {hint}'.rstrip()) from None
    if isinstance(value, list):
        try:
            return value[int(part)], depth
        except (ValueError, IndexError):
            raise UnknownName(f'"{path}" is a list of {len(value)}, and has no "{part}".') from None
    for kind, parts in _PARTS:
        if isinstance(value, kind):
            if part in parts:
                return parts[part](value), depth
            break
    if value is None:
        what = "there is no object" if path == "object" else "it is None"
        raise UnknownName(f'"{path}.{part}" cannot be read: {what}.')
    raise UnknownName(f'"{path}" is a {type(value).__name__}, which has no "{part}" to read.')
