"""The values a run's state can hold, as text: JSON plus dates, decimals, UUIDs and references to model objects.

What a step put in is what a later step reads: each type has a tag (``{"$date": "2026-01-31"}``), the order of keys is
kept, and everything else is refused where it is put in. The text is plain ASCII, so that every database stores it.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.functional import Promise

from . import conf
from .exceptions import ObjectGone, StateError

__all__ = ["MAX_DEPTH", "ModelReference", "State", "decode", "encode"]

logger = logging.getLogger("flowcontrol.state")

#: How deep lists and mappings may be nested.
MAX_DEPTH = 64
#: Integers beyond this many bits cannot be written as text and read again by Python itself.
_MAX_BITS = 4_096
_TOO_DEEP = f"lists and mappings are nested more than {MAX_DEPTH} deep, or contain themselves."
#: The keys that every database has as a number.
_KEY_BITS = 63
#: How many objects of other keys are read along with those of a key.
_READ_AHEAD = 100
_MICROSECOND = timedelta(microseconds=1)
#: Longer texts and greater numbers are looked at more closely before they are kept.
_SHORT, _SMALL = 1_000, 2**63
_REFERENCE = '"$object"'


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model object in a stored state, read when somebody asks for it."""

    model: str
    pk: Any

    def load(self, key: str) -> Model:
        """The object; one query. Raises ``ObjectGone`` naming the state's key."""
        try:
            model = apps.get_model(self.model)
            found: Model | None = model._base_manager.filter(pk=self.pk).first()
        except LookupError as error:
            raise ObjectGone(
                f'The state\'s "{key}" refers to the model {self.model}, which is not installed.'
            ) from error
        except (ValidationError, ValueError, TypeError) as error:
            raise StateError(f"{key}: {self.pk!r} is no key of the model {self.model}.") from error
        if found is None:
            raise ObjectGone(
                f'The {self.model} {self.pk} that the state\'s "{key}" refers to no longer exists.'
            )
        return found


def encode(values: Mapping[str, Any]) -> str:
    """The text of a mapping. Raises ``StateError`` naming the key of a value that cannot be kept."""
    limit = conf.get("STATE_MAX_BYTES")
    size = _Size(limit)
    try:
        plain = _mapping(values, size, 0)
    except _Refused as refused:
        raise refused.told() from refused.__cause__
    text = _dump(plain)
    if len(text) > limit:
        inside = plain.get("$dict", plain) if len(plain) == 1 else plain
        raise _too_large(len(text), limit, max(inside, key=lambda key: len(_dump(inside[key]))))
    return text


def decode(text: str) -> dict[str, Any]:
    """The mapping that ``encode`` was given; model objects come as ``ModelReference``.

    Raises ``StateError`` for text that ``encode`` cannot have written, naming the key.
    """
    return {key: decode_value(item, key) for key, item in parse(text).items()}


def parse(text: str) -> dict[str, Any]:
    """The outermost mapping of a stored text, its values as JSON. Raises ``StateError``."""
    try:
        plain = _load(text)
    except (ValueError, RecursionError) as error:
        raise StateError(f"The stored text cannot be read: {error}") from error
    if isinstance(plain, dict) and plain.keys() == {"$dict"}:
        plain = plain["$dict"]
    if not isinstance(plain, dict):
        raise StateError(f"The stored text is a {type(plain).__name__}, and has to be a mapping.")
    return plain


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


# Made once: to make one for each text takes as long as the text.
_load = json.JSONDecoder(parse_constant=_no_constant).decode
_dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _too_large(size: int, limit: int, largest: str) -> StateError:
    return StateError(
        f"The state would take {size:,} bytes, and may take {limit:,} (the setting STATE_MAX_BYTES); the largest "
        f'part is "{largest}". Keep large data in a model of your own, and a reference to it in the state.'
    )


class _Size:
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
        return _too_large(self.sum, self.limit, max(sizes, key=sizes.__getitem__, default="state"))


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


def _encoded(key: str, value: Any, size: _Size) -> Any:
    """The value of one key of a state as plain JSON. Raises ``StateError`` naming the key."""
    size.begin(key)
    try:
        return _plain(value, size, 1)
    except _Refused as refused:
        raise refused.told(key) from refused.__cause__


def _plain(value: Any, size: _Size, depth: int) -> Any:
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


def _container(value: Any, size: _Size, depth: int) -> Any:
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
    if not value.isascii() and _HALVES.search(value):
        # As JSON they are one character, and would come back as one.
        raise _Refused("the text has two halves of one character side by side; join or remove them.")
    return str.__str__(value)


#: A character outside the basic plane in its UTF-16 form, which no decoder of real text makes.
_HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def _list(values: list[Any], size: _Size, depth: int) -> list[Any]:
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


