"""The filters that expressions may use: a list, each with a limit on what it takes and makes.

Django's filters answer with an empty text, or with the value unchanged, when they cannot do their work. Ours raise: a
broken expression is an error, not a false.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from django.template import defaultfilters
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString

from ..exceptions import EvaluationError, RegistrationError

__all__ = ["MAX_TEXT", "Filter", "filter_names", "find_filter", "register_filter", "unregister_filter"]

#: Longest text that a filter takes or makes, in characters.
MAX_TEXT = 262_144
#: Most digits of a number that a filter takes or makes.
MAX_DIGITS = 300
#: Most items of a list that a filter takes or makes.
MAX_ITEMS = 10_000

_NUMBERS = (int, float, Decimal)


class Filter:
    """A filter by its name; imported on first use, and bounded."""

    def __init__(self, name: str, function: Callable[..., Any] | str, provider: str = "") -> None:
        self.name = name
        self.path = function
        self.provider = provider
        self._function: Callable[..., Any] | None = None if isinstance(function, str) else function

    @property
    def function(self) -> Callable[..., Any]:
        if self._function is None:
            assert isinstance(self.path, str)
            self._function = import_string(self.path.replace(":", "."))
        return self._function

    def arguments(self) -> tuple[int, int]:
        """Least and most number of arguments after the value."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        least = sum(1 for parameter in parameters if parameter.default is parameter.empty)
        return least, len(parameters)

    def __call__(self, value: Any, *arguments: Any) -> Any:
        """Raises ``EvaluationError`` for whatever goes wrong in it, and for what is too large."""
        for each in (value, *arguments):
            _check_size(self.name, each)
        try:
            result = self.function(value, *arguments)
        except EvaluationError:
            raise
        except Exception as error:
            raise EvaluationError(f'The filter "{self.name}" cannot take {_told(value)}: {error}') from error
        _check_size(self.name, result)
        # A text that claims to be safe HTML must not reach a page unescaped by way of the state.
        return str.__str__(result) if isinstance(result, SafeString) else result


_filters: dict[str, Filter] = {}
_lock = threading.Lock()


def register_filter(name: str, function: Callable[..., Any] | str, provider: str = "") -> None:
    """Let expressions use a filter: a function of the value and at most one argument, or the dotted path of one.

    Raises ``RegistrationError`` when the name is no identifier, or is taken by another function.
    """
    if not name.isidentifier():
        raise RegistrationError(f"A filter cannot be called {name!r}: use letters, digits and underscores.")
    with _lock:
        taken = _filters.get(name)
        if taken is not None and taken.path != function:
            raise RegistrationError(
                f'The filter "{name}" of {provider or "this project"} cannot be registered: '
                f"{taken.provider or 'flowcontrol'} has this name. Give one of them another name."
            )
        _filters.setdefault(name, Filter(name, function, provider))


def unregister_filter(name: str) -> None:
    """Forget a filter, known or not. For tests and for plugins that fail half way."""
    with _lock:
        _filters.pop(name, None)


def find_filter(name: str) -> Filter | None:
    return _filters.get(name)


def filter_names() -> list[str]:
    return sorted(_filters)


def _told(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '…'} ({type(value).__name__})"


def _check_size(name: str, value: Any) -> None:
    if isinstance(value, str):
        size, limit, unit = len(value), MAX_TEXT, "characters"
    elif isinstance(value, bool):
        return
    elif isinstance(value, int):
        size, limit, unit = value.bit_length() // 3, MAX_DIGITS, "digits"
    elif isinstance(value, Decimal):
        size, limit, unit = abs(value.adjusted()) + len(value.as_tuple().digits), MAX_DIGITS, "digits"
    elif isinstance(value, (list, Mapping)):
        size, limit, unit = len(value), MAX_ITEMS, "items"
    else:
        return
    if size > limit:
        raise EvaluationError(
            f'The filter "{name}" takes and makes at most {limit:,} {unit}; this has {size:,}.'
        )


# -- our own, which fail loudly --------------------------------------------------------------------------------


def _number(value: Any) -> int | float | Decimal:
    """The value as a number; text that looks like one counts, as in Django's filters."""
    if isinstance(value, _NUMBERS) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                return Decimal(value)
            except InvalidOperation:
                pass
    raise EvaluationError(f"{_told(value)} is no number.")


def _pair(value: Any, argument: Any) -> tuple[Any, Any]:
    left, right = _number(value), _number(argument)
    if isinstance(left, Decimal) and isinstance(right, float):
        right = Decimal(str(right))
    if isinstance(right, Decimal) and isinstance(left, float):
        left = Decimal(str(left))
    return left, right


def add(value: Any, argument: Any) -> Any:
    """The sum of two numbers, two texts put together, or two lists."""
    for kind in (str, list):
        if isinstance(value, kind) and isinstance(argument, kind):
            if len(value) + len(argument) > (MAX_TEXT if kind is str else MAX_ITEMS):
                raise EvaluationError('The filter "add" would make something too large.')
            return value + argument
    if isinstance(value, (date, timedelta)) and isinstance(argument, timedelta):
        return value + argument
    if isinstance(value, str) != isinstance(argument, str) and not _both_numeric(value, argument):
        raise EvaluationError(f"{_told(value)} and {_told(argument)} cannot be added.")
    left, right = _pair(value, argument)
    return left + right


def _both_numeric(value: Any, argument: Any) -> bool:
    try:
        _pair(value, argument)
    except EvaluationError:
        return False
    return True


