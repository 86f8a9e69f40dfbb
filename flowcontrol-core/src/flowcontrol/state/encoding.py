"""Values as text: what a state can hold, by its tags, and what it refuses."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils.functional import Promise

from .. import conf
from ..exceptions import StateError
from .references import ModelReference

__all__ = ["HALVES", "MAX_DEPTH", "Size", "check_key", "dump", "encode", "encoded", "quoted", "too_large"]

#: How deep lists and mappings may be nested.
MAX_DEPTH = 64
#: Integers beyond this many bits cannot be written as text and read again by Python itself.
_MAX_BITS = 4_096
_TOO_DEEP = f"lists and mappings are nested more than {MAX_DEPTH} deep, or contain themselves."
_MICROSECOND = timedelta(microseconds=1)
#: A character outside the basic plane in its UTF-16 form, which no decoder of real text makes.
HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")

#: Made once: to make one for each text takes as long as the text.
dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def encode(values: Mapping[str, Any]) -> str:
    """The text of a mapping. Raises ``StateError`` naming the key of a value that cannot be kept."""
    limit = conf.get("STATE_MAX_BYTES")
    size = Size(limit)
    try:
        plain = _mapping(values, size, 0)
    except _Refused as refused:
        raise refused.told() from refused.__cause__
    text = dump(plain)
    if len(text) > limit:
        inside = plain.get("$dict", plain) if len(plain) == 1 else plain
        raise too_large(len(text), limit, max(inside, key=lambda key: len(dump(inside[key]))))
    return text


def too_large(size: int, limit: int, largest: str) -> StateError:
    return StateError(
        f"The state would take {size:,} bytes, and may take {limit:,} (the setting STATE_MAX_BYTES); the largest "
        f'part is "{largest}". Keep large data in a model of your own, and a reference to it in the state.'
    )


class Size:
    """The least that values take as text, counted while they are walked: what passes the limit is given up there."""

    __slots__ = ("deepest", "has_references", "limit", "parts", "seen", "sum")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.sum = 0
        #: What the sum was where each key began.
        self.parts: dict[str, int] = {}
        self.has_references = False
        #: How deep the walk has been, for the height of what is in `seen`.
        self.deepest = 0
        #: Lists and mappings with others in them, by id: themselves, as plain JSON, their size and their height.
        self.seen: dict[int, tuple[Any, Any, int, int]] = {}

    def add(self, size: int) -> None:
        self.sum += size
        if self.sum > self.limit:
            raise _Refused(self._told())

    def begin(self, key: str) -> None:
        self.parts[key] = self.sum

    def _told(self) -> StateError:
        ends = [*self.parts.values(), self.sum][1:]
        sizes = {key: end - start for (key, start), end in zip(self.parts.items(), ends, strict=True)}
        return too_large(self.sum, self.limit, max(sizes, key=sizes.__getitem__, default="state"))


class _Refused(Exception):
    """A value that cannot be kept. It learns its path on the way out: walking in, nobody pays for one."""

    def __init__(self, problem: str | StateError) -> None:
        self.problem = problem
        self.path: list[str] = []

    def told(self, key: str | None = None) -> StateError:
        if isinstance(self.problem, StateError):
            return self.problem
        path = "".join(reversed(self.path))
        path = path.removeprefix(".") if key is None else f"{key}{path}"
        return StateError(f"{path[:200] or 'The state'}: {self.problem}")


def encoded(key: str, value: Any, size: Size) -> Any:
    """The value of one key of a state as plain JSON. Raises ``StateError`` naming the key."""
    size.begin(key)
    try:
        return _plain(value, size, 1)
    except _Refused as refused:
        raise refused.told(key) from refused.__cause__


def _plain(value: Any, size: Size, depth: int) -> Any:
    """Only what JSON has, tags included."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    # Subclasses too: lazy texts, enumerations, numpy's floats.
    if isinstance(value, str):
        size.add(len(value) + 1)
        return _text(value)
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise _Refused(f"the number has more than {_MAX_BITS} bits; store it as text.")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Refused(f"{value} is no number that JSON has; store None or text instead.")
        return float(value)
    if depth > MAX_DEPTH:
        raise _Refused(_TOO_DEEP)
    if isinstance(value, (list, Mapping)):
        return _container(value, size, depth)
    return _tagged(value, size)


