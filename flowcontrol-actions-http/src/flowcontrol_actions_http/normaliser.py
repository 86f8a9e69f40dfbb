"""What a stranger sends, made into data that a state can hold; or refused, with the reason. Pure.

Everything that comes in from outside passes through here: the bodies of webhooks, forms, queries and headers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from django.utils.http import parse_header_parameters

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_KEYS", "BodyRefused", "checked", "form", "media_type", "parsed"]

#: Larger bodies are not even read.
MAX_BYTES = 1_048_576
#: How deep lists and objects may be nested, and how many keys objects may have together.
MAX_DEPTH = 64
MAX_KEYS = 10_000
#: Whole numbers have to be smaller than this, and greater than its negative.
_TOO_GREAT = 2**63
_LONGEST_NUMBER = 20
#: Characters that databases or encoders choke on: NUL, and halves of characters without the other one.
_ODD = re.compile("[\0\ud800-\udfff]")
_UTF8 = frozenset({"", "utf-8", "utf8", "us-ascii"})
_FORM = "application/x-www-form-urlencoded"


class BodyRefused(Exception):
    """What was sent cannot be taken. ``status`` is the answer's; the text names nothing that was sent."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


def parsed(kind: str, content_type: str, body: bytes) -> Any:
    """The body as data: ``kind`` is ``json``, ``form`` or ``raw``, to which the content type has to fit.

    Raises ``BodyRefused``.
    """
    type_ = media_type(content_type)
    if kind == "json":
        if type_ != "application/json" and not (type_.startswith("application/") and type_.endswith("+json")):
            raise BodyRefused("The content type has to be application/json.", 415)
        return _from_json(_text(body))
    if kind == "form":
        if type_ != _FORM:
            raise BodyRefused(f"The content type has to be {_FORM}.", 415)
        return form(_text(body))
    return checked(_text(body))


def media_type(content_type: str) -> str:
    """In small letters and without parameters. Raises ``BodyRefused`` for another encoding than UTF-8."""
    try:
        type_, parameters = parse_header_parameters(content_type)
    except (ValueError, LookupError):
        raise BodyRefused("The content type cannot be read.", 415) from None
    if parameters.get("charset", "").lower() not in _UTF8:
        raise BodyRefused("The encoding has to be UTF-8.", 415)
    return type_.strip()


def form(text: str) -> dict[str, str]:
    """The fields of a form, or of a query. Raises ``BodyRefused``."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_KEYS)
    except ValueError:
        raise BodyRefused(f"The form is not UTF-8, or has more than {MAX_KEYS:,} fields.") from None
    checked_form: dict[str, str] = checked(_unique(pairs))
    return checked_form


def checked(value: Any) -> Any:
    """The same value, looked through. Raises ``BodyRefused``."""
    ahead, keys = [(value, 1)], 0
    while ahead:
        item, depth = ahead.pop()
        if isinstance(item, str):
            if _ODD.search(item):
                raise BodyRefused("There is a NUL or half a character in it.")
        elif isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                raise _too_deep()
            if isinstance(item, dict):
                keys += len(item)
                if keys > MAX_KEYS:
                    raise BodyRefused(f"There are more than {MAX_KEYS:,} keys in it.")
                ahead.extend((key, depth) for key in item)
            ahead.extend((one, depth + 1) for one in (item.values() if isinstance(item, dict) else item))
    return value


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BodyRefused("The body is not UTF-8.") from None


def _from_json(text: str) -> Any:
    try:
        value = _load(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        # Its message may repeat a part of the body.
        raise BodyRefused("The body is no JSON.") from None
    return checked(value)


def _too_deep() -> BodyRefused:
    return BodyRefused(f"It is nested more than {MAX_DEPTH} deep.")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise BodyRefused("There is a key twice in it.")
    return found


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER or not -_TOO_GREAT < (number := int(text)) < _TOO_GREAT:
        raise BodyRefused("There is a whole number beyond 2^63 in it.")
    return number


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise BodyRefused("There is a number in it that is too great.")
    return number


def _no_number(name: str) -> NoReturn:
    raise BodyRefused(f"JSON has no {name}.")


_load = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_no_number
).decode
