"""Text that ``encode`` wrote, as values again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ..exceptions import StateError
from .references import ModelReference

__all__ = ["decode", "decode_value", "parse"]


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


# Made once: to make one for each text takes as long as the text.
_load = json.JSONDecoder(parse_constant=_no_constant).decode


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
