"""A run's state: a mapping that knows what changed since it was last written."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import islice
from typing import Any

from django.db.models import Model

from .. import conf
from .decoding import decode_value, parse
from .encoding import Size, check_key, dump, encoded, quoted, too_large
from .references import Found, read_together, references, resolved

__all__ = ["State"]

logger = logging.getLogger("flowcontrol.state")

#: How many objects of other keys are read along with those of a key.
_READ_AHEAD = 100
#: Longer texts and greater numbers are looked at more closely before they are kept.
_SHORT, _SMALL = 1_000, 2**63
_REFERENCE = '"$object"'


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
        self._found: Found = {}
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
            state._entries[key] = entry = f"{quoted(key)}:{dump(plain)}"
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
            value = self._values[key] = resolved(value, key, self._found)
            self._unread.discard(key)
        return value

    def _read_ahead(self, key: str, value: Any) -> None:
        """Have what this key refers to, and for each model new to this step what the other keys refer to as well."""
        wanted = {each for each in references(value) if each not in self._found}
        if models := {each.model for each in wanted} - self._ahead:
            self._ahead |= models
            others = (each for other in self._unread - {key} for each in references(self._values[other]))
            wanted.update(islice((each for each in others if each.model in models), _READ_AHEAD))
        self._found |= read_together(wanted)

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
                plain = encoded(key, plain, least)
                text = dump(plain)
            entry = f"{quoted(key)}:{text}"
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
            return dump(_shortened(changed, longest)) if changed else ""
        return self._take_plain(longest)

    def _take_plain(self, longest: int) -> str:
        """The same where all that was touched are values that were looked at when they were put in."""
        entries, size = self._entries, self._size
        news: dict[str, str] = {}
        for key, text in self._texts.items():
            entry, old = f"{quoted(key)}:{text}", entries.get(key)
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

    def _new_size(self) -> Size:
        # A state that was stored under a larger limit may stay as large as it is.
        return Size(max(conf.get("STATE_MAX_BYTES"), self._size))

    def _check_size(self, size: int) -> None:
        limit = conf.get("STATE_MAX_BYTES")
        if size > limit:
            raise too_large(size, limit, max(self._values, key=lambda key: len(self._entry_to_be(key))))
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
    return entry if len(entry) <= longest else f'{quoted(key)}:"\\u2026"'


def _simple(value: Any) -> str | None:
    """The text of a value in which nothing can be refused nor changed in place; None for all others."""
    kind = type(value)
    if kind is str:
        return quoted(value) if len(value) <= _SHORT and value.isascii() else None
    if kind is int:
        return str(value) if -_SMALL < value < _SMALL else None
    if kind is bool:
        return "true" if value else "false"
    return "null" if value is None else None


def _taken(key: str, value: Any, size: Size) -> tuple[Any, bool]:
    """The value as the state keeps it, a copy of its own; and whether there are references in it to read."""
    check_key(key)
    size.has_references = False
    plain = encoded(key, value, size)
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
