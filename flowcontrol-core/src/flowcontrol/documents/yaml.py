"""Documents as YAML, read strictly: every value is JSON, and nothing is guessed.

Read from the parser's events rather than by a loader: no recursion, no tags, a line for every complaint.
Unquoted words are text, except null, true, false and numbers: ``on``, ``no``, ``12:00`` and ``2026-01-31``
stay as written.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ..exceptions import DocumentError, Problem
from .paths import shorten
from .schema import MAX_NESTING

__all__ = ["parse_yaml", "to_yaml"]

#: A file may hold many documents.
MAX_YAML_BYTES = 8 * 1024 * 1024
#: Values in a file after its aliases were expanded: what stops a file that grows by repeating itself.
MAX_VALUES = 1_000_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_STRING_TAG = "tag:yaml.org,2002:str"


def parse_yaml(text: str | bytes) -> list[dict[str, Any]]:
    """The documents of a YAML file, which ``---`` separates; empty ones are left out.

    Raises ``DocumentError``, whose problems have ``line 3, column 7`` for a path. What stands in a document
    is not looked at: ``validate`` does that.
    """
    documents: list[dict[str, Any]] = []
    for mark, value in _Reader().read(_decode(text)):
        if isinstance(value, dict):
            documents.append(value)
        elif value is not None:
            raise _error(mark, "A document is a mapping that begins with “flowcontrol: 1”.", value)
    return documents


def _decode(text: str | bytes) -> str:
    if len(text) > MAX_YAML_BYTES:
        raise _error(None, f"The file is larger than {MAX_YAML_BYTES // 1024**2} MB; split it.")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _error(None, f"The file is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _error(
            None, f"Character {error.start} of the text is half of a surrogate pair; remove it."
        ) from error
    return text


def _error(mark: Any, message: str, value: object = None) -> DocumentError:
    path = f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return DocumentError([Problem(path, message, value)], source="The YAML")


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    value: list[Any] | dict[str, Any]
    anchor: str | None
    #: Values in the file before it began.
    before: int
    key: str | None = None
    #: Levels inside it.
    depth: int = 0


class _Reader:
    def __init__(self) -> None:
        self.stack: list[_Open] = []
        #: What a name stands for: value, number of values in it, levels of it.
        self.anchors: dict[str, tuple[Any, int, int]] = {}
        self.values = 0
        self.root: Any = None

    def read(self, text: str) -> Iterator[tuple[Any, Any]]:
        """(where it begins, value) of each document."""
        try:
            start = None
            for event in yaml.parse(text, Loader=_LOADER):
                if isinstance(event, yaml.DocumentStartEvent):
                    self.anchors, self.root, start = {}, None, event.start_mark
                elif isinstance(event, yaml.DocumentEndEvent):
                    yield start, self.root
                elif not isinstance(event, yaml.StreamStartEvent | yaml.StreamEndEvent):
                    self.take(event)
        except yaml.MarkedYAMLError as error:
            told = ", ".join(part for part in (error.context, error.problem) if part)
            raise _error(error.problem_mark or error.context_mark, f"This is not YAML: {told}.") from error
        except yaml.YAMLError as error:
            raise _error(None, f"This is not YAML: {str(error).splitlines()[0]}.") from error
        except ValueError as error:  # what libyaml hands over for an escape that is no character
            raise _error(None, f"This is not YAML: {error}.") from error

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            done = self.stack.pop()
            self.deepen(done.depth + 1)
            if done.anchor:
                self.anchors[done.anchor] = (done.value, self.values - done.before, done.depth + 1)
            return
        if isinstance(event, yaml.AliasEvent):
            self.place(event, self.alias(event))
            return
        if event.tag not in (None, "!", _STRING_TAG):
            raise _error(
                event.start_mark, f"Tags such as {shorten(event.tag)} are not read; write plain values."
            )
        if isinstance(event, yaml.ScalarEvent):
            self.scalar(event)
        else:
            self.collection(event)

    def scalar(self, event: Any) -> None:
        is_plain = bool(event.implicit[0]) and event.tag is None
        if self.wants_key:
            if is_plain and event.value == "<<":
                raise _error(event.start_mark, "Merge keys (<<) are not read; write the keys out.")
            self.place(event, event.value)
            return
        value = _resolve(event) if is_plain else event.value
        self.place(event, value)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, 0)

    def collection(self, event: Any) -> None:
        self.limit(event, 1)
        value: list[Any] | dict[str, Any] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        before = self.values
        self.place(event, value)
        self.stack.append(_Open(value, event.anchor, before))

    def alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            # An alias inside of what it stands for lands here too: nothing contains itself.
            raise _error(
                event.start_mark, f"The alias *{event.anchor} stands for nothing that is complete before it."
            )
        value, size, depth = self.anchors[event.anchor]
        self.limit(event, depth)
        self.deepen(depth)
        self.count(event, size - 1)
        return copy.deepcopy(value)

    def deepen(self, depth: int) -> None:
        if self.stack:
            self.stack[-1].depth = max(self.stack[-1].depth, depth)

    def limit(self, event: Any, depth: int) -> None:
        if len(self.stack) + depth > MAX_NESTING:
            raise _error(
                event.start_mark, f"This is nested more than {MAX_NESTING} deep; make the flow flatter."
            )

    @property
    def wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def count(self, event: Any, more: int) -> None:
        self.values += more
        if self.values > MAX_VALUES:
            raise _error(
                event.start_mark, f"The file has more than {MAX_VALUES:,} values; split it, or repeat less."
            )

    def place(self, event: Any, value: Any) -> None:
        self.count(event, 1)
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is not None:
            top.value[top.key] = value
            top.key = None
        elif not isinstance(value, str):
            raise _error(event.start_mark, "The key of a mapping has to be text.", value)
        elif value in top.value:
            raise _error(event.start_mark, f"The key “{shorten(value)}” is here twice; remove one.", value)
        else:
            top.key = value


def _resolve(event: Any) -> Any:
    text: str = event.value
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text) > 20:
            raise _error(event.start_mark, "This number is too large; in quotes it is text.", text)
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise _error(event.start_mark, "This number is too large; in quotes it is text.", text)
        return number
    return text


# Writing. Our own, so that the text is the same whatever version of PyYAML, and reads well: long lines stay
# whole, lines of text are a block, and an expression with quotes in it is quoted with the others.

#: What needs no quotes anywhere in a block: nothing that YAML (1.1 or 1.2) could take for something else.
_BARE = re.compile(r"[^\W\d_](?:[\w ./()+*=<>|%@&^$;~!?\-]|:(?=\S)|,)*", re.UNICODE)
_WORDS_OF_ANY_YAML = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_LITERAL = re.compile(
    r"(?!\s)[^\x00-\x09\x0b-\x1f\x7f-\xa0\ud800-\udfff\u2028\u2029\ufeff\ufffe\uffff]*(?<!\s)\n?"
)


def to_yaml(document: Mapping[str, Any] | list[Any]) -> str:
    """A document as YAML in block style, keys in the order they have; of a list, one document after another.

    ``parse_yaml`` reads the same back. Values have to be JSON.
    """
    documents = document if isinstance(document, list) else [document]
    return "---\n".join("".join(f"{line}\n" for line in _block(item, "")) for item in documents)


def _block(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{indent}{_key(key)}:", item, indent)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _item(item, indent)
    else:
        yield f"{indent}{_inline(value)}"


def _entry(head: str, item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, Mapping | list) and item:
        yield head
        yield from _block(item, f"{indent}  ")
    elif isinstance(item, str) and _is_literal(item):
        yield from _literal(head, item, f"{indent}  ")
    else:
        yield f"{head} {_inline(item)}"


def _item(item: Any, indent: str) -> Iterator[str]:
    if isinstance(item, str) and _is_literal(item):
        yield from _literal(f"{indent}-", item, f"{indent}  ")
        return
    # The first line of what is inside stands on the line of the dash.
    lines = _block(item, f"{indent}  ")
    yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
    yield from lines


def _is_literal(text: str) -> bool:
    # No line may end in a space that nobody would see.
    return "\n" in text[:-1] and " \n" not in text and bool(_LITERAL.fullmatch(text))


def _literal(head: str, text: str, indent: str) -> Iterator[str]:
    yield f"{head} |" if text.endswith("\n") else f"{head} |-"
    for line in text.removesuffix("\n").split("\n"):
        yield f"{indent}{line}" if line else ""


def _key(key: str) -> str:
    return key if key == "on" else _text(key)


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    return "{}" if isinstance(value, Mapping) else json.dumps(value, allow_nan=False)


def _text(text: str) -> str:
    if (
        _BARE.fullmatch(text)
        and text.lower() not in _WORDS_OF_ANY_YAML
        and text == text.strip()
        and " #" not in text
    ):
        return text
    if text.isprintable() and ("'" not in text or ('"' in text or "\\" in text)):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