def subtract(value: Any, argument: Any) -> Any:
    """The difference of two numbers, or of two dates as a timedelta."""
    if isinstance(value, (date, timedelta)) and isinstance(argument, (date, timedelta)):
        return value - argument  # type: ignore[operator]
    left, right = _pair(value, argument)
    return left - right


def multiply(value: Any, argument: Any) -> Any:
    left, right = _pair(value, argument)
    return left * right


def divide(value: Any, argument: Any) -> Any:
    """The quotient: of two whole numbers a Decimal."""
    left, right = _pair(value, argument)
    if right == 0:
        raise EvaluationError(f"{_told(value)} cannot be divided by 0.")
    return (
        Decimal(left) / Decimal(right) if isinstance(left, int) and isinstance(right, int) else left / right
    )


def modulo(value: Any, argument: Any) -> Any:
    left, right = _pair(value, argument)
    if right == 0:
        raise EvaluationError(f"{_told(value)} has no remainder by 0.")
    return left % right


def divisibleby(value: Any, argument: Any) -> bool:
    return bool(modulo(value, argument) == 0)


def length(value: Any) -> int:
    if not isinstance(value, (str, list, Mapping)):
        raise EvaluationError(f"{_told(value)} has no length.")
    return len(value)


def first(value: Any) -> Any:
    return _item(value, 0, "first")


def last(value: Any) -> Any:
    return _item(value, -1, "last")


def _item(value: Any, index: int, word: str) -> Any:
    if not isinstance(value, (str, list)):
        raise EvaluationError(f"{_told(value)} has no {word} item.")
    if not value:
        raise EvaluationError(f"An empty {type(value).__name__} has no {word} item.")
    return value[index]


def join(value: Any, argument: str = ", ") -> str:
    if not isinstance(value, list):
        raise EvaluationError(f"{_told(value)} is no list to join.")
    texts = [str(item) for item in value]
    if sum(map(len, texts)) + len(str(argument)) * len(texts) > MAX_TEXT:
        raise EvaluationError(f'The filter "join" makes at most {MAX_TEXT:,} characters.')
    return str(argument).join(texts)


def default(value: Any, argument: Any) -> Any:
    """The value, or the argument when the value is missing, empty, zero or false."""
    return value or argument


def default_if_none(value: Any, argument: Any) -> Any:
    """The value, or the argument when the value is missing or None."""
    return argument if value is None else value


def to_int(value: Any) -> int:
    return int(_number(value))


def to_decimal(value: Any) -> Decimal:
    number = _number(value)
    return number if isinstance(number, Decimal) else Decimal(str(number))


def to_text(value: Any) -> str:
    return str(value)


def cut(value: Any, argument: str) -> str:
    return _text(value).replace(_text(argument), "")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise EvaluationError(f"{_told(value)} is no text.")
    return value


def _on_text(django_filter: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: django_filter(_text(value))


def _shift(unit: str) -> Callable[[Any, Any], Any]:
    def shift(value: Any, argument: Any) -> Any:
        if not isinstance(value, date):
            raise EvaluationError(f"{_told(value)} is no date.")
        if unit != "days" and not isinstance(value, datetime):
            raise EvaluationError(f"{_told(value)} has no time of day.")
        return value + timedelta(**{unit: float(_number(argument))})

    return shift


def _formatted(django_filter: Callable[..., Any]) -> Callable[..., Any]:
    def formatted(value: Any, argument: str) -> str:
        if len(_text(argument)) > 100:
            raise EvaluationError("A format has at most 100 characters.")
        if not hasattr(value, "strftime"):
            raise EvaluationError(f"{_told(value)} is no date or time.")
        return str(django_filter(value, argument))

    return formatted


def floatformat(value: Any, argument: Any = -1) -> str:
    digits = _number(argument)
    if abs(digits) > 50:
        raise EvaluationError("floatformat makes at most 50 digits.")
    return str(defaultfilters.floatformat(_number(value), int(digits)))


def truncatechars(value: Any, argument: Any) -> str:
    return str(defaultfilters.truncatechars(_text(value), int(_number(argument))))


def truncatewords(value: Any, argument: Any) -> str:
    return str(defaultfilters.truncatewords(_text(value), int(_number(argument))))


def yesno(value: Any, argument: str = "yes,no") -> str:
    return str(defaultfilters.yesno(value, _text(argument)))


_BUILT_IN: dict[str, Callable[..., Any]] = {
    "add": add,
    "add_days": _shift("days"),
    "add_hours": _shift("hours"),
    "add_minutes": _shift("minutes"),
    "add_seconds": _shift("seconds"),
    "capfirst": _on_text(defaultfilters.capfirst),
    "cut": cut,
    "date": _formatted(defaultfilters.date),
    "default": default,
    "default_if_none": default_if_none,
    "divide": divide,
    "divisibleby": divisibleby,
    "first": first,
    "floatformat": floatformat,
    "int": to_int,
    "decimal": to_decimal,
    "join": join,
    "last": last,
    "length": length,
    "lower": _on_text(str.lower),
    "modulo": modulo,
    "multiply": multiply,
    "slugify": _on_text(defaultfilters.slugify),
    "subtract": subtract,
    "text": to_text,
    "time": _formatted(defaultfilters.time),
    "title": _on_text(defaultfilters.title),
    "trim": _on_text(str.strip),
    "truncatechars": truncatechars,
    "truncatewords": truncatewords,
    "upper": _on_text(str.upper),
    "yesno": yesno,
}

for _name, _function in _BUILT_IN.items():
    register_filter(_name, _function, "flowcontrol")