def _mapping(values: Mapping[Any, Any], size: _Size, depth: int) -> dict[str, Any]:
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


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise _Refused(f"the key {key!r} is no text; use {str(key)!r}.")
    try:
        return _text(key)
    except _Refused as refused:
        refused.problem = f"the key {key!a}: {refused.problem}"
        raise


def _tagged(value: Any, size: _Size) -> Any:
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


def _read_datetime(value: str) -> datetime:
    read = datetime.fromisoformat(value)
    if read.tzinfo is None:
        raise ValueError("it has no time zone")
    return read


def _read_decimal(value: str) -> Decimal:
    read = Decimal(value)
    if not read.is_finite():
        raise ValueError("it is no number")
    return read


def _read_reference(value: Any) -> ModelReference:
    model, written = value
    pk = decode_value(written, model)
    if not isinstance(model, str) or isinstance(pk, (list, dict, bool)) or pk is None:
        raise ValueError("it is no model and key")
    return ModelReference(model, pk)


_READERS: dict[str, Callable[[Any], Any]] = {
    "$datetime": _read_datetime,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$timedelta": lambda value: timedelta(microseconds=value),
    "$decimal": _read_decimal,
    "$uuid": UUID,
    "$object": _read_reference,
}


def decode_value(plain: Any, path: str) -> Any:
    """The value that a part of what ``parse`` tells stands for. Raises ``StateError`` naming the path."""
    if isinstance(plain, dict):
        if len(plain) == 1:
            (tag,) = plain
            if tag.startswith("$"):
                return _read_tag(tag, plain[tag], path)
        return {key: decode_value(item, f"{path}.{key}") for key, item in plain.items()}
    if isinstance(plain, list):
        return [decode_value(item, f"{path}[{index}]") for index, item in enumerate(plain)]
    return plain


def _read_tag(tag: str, stored: Any, path: str) -> Any:
    if tag == "$dict" and isinstance(stored, dict):
        return {key: decode_value(item, f"{path}.{key}") for key, item in stored.items()}
    reader = _READERS.get(tag)
    try:
        if reader is None:
            raise ValueError(f"the tags are {', '.join(_READERS)} and $dict, for a mapping with such keys")
        return reader(stored)
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise StateError(
            f"{path}: {json.dumps({tag: stored})[:80]} stands for no value ({type(error).__name__}: {error})."
        ) from error


_Found = dict[ModelReference, Model]


def _resolved(value: Any, key: str, found: _Found) -> Any:
    """The value with every reference in it replaced, in place, by its object; one query for each not ``found``."""
    if isinstance(value, ModelReference):
        known = found.get(value)
        return value.load(key) if known is None else known
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, (ModelReference, dict, list)):
                value[name] = _resolved(item, f"{key}.{name}", found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, (ModelReference, dict, list)):
                value[index] = _resolved(item, f"{key}[{index}]", found)
    return value


def _references(value: Any) -> Iterator[ModelReference]:
    if isinstance(value, ModelReference):
        yield value
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (ModelReference, dict, list)):
                yield from _references(item)


def _read_together(references: set[ModelReference]) -> _Found:
    """Their objects, in a query per model. What is gone, or odd, is left for ``ModelReference.load`` to tell."""
    keys: dict[str, dict[ModelReference, Any]] = {}
    for reference in references:
        with suppress(LookupError, ValidationError, ValueError, TypeError):
            keys.setdefault(reference.model, {})[reference] = _key_of(reference)
    found: _Found = {}
    for label, wanted in keys.items():
        objects = apps.get_model(label)._base_manager.in_bulk(set(wanted.values())) if wanted else {}
        found |= {each: objects[key] for each, key in wanted.items() if key in objects}
    return found


def _key_of(reference: ModelReference) -> Any:
    """The key as the model has it. Raises for one that could be the end of a query, and of all others in it."""
    pk = reference.pk
    if (isinstance(pk, int) and pk.bit_length() > _KEY_BITS) or (isinstance(pk, str) and "\0" in pk):
        raise ValueError(f"{pk!r} is no key")
    key = apps.get_model(reference.model)._meta.pk.to_python(pk)
    hash(key)
    return key


