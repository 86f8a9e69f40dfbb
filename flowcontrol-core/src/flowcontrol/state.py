"""The values a run's state can hold, as text: JSON plus dates, decimals, UUIDs and references to model objects.

What a step put in is what a later step reads: each type has a tag (``{"$date": "2026-01-31"}``), the order of keys is
kept, and everything else is refused where it is put in. The text is plain ASCII, so that every database stores it.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model

from . import conf
from .exceptions import ObjectGone, StateError

__all__ = ["MAX_DEPTH", "ModelReference", "State", "decode", "encode"]

logger = logging.getLogger("flowcontrol.state")

#: How deep lists and mappings may be nested.
MAX_DEPTH = 64
#: Integers beyond this many bits cannot be written as text and read again by Python itself.
_MAX_BITS = 4_096
_MICROSECOND = timedelta(microseconds=1)
_REFERENCE = '"$object"'


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model object in a stored state, read when somebody asks for it."""

    model: str
    pk: Any

    def load(self, key: str) -> Model:
        """The object; one query. Raises ``ObjectGone`` naming the state's key."""
        try:
            found = apps.get_model(self.model)._base_manager.filter(pk=self.pk).first()
        except LookupError as error:
            raise ObjectGone(
                f'The state\'s "{key}" refers to the model {self.model}, which is not installed.'
            ) from error
        if found is None:
            raise ObjectGone(
                f'The {self.model} {self.pk} that the state\'s "{key}" refers to no longer exists.'
            )
        return found


def encode(values: Mapping[str, Any]) -> str:
    """The text of a mapping. Raises ``StateError`` naming the key of a value that cannot be kept."""
    return _dump(_mapping(values, "", 0))


def decode(text: str) -> dict[str, Any]:
    """The mapping that ``encode`` was given; model objects come as ``ModelReference``."""
    values = _decoded(json.loads(text))
    assert isinstance(values, dict)
    return values


def _dump(plain: Any) -> str:
    return json.dumps(plain, separators=(",", ":"), allow_nan=False)