def _container(value: Any, size: Size, depth: int) -> Any:
    """A list or mapping. One that stands in several places counts in each, and is walked in the first."""
    if id(value) in size.seen:
        _, plain, weight, height = size.seen[id(value)]
        if depth + height > MAX_DEPTH:
            raise _Refused(_TOO_DEEP)
        size.add(weight)
        return plain
    before, start = size.deepest, size.sum
    size.deepest = depth
    plain = _list(value, size, depth) if isinstance(value, list) else _mapping(value, size, depth)
    if size.deepest > depth:
        size.seen[id(value)] = (value, plain, size.sum - start, size.deepest - depth)
    size.deepest = max(before, size.deepest)
    return plain


def _text(value: str) -> str:
    if not value.isascii() and HALVES.search(value):
        # As JSON they are one character, and would come back as one.
        raise _Refused("the text has two halves of one character side by side; join or remove them.")
    return str.__str__(value)


def _list(values: list[Any], size: Size, depth: int) -> list[Any]:
    # Brackets, and of each item at least a character and the comma before it.
    size.add(2 * len(values) + (not values))
    plain: list[Any] = []
    try:
        for item in values:
            plain.append(_plain(item, size, depth + 1))  # noqa: PERF401  # its length is the index in an error
    except _Refused as refused:
        refused.path.append(f"[{len(plain)}]")
        raise
    return plain


def _mapping(values: Mapping[Any, Any], size: Size, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    has_tag = False
    for key, item in values.items():
        name = _key(key)
        has_tag = has_tag or name.startswith("$")
        if depth == 0:
            size.begin(name)
        size.add(len(name) + 5)
        try:
            plain[name] = _plain(item, size, depth + 1)
        except _Refused as refused:
            refused.path.append(f".{name}")
            raise
    # A mapping of the user's own whose keys look like tags is wrapped, so that it comes back as it was.
    return {"$dict": plain} if has_tag else plain


def check_key(key: Any) -> None:
    """Raises ``StateError`` for what is no key of a state."""
    try:
        _key(key)
    except _Refused as refused:
        raise refused.told() from None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _Refused(f"the key {key!r} is no text; use {str(key)!r}.")
    try:
        return _text(key)
    except _Refused as refused:
        refused.problem = f"the key {key!a}: {refused.problem}"
        raise


def _tagged(value: Any, size: Size) -> Any:
    # datetime before date, whose subclass it is.
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise _Refused(
                f"the datetime {value} has no time zone; make it aware with django.utils.timezone.make_aware()."
            )
        return {"$datetime": value.isoformat()}
    if isinstance(value, ModelReference):
        size.has_references = True
        return {"$object": [value.model, _plain(value.pk, size, 0)]}
    if isinstance(value, Model):
        if value.pk is None or value._state.adding:
            raise _Refused(f"the {value._meta.label} was never saved; save it first.")
        size.has_references = True
        concrete = value._meta.concrete_model
        assert concrete is not None
        return {"$object": [concrete._meta.label_lower, _plain(value.pk, size, 0)]}
    if isinstance(value, time) and value.tzinfo is not None and value.utcoffset() is None:
        raise _Refused(f"what {value} is in its time zone depends on the day; store a datetime.")
    if isinstance(value, Decimal) and not value.is_finite():
        raise _Refused(f"{value} is no number; store None or text instead.")
    for kind, tag, write in _WRITERS:
        if isinstance(value, kind):
            return {tag: write(value)}
    if isinstance(value, Promise):
        return _plain(str(value), size, MAX_DEPTH)
    hint = "use a list" if isinstance(value, (tuple, set, frozenset)) else "store its parts, or its text"
    raise _Refused(
        f"a {type(value).__name__} cannot be kept in a run's state; {hint}. A state holds what JSON has, "
        "dates, aware datetimes, times, timedeltas, Decimals, UUIDs and saved model objects."
    )


_WRITERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (date, "$date", date.isoformat),
    (time, "$time", time.isoformat),
    (timedelta, "$timedelta", lambda value: value // _MICROSECOND),
    (Decimal, "$decimal", str),
    (UUID, "$uuid", str),
)
