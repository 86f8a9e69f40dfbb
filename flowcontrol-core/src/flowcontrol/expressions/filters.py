"""The filters that expressions may use: a list, each with a limit on what it takes and makes.

Django's filters answer with an empty text, or with the value unchanged, when they cannot do their work. Ours raise: a
broken expression is an error, not a false. Those that take anything of any size are in ``arithmetic`` and below.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from django.db import Error as DatabaseProblem
from django.template import defaultfilters
from django.utils.functional import Promise
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from ..exceptions import EvaluationError, ObjectGone, RegistrationError
from . import arithmetic
from .missing import Missing
from .values import MAX_ITEMS, MAX_TEXT, as_text, describe, localized, plain, truth

__all__ = [
    "Filter",
    "filter_names",
    "find_filter",
    "generation",
    "register_filter",
    "unregister_filter",
]

#: Longest text for the filters that take their time over each character.
_MAX_SLOW_TEXT = 32_768
#: Longest text to bring into Unicode's normal form: texts made for it take the square of their length in time.
_MAX_NORMALISED = 500


class Filter:
    """A filter by its name; imported on first use, and bounded."""

    def __init__(
        self, name: str, function: Callable[..., Any] | str, provider: str = "", *, is_bounded: bool = True
    ) -> None:
        self.name = name
        self.path = function
        self.provider = provider
        #: Whether values over the limits are refused; not where a filter only looks, however large the value.
        self.is_bounded = is_bounded
        self._function: Callable[..., Any] | None = None if isinstance(function, str) else function

    @property
    def function(self) -> Callable[..., Any]:
        if self._function is None:
            assert isinstance(self.path, str)
            self._function = import_string(self.path.replace(":", "."))
        return self._function

    def arguments(self) -> tuple[int, int]:
        """Least and most number of arguments after the value. Raises whatever importing it raises."""
        parameters = [
            each
            for each in inspect.signature(self.function).parameters.values()
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ][1:]
        least = sum(1 for each in parameters if each.default is each.empty)
        return least, len(parameters)

    def __call__(self, value: Any, *arguments: Any) -> Any:
        """Raises ``EvaluationError`` for whatever goes wrong in it, and for what is too large."""
        if self.is_bounded:
            for each in (value, *arguments):
                self._check_size(each)
        try:
            result = self.function(value, *arguments)
        except (EvaluationError, ObjectGone, DatabaseProblem):
            # A database that is away is no fault of the expression, and may be back for the next attempt.
            raise
        except Exception as error:
            raise EvaluationError(
                f'The filter "{self.name}" cannot take {describe(value)}: {error}'
            ) from error
        if self.is_bounded:
            self._check_size(result)
        # A text that claims to be safe HTML must not reach a page unescaped by way of the state.
        return _unsafe(result)

    def _check_size(self, value: Any) -> None:
        # Most of all values, and the question after a Mapping is a slow one.
        if type(value) in _NUMBERS:
            arithmetic.check(value)
            return
        if isinstance(value, str):
            measured, limit, unit = len(value), MAX_TEXT, "characters"
        elif isinstance(value, (list, tuple, set, frozenset, Mapping)):
            measured, limit, unit = len(value), MAX_ITEMS, "items"
        else:
            arithmetic.check(value)
            return
        if measured > limit:
            raise EvaluationError(
                f'The filter "{self.name}" takes and makes at most {limit:,} {unit}; this has {measured:,}.'
            )


_NUMBERS = frozenset({int, float, Decimal})


def _unsafe(value: Any) -> Any:
    if isinstance(value, (SafeString, Promise)):
        return plain(str(value))
    if isinstance(value, list):
        return [_unsafe(item) if isinstance(item, (SafeString, Promise, list)) else item for item in value]
    return value


_filters: dict[str, Filter] = {}
_lock = threading.Lock()
_generation = 0


def generation() -> int:
    """Another number whenever the list has changed, so that what was compiled with it can be told from the rest."""
    return _generation


def register_filter(name: str, function: Callable[..., Any] | str, provider: str = "") -> None:
    """Let expressions use a filter: a function of the value and at most one argument, or the dotted path of one.

    Raises ``RegistrationError`` when the name is no identifier, or is taken by another function.
    """
    global _generation  # noqa: PLW0603  # a counter, under the lock
    if not name.isidentifier() or not name.isascii() or name.startswith("_"):
        raise RegistrationError(f"A filter cannot be called {name!r}: use letters, digits and underscores.")
    with _lock:
        taken = _filters.get(name)
        if taken is not None and taken.path != function:
            raise RegistrationError(
                f'The filter "{name}" of {provider or "this project"} cannot be registered: '
                f"{taken.provider or 'flowcontrol'} has this name. Give one of them another name."
            )
        if taken is None:
            _filters[name] = Filter(name, function, provider)
            _generation += 1


def unregister_filter(name: str) -> None:
    """Forget a filter, known or not. For tests and for plugins that fail half way."""
    global _generation  # noqa: PLW0603  # a counter, under the lock
    with _lock:
        if _filters.pop(name, None) is not None:
            _generation += 1


def find_filter(name: str) -> Filter | None:
    return _filters.get(name)


def filter_names() -> list[str]:
    return sorted(_filters)


# -- any value -------------------------------------------------------------------------------------------------


def default(value: Any, argument: Any) -> Any:
    """The value, or the argument when the value is missing, empty, zero or false."""
    return value if truth(value) else argument


def default_if_none(value: Any, argument: Any) -> Any:
    """The value, or the argument when the value is missing or None."""
    return argument if value is None else value


def text(value: Any) -> str:
    """As a template writes it."""
    return as_text(value)


def yesno(value: Any, argument: str = "yes,no") -> str:
    """One of two or three words, by comma: for true, for false, and for None."""
    words = _text(argument).split(",")
    if len(words) not in (2, 3):
        raise EvaluationError(
            f'"yesno" takes two or three words with commas between, not {describe(argument)}.'
        )
    return words[2] if value is None and len(words) == 3 else words[0 if truth(value) else 1]


# -- lists -----------------------------------------------------------------------------------------------------


def length(value: Any) -> int:
    if not isinstance(value, (str, list, Mapping)):
        raise EvaluationError(f"{describe(value)} has no length.")
    return len(value)


def first(value: Any) -> Any:
    return _item(value, 0, "first")


def last(value: Any) -> Any:
    return _item(value, -1, "last")


def _item(value: Any, index: int, word: str) -> Any:
    if not isinstance(value, (str, list)):
        raise EvaluationError(f"{describe(value)} has no {word} item.")
    if not value:
        raise Missing(f"An empty {type(value).__name__} has no {word} item.")
    return value[index]


def join(value: Any, argument: str = ", ") -> str:
    """The items as text, with the argument between them."""
    if not isinstance(value, list):
        raise EvaluationError(f"{describe(value)} is no list to join.")
    separator = _text(argument)
    texts: list[str] = []
    left = MAX_TEXT - len(separator) * len(value)
    for item in value:
        texts.append(as_text(item, max(left, 0)))
        left -= len(texts[-1])
    return separator.join(texts)


# -- text ------------------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise EvaluationError(f"{describe(value)} is no text.")
    return value


def _on_text(function: Callable[[str], Any], *, limit: int = MAX_TEXT) -> Callable[[Any], Any]:
    def on_text(value: Any) -> str:
        if len(_text(value)) > limit:
            raise EvaluationError(f"It takes at most {limit:,} characters; this has {len(value):,}.")
        return str(function(value))

    return on_text


def cut(value: Any, argument: str) -> str:
    """Without every place where the argument stands."""
    return _text(value).replace(_text(argument), "")


def truncatechars(value: Any, argument: Any) -> str:
    """At most so many characters, the last an ellipsis where something is left out."""
    # Not Django's, which normalises the whole text first.
    most = _count(argument)
    return value if len(_text(value)) <= most else f"{value[: most - 1]}…"


def truncatewords(value: Any, argument: Any) -> str:
    """At most so many words, with an ellipsis behind them where something is left out."""
    words, most = _text(value).split(), _count(argument)
    return " ".join(words) if len(words) <= most else f"{' '.join(words[:most])} …"


def _count(value: Any) -> int:
    count: Any = arithmetic.number(value)
    if not 0 < count <= MAX_TEXT or count != int(count):
        raise EvaluationError(f"{describe(value)} is no number of characters or words.")
    return int(count)


def pluralize(value: Any, argument: str = "s") -> str:
    """The ending for a number, or for the length of a list: “s” or “y,ies”, nothing or the first for one."""
    endings = _text(argument).split(",")
    if len(endings) > 2:
        raise EvaluationError(f'"pluralize" takes one or two endings, not {describe(argument)}.')
    one, many = ("", endings[0]) if len(endings) == 1 else endings
    count: Any = len(value) if isinstance(value, list) else arithmetic.number(value)
    return one if count == 1 else many


# -- dates and numbers as text ---------------------------------------------------------------------------------


def _formatted(django_filter: Callable[..., Any], kinds: tuple[type, ...], word: str) -> Callable[..., str]:
    def formatted(value: Any, argument: str | None = None) -> str:
        if not isinstance(value, kinds):
            raise EvaluationError(f"{describe(value)} is no {word}.")
        if argument is not None and len(_text(argument)) > 100:
            raise EvaluationError("A format has at most 100 characters.")
        made = str(django_filter(localized(value), argument))
        if not made and argument != "":
            raise EvaluationError(f"{describe(value)} has nothing to show as {describe(argument)}.")
        return made

    return formatted


def floatformat(value: Any, argument: Any = -1) -> str:
    """Rounded to so many places; negative: only if there is a fraction."""
    places: Any = arithmetic.number(argument)
    if abs(places) > 50 or places != int(places):
        raise EvaluationError("floatformat makes at most 50 places.")
    return str(defaultfilters.floatformat(arithmetic.number(value), int(places)))


#: Looking at a value costs nothing, however large it is.
_LOOKING: dict[str, Callable[..., Any]] = {
    "default": default,
    "default_if_none": default_if_none,
    "first": first,
    "last": last,
    "length": length,
    "yesno": yesno,
}

_MAKING: dict[str, Callable[..., Any]] = {
    "add": arithmetic.add,
    "add_days": arithmetic.add_days,
    "add_hours": arithmetic.add_hours,
    "add_minutes": arithmetic.add_minutes,
    "add_seconds": arithmetic.add_seconds,
    "capfirst": _on_text(defaultfilters.capfirst),
    "cut": cut,
    "date": _formatted(defaultfilters.date, (date,), "date"),
    "decimal": arithmetic.to_decimal,
    "divide": arithmetic.divide,
    "divisibleby": arithmetic.divisibleby,
    "floatformat": floatformat,
    "int": arithmetic.to_int,
    "join": join,
    "lower": _on_text(str.lower),
    "modulo": arithmetic.modulo,
    "multiply": arithmetic.multiply,
    "pluralize": pluralize,
    "slugify": _on_text(defaultfilters.slugify, limit=_MAX_NORMALISED),
    "subtract": arithmetic.subtract,
    "text": text,
    "time": _formatted(defaultfilters.time, (datetime, time), "time of day"),
    "title": _on_text(defaultfilters.title, limit=_MAX_SLOW_TEXT),
    "trim": _on_text(str.strip),
    "truncatechars": truncatechars,
    "truncatewords": truncatewords,
    "upper": _on_text(str.upper),
    "urlencode": _on_text(lambda value: quote(value, safe=""), limit=_MAX_SLOW_TEXT),
}

_filters |= {name: Filter(name, each, "flowcontrol", is_bounded=False) for name, each in _LOOKING.items()}
_filters |= {name: Filter(name, each, "flowcontrol") for name, each in _MAKING.items()}