def _plain(value: Any, path: str, depth: int) -> Any:
    """Only what JSON has, tags included."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        if value.bit_length() > _MAX_BITS:
            raise StateError(f"{path}: the number has more than {_MAX_BITS} bits; store it as text.")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise StateError(f"{path}: {value} is no number that JSON has; store None or text instead.")
        return value
    if depth > MAX_DEPTH:
        raise StateError(
            f"{path}: lists and mappings are nested more than {MAX_DEPTH} deep, or contain themselves."
        )
    if isinstance(value, Mapping):
        return _mapping(value, path, depth)
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    return _tagged(value, path)


def _mapping(values: Mapping[Any, Any], path: str, depth: int) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    has_tag = False
    for key, item in values.items():
        if not isinstance(key, str):
            raise StateError(f"{path or 'The state'}: the key {key!r} is no text; use {str(key)!r}.")
        has_tag = has_tag or key.startswith("$")
        plain[str(key)] = _plain(item, f"{path}.{key}" if path else key, depth + 1)
    # A mapping of the user's own whose keys look like tags is wrapped, so that it comes back as it was.
    return {"$dict": plain} if has_tag else plain


def _tagged(value: Any, path: str) -> Any:
    # datetime before date, whose subclass it is; str and int for lazy texts and enumerations.
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise StateError(
                f"{path}: the datetime {value} has no time zone; make it aware with django.utils.timezone.make_aware()."
            )
        return {"$datetime": value.isoformat()}
    if isinstance(value, ModelReference):
        return {"$object": [value.model, _plain(value.pk, path, 0)]}
    if isinstance(value, Model):
        if value.pk is None:
            raise StateError(f"{path}: the {value._meta.label} was never saved; save it first.")
        concrete = value._meta.concrete_model
        assert concrete is not None
        return {"$object": [concrete._meta.label_lower, _plain(value.pk, path, 0)]}
    for kind, tag, write in _WRITERS:
        if isinstance(value, kind):
            return {tag: write(value)}
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    hint = "use a list" if isinstance(value, (tuple, set, frozenset)) else "store its parts, or its text"
    raise StateError(
        f"{path}: a {type(value).__name__} cannot be kept in a run's state; {hint}. A state holds what JSON has, dates, "
        "aware datetimes, times, timedeltas, Decimals, UUIDs and saved model objects."
    )


_WRITERS: tuple[tuple[type, str, Callable[[Any], Any]], ...] = (
    (date, "$date", date.isoformat),
    (time, "$time", time.isoformat),
    (timedelta, "$timedelta", lambda value: value // _MICROSECOND),
    (Decimal, "$decimal", str),
    (UUID, "$uuid", str),
)

_READERS: dict[str, Callable[[Any], Any]] = {
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda value: timedelta(microseconds=value),
    "$decimal": Decimal,
    "$uuid": UUID,
    "$object": lambda value: ModelReference(value[0], _decoded(value[1])),
    "$dict": lambda value: {key: _decoded(item) for key, item in value.items()},
}


def _decoded(plain: Any) -> Any:
    if isinstance(plain, dict):
        if len(plain) == 1:
            (tag,) = plain
            reader = _READERS.get(tag)
            if reader is not None:
                return reader(plain[tag])
        return {key: _decoded(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [_decoded(item) for item in plain]
    return plain


def _resolved(value: Any, key: str) -> Any:
    """The value with every reference in it replaced, in place, by its object."""
    if isinstance(value, ModelReference):
        return value.load(key)
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, (ModelReference, dict, list)):
                value[name] = _resolved(item, f"{key}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, (ModelReference, dict, list)):
                value[index] = _resolved(item, f"{key}[{index}]")
    return value


class State(MutableMapping[str, Any]):
    """A run's data, which knows what changed: only keys that were touched are ever encoded again.

    A value is copied when it is put in; lists and mappings that are handed out may be changed in place. Model
    objects are read from the database when their key is first asked for.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._size = 2
        self._touched: dict[str, None] = {}
        self._pending: dict[str, str | None] = {}
        #: Keys in whose values there are references that nobody asked for yet.
        self._unread: set[str] = set()
        self._warned = False
        if values:
            self.update(values)

    @classmethod
    def from_text(cls, text: str) -> State:
        """A state as it was stored, with no changes."""
        state = cls()
        state._values = decode(text)
        plain = json.loads(text)
        plain = plain.get("$dict", plain) if len(plain) == 1 else plain
        state._texts = {key: _dump(item) for key, item in plain.items()}
        state._unread = {key for key, item in state._texts.items() if _REFERENCE in item}
        state._size = len(text)
        return state

    def __getitem__(self, key: str) -> Any:
        value = self.peek(key)
        if isinstance(value, (dict, list)):
            # It may be changed in place from now on.
            self._touched[key] = None
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise StateError(f"The state: the key {key!r} is no text; use {str(key)!r}.")
        if type(value) not in _AS_THEY_ARE:
            plain = _plain(value, key, 1)
            # An object stays as it is; what contains some is copied, and they are read again when asked for.
            if not isinstance(value, Model):
                value = _decoded(plain)
                self._unread.add(key)
        self._values[key] = value
        self._touched[key] = None

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._touched[key] = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"State({self._values!r})"

    def peek(self, key: str) -> Any:
        """The value, to be read and not to be changed. Raises ``KeyError``, and ``ObjectGone`` naming the key."""
        value = self._values[key]
        if key in self._unread:
            value = self._values[key] = _resolved(value, key)
            self._unread.discard(key)
        return value

    @property
    def read(self) -> Mapping[str, Any]:
        """The values for whoever only reads, without counting as a touch."""
        return _Reading(self)

    def replace(self, values: Mapping[str, Any]) -> None:
        """Have these values and no others."""
        for key in [key for key in self._values if key not in values]:
            del self[key]
        self.update(values)

    def changes(self) -> dict[str, Any]:
        """What is different since the last ``commit``, by key, as plain JSON; a removed key has None.

        Raises ``StateError`` for a value that cannot be kept, and for a state that is too large.
        """
        changed: dict[str, Any] = {}
        self._pending = {}
        size = self._size
        for key in self._touched:
            old = self._texts.get(key)
            if key not in self._values:
                if old is not None:
                    self._pending[key], changed[key] = None, None
                    size -= len(key) + len(old) + 4
                continue
            plain = _plain(self._values[key], key, 1)
            text = _dump(plain)
            if text != old:
                self._pending[key], changed[key] = text, plain
                size += len(text) - len(old) if old is not None else len(text) + len(key) + 4
        self._check_size(size)
        return changed

    def commit(self) -> None:
        """What ``changes`` told last counts as known."""
        for key, text in self._pending.items():
            if text is None:
                old = self._texts.pop(key)
                self._size -= len(key) + len(old) + 4
            else:
                known = self._texts.get(key)
                self._size += len(text) - len(known) if known is not None else len(text) + len(key) + 4
                self._texts[key] = text
        self._pending = {}
        self._touched = {}

    def rollback(self) -> None:
        """Be again as at the last ``commit``."""
        if self._touched:
            self._values = {key: _decoded(json.loads(text)) for key, text in self._texts.items()}
            self._unread = {key for key, text in self._texts.items() if _REFERENCE in text}
        self._pending = {}
        self._touched = {}

    def text(self) -> str:
        """The state as of the last ``commit``, as ``encode`` writes it."""
        order = [key for key in self._values if key in self._texts]
        order += [key for key in self._texts if key not in self._values]
        body = "{" + ",".join(f"{json.dumps(key)}:{self._texts[key]}" for key in order) + "}"
        return f'{{"$dict":{body}}}' if any(key.startswith("$") for key in order) else body

    def _check_size(self, size: int) -> None:
        limit = conf.get("STATE_MAX_BYTES")
        if size > limit:
            largest = max(
                self._values, key=lambda key: len(self._pending.get(key) or self._texts.get(key) or "")
            )
            raise StateError(
                f"The state would take {size:,} bytes, and may take {limit:,} (the setting STATE_MAX_BYTES); the largest "
                f'part is "{largest}". Keep large data in a model of your own, and a reference to it in the state.'
            )
        if size > conf.get("STATE_WARN_BYTES") and not self._warned:
            self._warned = True
            logger.warning("large state bytes=%s limit=%s", size, limit)


#: Types whose values can be shared as they are, since nobody can change them.
_AS_THEY_ARE = frozenset({type(None), bool, str})


class _Reading(Mapping[str, Any]):
    def __init__(self, state: State) -> None:
        self._state = state

    def __getitem__(self, key: str) -> Any:
        return self._state.peek(key)

    def __contains__(self, key: object) -> bool:
        return key in self._state._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._state)

    def __len__(self) -> int:
        return len(self._state)
