"""The filters that expressions may use: a list, each with a limit on what it takes and makes.

Django's filters answer with an empty text, or with the value unchanged, when they cannot do their work. Ours raise: a
broken expression is an error, not a false. Those that take anything of any size are in ``arithmetic`` and below.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from django.db import Error as DatabaseProblem
from django.template import defaultfilters
from django.utils.module_loading import import_string

from ..exceptions import EvaluationError, ObjectGone, RegistrationError
from . import arithmetic
from .budget import Work
from .kinds import KNOWN, PLAIN, Names, describe, is_opaque, opaque, reduced
from .missing import Missing
from .values import MAX_ITEMS, MAX_TEXT, as_text, localized, search_cost, truth

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
#: Longest list of words, as `yesno` and `pluralize` take.
_MAX_WORDS = 1_000

# Units of work, of filters that say nothing else; see budget.py.
_CALL, _CHARACTER, _ITEM, _DIGIT = 300, 4, 30, 20
#: A float, which may become an exact number of many digits.
_FLOAT = 1_000
#: A letter of a date's format, which may stand for a name or a moment.
_FORMATTED = 700


class Filter:
    """A filter by its name; imported on first use, and bounded."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any] | str,
        provider: str = "",
        *,
        is_bounded: bool = True,
        is_ours: bool = False,
        call: int = _CALL,
        character: int = _CHARACTER,
    ) -> None:
        self.name = name
        self.path = function
        self.provider = provider
        #: Whether values over the limits are refused; not where a filter only looks, however large the value.
        self.is_bounded = is_bounded
        #: Whether it is of the core, and knows the types that expressions know, and no others.
        self.is_ours = is_ours
        #: Units of work, of a call and of each character of a text that it takes.
        self.call = call
        self.character = character
        self._function: Callable[..., Any] | None = None if isinstance(function, str) else function
        #: Whether it counts itself what else it does: it has the keyword `work`.
        self.is_counting = is_ours and "work" in inspect.signature(self.function).parameters

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

    def __call__(self, work: Work, value: Any, *arguments: Any) -> Any:
        """Raises ``EvaluationError`` for whatever goes wrong in it, and for what is too large."""
        units, taken = self.call, []
        for each in (value, *arguments):
            known = each if type(each) in KNOWN else self._known(each)
            taken.append(known)
            if self.is_bounded:
                units += self._cost(known)
        work.spend(units)
        try:
            result = self.function(*taken, work=work) if self.is_counting else self.function(*taken)
            if type(result) not in PLAIN:
                # Here, because it is what a plugin made of it, up to a list that contains itself.
                result = _reduced(result)
        except (EvaluationError, ObjectGone, DatabaseProblem):
            # A database that is away is no fault of the expression, and may be back for the next attempt.
            raise
        except Exception as error:
            raise EvaluationError(
                f'The filter "{self.name}" cannot take {describe(value)}: {error}'
            ) from error
        if self.is_bounded and (units := self._cost(result)) and not (self.is_ours and type(result) is str):
            # Of ours, a text was paid for by what it is made of.
            work.spend(units)
        return result

    def _known(self, value: Any) -> Any:
        value = reduced(value)
        if self.is_ours and self.function is not default_if_none and is_opaque(value):
            raise opaque(value, f'cannot be given to "{self.name}"')
        return value

    def _cost(self, value: Any) -> int:
        """What reading or making the value costs. Raises ``EvaluationError`` for one that is too large."""
        kind = type(value)
        if kind is int or kind is Decimal:
            return _DIGIT * arithmetic.check(value)
        if kind is float:
            arithmetic.check(value)
            return _FLOAT
        if kind is str:
            measured, limit, unit, each = len(value), MAX_TEXT, "characters", self.character
        elif kind in _SIZED:
            measured, limit, unit, each = len(value), MAX_ITEMS, "items", _ITEM
        else:
            return 0
        if measured > limit:
            raise EvaluationError(
                f'The filter "{self.name}" takes and makes at most {limit:,} {unit}; this has {measured:,}.'
            )
        return measured * each


_SIZED = frozenset({list, tuple, dict, Names, set, frozenset})


def _reduced(value: Any) -> Any:
    """What claims to be safe HTML must not reach a page unescaped by way of the state, nor in a list."""
    value = reduced(value)
    if type(value) is not list:
        return value
    return [item if type(item) in PLAIN else _reduced(item) for item in value]


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


def text(value: Any, *, work: Work) -> str:
    """As a template writes it."""
    return as_text(value, work)