class State(MutableMapping[str, Any]):
    """A run's data, which knows what changed: only keys that were touched are ever encoded again.

    A value is copied when it is put in; lists and mappings that are handed out may be changed in place until the
    next ``commit`` or ``rollback``. Model objects are read from the database when their key is first asked for, and
    with them those of other keys: a query per model.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values: dict[str, Any] = {}
        #: Each key as of the last ``commit``, in their order then: `"key":value` as JSON.
        self._entries: dict[str, str] = {}
        # An entry counts with the comma before it, which the first one has not.
        self._size = 1
        self._touched: dict[str, None] = {}
        #: Whether a key was removed since, so that one that came back may stand elsewhere.
        self._moved = False
        #: The text of values put in since, of those that cannot be changed in place.
        self._texts: dict[str, str] = {}
        self._pending: dict[str, str | None] = {}
        #: Keys in whose values there are references that nobody asked for yet.
        self._unread: set[str] = set()
        #: What was read along with other keys, until the next ``commit`` or ``rollback``: rows change meanwhile.
        self._found: _Found = {}
        #: Models of which that was done.
        self._ahead: set[str] = set()
        #: Up to this size nobody has to look whether it is too large.
        self._bound = min(conf.get("STATE_MAX_BYTES"), conf.get("STATE_WARN_BYTES"))
        self._warned = False
        if values:
            self.update(values)

    @classmethod
    def from_text(cls, text: str) -> State:
        """A state as it was stored, with no changes. Raises ``StateError`` for text that is none."""
        state = cls()
        for key, plain in parse(text).items():
            state._values[key] = decode_value(plain, key)
            state._entries[key] = entry = f"{_quoted(key)}:{_dump(plain)}"
            state._size += len(entry) + 1
            if _REFERENCE in entry:
                state._unread.add(key)
        return state

    def __getitem__(self, key: str) -> Any:
        value = self.peek(key)
        if isinstance(value, (dict, list)):
            # It may be changed in place from now on.
            self._touched[key] = None
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        text = _simple(value)
        if text is None or type(key) is not str or not key.isascii():
            self._put(key, *_taken(key, value, self._new_size()))
            return
        self._values[key] = value
        self._touched[key] = None
        self._texts[key] = text
        if self._unread:
            self._unread.discard(key)

    def _put(self, key: str, value: Any, is_unread: bool) -> None:
        self._values[key] = value
        self._touched[key] = None
        self._texts.pop(key, None)
        if is_unread:
            self._unread.add(key)
        else:
            self._unread.discard(key)

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._unread.discard(key)
        self._touched[key] = None
        self._moved = True

    def __contains__(self, key: object) -> bool:
        return key in self._values

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
            self._read_ahead(key, value)
            value = self._values[key] = _resolved(value, key, self._found)
            self._unread.discard(key)
        return value

    def _read_ahead(self, key: str, value: Any) -> None:
        """Have what this key refers to, and for each model new to this step what the other keys refer to as well."""
        wanted = {each for each in _references(value) if each not in self._found}
        if models := {each.model for each in wanted} - self._ahead:
            self._ahead |= models
            others = (each for other in self._unread - {key} for each in _references(self._values[other]))
            wanted.update(islice((each for each in others if each.model in models), _READ_AHEAD))
        self._found |= _read_together(wanted)

    @property
    def read(self) -> Mapping[str, Any]:
        """The values for whoever only reads, without counting as a touch."""
        return _Reading(self)

    def replace(self, values: Mapping[str, Any]) -> None:
        """Have these values and no others, in their order; all or, when one cannot be kept, none of them."""
        size = self._new_size()
        taken = {key: _taken(key, value, size) for key, value in values.items()}
        for key in list(self._values):
            del self[key]
        for key, each in taken.items():
            self._put(key, *each)

    def clear(self) -> None:
        """Remove every key; nothing that the values refer to is read for it."""
        for key in list(self._values):
            del self[key]

    def changes(self) -> dict[str, Any]:
        """What is different since the last ``commit``, by key, as plain JSON; a removed key has None.

        Raises ``StateError`` for a value that cannot be kept, and for a state that is too large.
        """
        self._pending = {}
        if not self._touched:
            return {}
        changed: dict[str, Any] = {}
        size, least = self._size, None
        moved = self._moved_keys() if self._moved else ()
        for key in self._touched:
            old = self._entries.get(key)
            if key not in self._values:
                if old is not None:
                    self._pending[key], changed[key] = None, None
                    size -= len(old) + 1
                continue
            plain = self._values[key]
            text = self._texts.get(key)
            if text is None:
                least = least or self._new_size()
                plain = _encoded(key, plain, least)
                text = _dump(plain)
            entry = f"{_quoted(key)}:{text}"
            if entry != old or key in moved:
                self._pending[key], changed[key] = entry, plain
                size += len(entry) - len(old) if old is not None else len(entry) + 1
        if size > self._size and size > self._bound:
            self._check_size(size)
        return changed

    def _moved_keys(self) -> set[str]:
        """Keys that were removed and came back at another place among those that stayed."""
        before = [key for key in self._entries if key in self._values]
        now = [key for key in self._values if key in self._entries]
        return set() if before == now else self._touched.keys() & set(now)

    def take(self, longest: int) -> str:
        """``changes`` as a JSON object, "" for none, and ``commit``; a value of a longer text is told as "…".

        Raises what ``changes`` raises; nothing counts as known then.
        """
        if self._found or self._ahead:
            self._forget_read_ahead()
        if not self._touched:
            return ""
        if self._moved or len(self._texts) != len(self._touched):
            changed = self.changes()
            self.commit()
            return _dump(_shortened(changed, longest)) if changed else ""
        return self._take_plain(longest)

    def _take_plain(self, longest: int) -> str:
        """The same where all that was touched are values that were looked at when they were put in."""
        entries, size = self._entries, self._size
        news: dict[str, str] = {}
        for key, text in self._texts.items():
            entry, old = f"{_quoted(key)}:{text}", entries.get(key)
            if entry != old:
                news[key] = entry
                size += len(entry) + 1 if old is None else len(entry) - len(old)
        told = ""
        if news:
            if size > self._bound and size > self._size:
                self._pending = dict(news)
                self._check_size(size)
            entries.update(news)
            self._size = size
            told = ",".join(news.values())
            if len(told) > longest:
                told = ",".join(_short(key, entry, longest) for key, entry in news.items())
        self._pending, self._touched, self._texts = {}, {}, {}
        return f"{{{told}}}" if told else ""

    def commit(self) -> None:
        """What ``changes`` told last counts as known."""
        if not self._touched:
            self._forget_read_ahead()
            return
        entries = self._entries
        for key, entry in self._pending.items():
            old = entries.get(key)
            if old is not None:
                self._size -= len(old) + 1
            if entry is None:
                entries.pop(key, None)
            else:
                self._size += len(entry) + 1
                entries[key] = entry
        if self._moved:
            self._entries = {key: self._entries[key] for key in self._values if key in self._entries}
        self._settle()

    def rollback(self) -> None:
        """Be again as at the last ``commit``."""
        if self._touched:
            kept = {key: value for key, value in self._values.items() if key not in self._touched}
            self._values = {
                key: kept[key] if key in kept else self._restored(key, entry)
                for key, entry in self._entries.items()
            }
            self._unread &= self._values.keys()
        self._settle()

    def _restored(self, key: str, entry: str) -> Any:
        if _REFERENCE in entry:
            self._unread.add(key)
        else:
            self._unread.discard(key)
        return decode_value(json.loads(f"{{{entry}}}")[key], key)

    def _settle(self) -> None:
        self._forget_read_ahead()
        self._pending = {}
        self._touched = {}
        self._texts = {}
        self._moved = False

    def _forget_read_ahead(self) -> None:
        if self._found or self._ahead:
            self._found, self._ahead = {}, set()

    def text(self) -> str:
        """The state as of the last ``commit``, as ``encode`` writes it."""
        body = f"{{{','.join(self._entries.values())}}}"
        return f'{{"$dict":{body}}}' if any(key.startswith("$") for key in self._entries) else body

    def _new_size(self) -> _Size:
        # A state that was stored under a larger limit may stay as large as it is.
        return _Size(max(conf.get("STATE_MAX_BYTES"), self._size))

    def _check_size(self, size: int) -> None:
        limit = conf.get("STATE_MAX_BYTES")
        if size > limit:
            raise _too_large(size, limit, max(self._values, key=lambda key: len(self._entry_to_be(key))))
        if size > conf.get("STATE_WARN_BYTES") and not self._warned:
            self._warned = True
            largest = max(self._values, key=lambda key: len(self._entry_to_be(key)))
            logger.warning("large state bytes=%s limit=%s largest=%s", size, limit, largest)

    def _entry_to_be(self, key: str) -> str:
        return self._pending.get(key) or self._entries.get(key, "")


def _shortened(changed: Mapping[str, Any], longest: int) -> dict[str, Any]:
    return {
        key: value if not isinstance(value, (str, list, dict)) or len(str(value)) <= longest else "…"
        for key, value in changed.items()
    }


def _short(key: str, entry: str, longest: int) -> str:
    return entry if len(entry) <= longest else f'{_quoted(key)}:"\\u2026"'


def _simple(value: Any) -> str | None:
    """The text of a value in which nothing can be refused nor changed in place; None for all others."""
    kind = type(value)
    if kind is str:
        return _quoted(value) if len(value) <= _SHORT and value.isascii() else None
    if kind is int:
        return str(value) if -_SMALL < value < _SMALL else None
    if kind is bool:
        return "true" if value else "false"
    return "null" if value is None else None


def _taken(key: str, value: Any, size: _Size) -> tuple[Any, bool]:
    """The value as the state keeps it, a copy of its own; and whether there are references in it to read."""
    try:
        _key(key)
    except _Refused as refused:
        raise refused.told() from None
    size.has_references = False
    plain = _encoded(key, value, size)
    if isinstance(value, Model):
        # An object stays as it is; what contains some is copied, and they are read again when asked for.
        return value, False
    return decode_value(plain, key), size.has_references


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