def yesno(value: Any, argument: str = "yes,no") -> str:
    """One of two or three words, by comma: for true, for false, and for None."""
    words = _words(argument)
    if len(words) not in (2, 3):
        raise EvaluationError(
            f'"yesno" takes two or three words with commas between, not {describe(argument)}.'
        )
    return words[2] if value is None and len(words) == 3 else words[0 if truth(value) else 1]


def _words(value: Any) -> list[str]:
    if len(_text(value)) > _MAX_WORDS:
        raise EvaluationError(f"Words to choose from have at most {_MAX_WORDS:,} characters.")
    return list(value.split(","))


# -- lists -----------------------------------------------------------------------------------------------------


def length(value: Any) -> int:
    if type(value) not in (str, list, dict, Names):
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


def join(value: Any, argument: str = ", ", *, work: Work) -> str:
    """The items as text, with the argument between them."""
    if not isinstance(value, list):
        raise EvaluationError(f"{describe(value)} is no list to join.")
    separator = _text(argument)
    texts: list[str] = []
    left = MAX_TEXT - len(separator) * len(value)
    for item in value:
        texts.append(as_text(item, work, max(left, 0)))
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


def cut(value: Any, argument: str, *, work: Work) -> str:
    """Without every place where the argument stands."""
    work.spend(search_cost(_text(argument), _text(value)))
    return str(value.replace(argument, ""))


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
    endings = _words(argument)
    if len(endings) > 2:
        raise EvaluationError(f'"pluralize" takes one or two endings, not {describe(argument)}.')
    one, many = ("", endings[0]) if len(endings) == 1 else endings
    count: Any = len(value) if isinstance(value, list) else arithmetic.number(value)
    return one if count == 1 else many


# -- dates and numbers as text ---------------------------------------------------------------------------------


def _formatted(django_filter: Callable[..., Any], kinds: tuple[type, ...], word: str) -> Callable[..., str]:
    def formatted(value: Any, argument: str | None = None, *, work: Work) -> str:
        if not isinstance(value, kinds):
            raise EvaluationError(f"{describe(value)} is no {word}.")
        if argument is not None and len(_text(argument)) > 100:
            raise EvaluationError("A format has at most 100 characters.")
        work.spend(_FORMATTED * sum(map(str.isalpha, argument or "N j, Y")))
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


def _add_own(name: str, function: Callable[..., Any], **costs: Any) -> None:
    _filters[name] = Filter(name, function, "flowcontrol", is_ours=True, **costs)


# Looking at a value costs nothing, however large it is.
_add_own("default", default, is_bounded=False)
_add_own("default_if_none", default_if_none, is_bounded=False)
_add_own("first", first, is_bounded=False)
_add_own("last", last, is_bounded=False)
_add_own("length", length, is_bounded=False)
_add_own("yesno", yesno, is_bounded=False)

_add_own("add", arithmetic.add)
_add_own("add_days", arithmetic.add_days, call=1_500)
_add_own("add_hours", arithmetic.add_hours, call=1_000)
_add_own("add_minutes", arithmetic.add_minutes, call=1_000)
_add_own("add_seconds", arithmetic.add_seconds, call=1_000)
_add_own("capfirst", _on_text(defaultfilters.capfirst), character=1)
_add_own("cut", cut, character=1)
_add_own("date", _formatted(defaultfilters.date, (date,), "date"), call=3_000)
_add_own("decimal", arithmetic.to_decimal)
_add_own("divide", arithmetic.divide, call=600)
_add_own("divisibleby", arithmetic.divisibleby)
_add_own("floatformat", floatformat, call=3_000)
_add_own("int", arithmetic.to_int)
_add_own("join", join)
_add_own("lower", _on_text(str.lower), character=2)
_add_own("modulo", arithmetic.modulo)
_add_own("multiply", arithmetic.multiply)
_add_own("pluralize", pluralize)
_add_own("slugify", _on_text(defaultfilters.slugify, limit=_MAX_NORMALISED), character=60)
_add_own("subtract", arithmetic.subtract)
_add_own("text", text)
_add_own("time", _formatted(defaultfilters.time, (datetime, time), "time of day"), call=3_000)
_add_own("title", _on_text(defaultfilters.title, limit=_MAX_SLOW_TEXT), character=10)
_add_own("trim", _on_text(str.strip), character=1)
_add_own("truncatechars", truncatechars, character=1)
_add_own("truncatewords", truncatewords, character=1)
_add_own("upper", _on_text(str.upper), character=2)
_add_own("urlencode", _on_text(lambda value: quote(value, safe=""), limit=_MAX_SLOW_TEXT), character=25)
