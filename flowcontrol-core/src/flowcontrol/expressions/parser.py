"""From text to something that can be evaluated: Django's parser once, then functions of our own."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, cast

from django.template import TemplateSyntaxError
from django.template.base import FilterExpression, Variable
from django.template.smartif import IfParser, Literal
from django.utils.functional import Promise
from django.utils.text import smart_split

from .. import conf
from ..exceptions import EvaluationError, ExpressionSyntaxError
from ..suggestions import did_you_mean
from .budget import MAX_WORK, Work
from .filters import Filter, filter_names, find_filter, generation
from .kinds import KNOWN, reduced
from .missing import Missing, told
from .scope import Scope, read_part
from .values import compare, equals, is_in, truth

__all__ = ["MAX_FILTERS", "MAX_TOKENS", "Expression", "compile_expression"]

Evaluate = Callable[[Scope], Any]

#: Words, operators and operands of one expression; with it the depth of nesting is bounded too.
MAX_TOKENS = 150
#: Filters of one expression, all operands together.
MAX_FILTERS = 50
#: Filters with which a missing name is no error.
_DEFAULTS = frozenset({"default", "default_if_none"})
_CONSTANTS = {"True": True, "False": False, "None": None}


class Expression:
    """A compiled expression: equal to another one of the same source, and shared between threads.

    It keeps the filters it was compiled with: one that is registered anew later on is seen by what is compiled then.
    """

    __slots__ = ("_evaluate", "names", "source")

    def __init__(self, source: str, evaluate: Evaluate, names: frozenset[str]) -> None:
        self.source = source
        #: Every root name that may be read, also one with a ``|default:``.
        self.names = names
        self._evaluate = evaluate

    @property
    def is_constant(self) -> bool:
        """Whether it reads no name at all: its value is the same in every scope, and known when it is written."""
        return not self.names

    def evaluate(self, scope: Scope, *, is_part: bool = False) -> Any:
        """The value. Raises ``UnknownName`` and other ``EvaluationError``, naming the expression.

        ``ObjectGone`` and the database's own errors come as they are: neither is the expression's fault. What
        ``is_part`` of a larger evaluation goes on with what is left of the work that the whole of it may be.
        """
        if not is_part:
            scope.work.left = MAX_WORK
        try:
            value = self._evaluate(scope)
        except EvaluationError as error:
            raise told(error, self.source) from error
        # Also what Django marked as safe for HTML: it must not reach a page unescaped by way of an expression.
        return value if type(value) in KNOWN else reduced(value)

    def is_true(self, scope: Scope) -> bool:
        """Whether the value counts as true here: Python's own question may run code of an object."""
        value = self.evaluate(scope)
        try:
            return truth(value)
        except EvaluationError as error:
            raise told(error, self.source) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


def compile_expression(source: str) -> Expression:
    """An expression, as in ``{% if %}``. Raises ``ExpressionSyntaxError`` saying what is wrong, and where."""
    limit = conf.get("EXPRESSION_MAX_LENGTH")
    if len(source) > limit:
        raise ExpressionSyntaxError(
            f"The expression has {len(source)} characters, and may have {limit} (the setting EXPRESSION_MAX_LENGTH)."
        )
    return _compile(source, generation())


@lru_cache(maxsize=1_024)
def _compile(source: str, _filters: int) -> Expression:
    """``_filters`` counts the changes of the table of filters: an answer from before one is not given after it."""
    tokens = list(_tokens(source))
    if not tokens:
        raise ExpressionSyntaxError("The expression is empty.")
    if len(tokens) > MAX_TOKENS:
        raise ExpressionSyntaxError(f"The expression has {len(tokens)} words, and may have {MAX_TOKENS}.")
    try:
        parser = _Parser(tokens)
        evaluate = _compiled(parser.parse())
    except TemplateSyntaxError as error:
        raise ExpressionSyntaxError(_told(error)) from error
    except RecursionError as error:
        raise ExpressionSyntaxError("The expression is nested too deeply.") from error
    return Expression(source, evaluate, frozenset(parser.names))


class _Token(str):
    """A word of the source that knows where it stands."""

    __slots__ = ("column",)
    column: int


def _tokens(source: str) -> Iterator[_Token]:
    end = 0
    for word in smart_split(source):
        token = _Token(word)
        token.column = source.index(word, end)
        end = token.column + len(word)
        yield token


_ADVICE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^=$"), 'Write "==" to compare.'),
    (re.compile(r"^[-+*/%]"), "Calculate with filters, as in n|add:1."),
    (re.compile(r"[()]"), "There are no brackets and no calls: use several steps, or filters."),
    (re.compile(r"\w[-+*/%]"), "Calculate with filters, as in n|add:1."),
    (re.compile(r"[<>=!]"), "Put a space on either side of an operator, as in n < 9."),
    (re.compile(r":$"), "There is no space between a filter and its argument, as in n|default:0."),
    (re.compile(r"[\"']"), "Each quote needs another one."),
)


def _told(error: Exception, token: str = "") -> str:
    """Django's message, in words that fit where there is no tag, and with advice on what is often written so."""
    message = str(error)
    if wrong := re.match(r"(\w+) requires (\d) arguments", message):
        takes = "an argument, as in |{0}:1" if wrong[2] == "2" else "no argument"
        message = f'The filter "{{0}}" takes {takes}.'.format(wrong[1])
    for theirs, ours in (
        (" in if tag", ""),
        ("if expression", "the expression"),
        ("Not expecting", "Unexpected"),
    ):
        message = message.replace(theirs, ours)
    # The second is what Django 6.1 says of the same mistake.
    if not message.startswith(("Could not parse", "Invalid character")):
        return message
    advice = next((advice for pattern, advice in _ADVICE if pattern.search(token)), "")
    return f'"{token if len(token) <= 60 else token[:59] + "…"}" cannot be understood. {advice}'.rstrip()


class _Parser(IfParser):
    """Django's parser of ``{% if %}``, with our operands in the place of its variables."""

    error_class = TemplateSyntaxError

    def __init__(self, tokens: Sequence[Any]) -> None:
        self.names: set[str] = set()
        self.filters = 0
        super().__init__(list(tokens))

    def create_var(self, value: Any) -> _Operand:
        try:
            parsed = FilterExpression(str(value), cast("Any", _Filters()))
        except TemplateSyntaxError as error:
            raise ExpressionSyntaxError(_told(error, value), value.column) from error
        self.filters += len(parsed.filters)
        if self.filters > MAX_FILTERS:
            raise ExpressionSyntaxError(
                f"The expression has more than {MAX_FILTERS} filters; use several steps.", value.column
            )
        return _Operand(value, _filtered(parsed, self.names, value.column))


class _Operand(Literal):
    """An operand, which to Django's parser is a literal."""

    def __init__(self, token: _Token, evaluate: Evaluate) -> None:
        super().__init__(str(token))
        self.column = token.column
        self.evaluate = evaluate

    def display(self) -> str:
        return str(self.value)


class _Filters:
    """What Django's ``FilterExpression`` needs of a template parser: the filters by name."""

    def find_filter(self, name: str) -> Callable[..., Any]:
        found = find_filter(name)
        if found is None:
            hint = did_you_mean(name, filter_names()) if len(name) <= 60 else ""
            raise TemplateSyntaxError(
                f'There is no filter "{name}". {hint or "There are: " + ", ".join(filter_names()) + "."}'
            )
        try:
            least, most = found.arguments()
        except Exception as error:
            # A plugin's module is imported here for the first time: whatever it raises.
            raise TemplateSyntaxError(
                f'The filter "{name}" of {found.provider or "this project"} cannot be loaded: '
                f"{type(error).__name__}: {error}"
            ) from error

        # Django checks the number of arguments by the function's signature.
        def bounded_0(value: Any) -> Any: ...
        def bounded_1(value: Any, argument: Any) -> Any: ...
        def bounded_01(value: Any, argument: Any = None) -> Any: ...

        bounded: Any = bounded_0 if most == 0 else bounded_1 if least else bounded_01
        bounded.filter = found
        return cast("Callable[..., Any]", bounded)


# -- operands --------------------------------------------------------------------------------------------------


def _filtered(parsed: FilterExpression, names: set[str], column: int) -> Evaluate:
    filters: list[tuple[Filter, Evaluate | None]] = []
    for function, arguments in parsed.filters:
        evaluators = [
            _variable(value, names, column) if looked_up else _constant(value, column)
            for looked_up, value in arguments
        ]
        filters.append((function.filter, evaluators[0] if evaluators else None))
    has_default = bool(filters) and filters[0][0].name in _DEFAULTS
    read = parsed.var
    value = _variable(read, names, column) if isinstance(read, Variable) else _constant(read, column)
    if has_default:
        value = _or_none(value)
    if len(filters) == 1:
        return _apply(value, *filters[0])
    return _apply_all(value, filters) if filters else value


def _apply(value: Evaluate, filter_: Filter, argument: Evaluate | None) -> Evaluate:
    if argument is None:
        return lambda scope: filter_(scope.work, value(scope))
    return lambda scope: filter_(scope.work, value(scope), argument(scope))


def _apply_all(value: Evaluate, filters: list[tuple[Filter, Evaluate | None]]) -> Evaluate:
    # A loop, and not a function around a function: the depth of Python's stack does not grow with the filters.
    def evaluate(scope: Scope) -> Any:
        result = value(scope)
        for filter_, argument in filters:
            arguments = () if argument is None else (argument(scope),)
            result = filter_(scope.work, result, *arguments)
        return result

    return evaluate


def _or_none(value: Evaluate) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        try:
            return value(scope)
        except Missing:
            return None

    return evaluate


def _constant(value: Any, column: int) -> Evaluate:
    if isinstance(value, Promise):
        raise ExpressionSyntaxError(
            'Translated texts such as _("text") cannot be used in expressions; write "text".', column
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionSyntaxError("A number is too large.", column)
    # What Django marked as safe for HTML is a text like any other.
    constant = reduced(value)
    return lambda scope: constant


def _variable(variable: Variable, names: set[str], column: int) -> Evaluate:
    if variable.literal is not None:
        return _constant(variable.literal, column)
    assert variable.lookups is not None
    root, *parts = variable.lookups
    if root in _CONSTANTS:
        if parts:
            raise ExpressionSyntaxError(f'"{variable.var}": {root} has no parts.', column)
        return _constant(_CONSTANTS[root], column)
    if not root.isidentifier():
        raise ExpressionSyntaxError(
            f'"{variable.var}" is neither a name nor a number nor a text in quotes.', column
        )
    if "" in parts:
        raise ExpressionSyntaxError(f'"{variable.var}": after each dot there has to be a name.', column)
    names.add(root)
    if not parts:
        return lambda scope: scope.read(root)

    def evaluate(scope: Scope) -> Any:
        value, path, depth = scope.read(root), root, 0
        for part in parts:
            value, depth = read_part(value, part, path, depth, scope.work)
            path = f"{path}.{part}"
        return value

    return evaluate


# -- operators -------------------------------------------------------------------------------------------------


def _compiled(node: Any) -> Evaluate:
    if isinstance(node, _Operand):
        evaluate: Evaluate = node.evaluate
        return evaluate
    if node.id == "not":
        inner = _compiled(node.first)
        return lambda scope: not truth(inner(scope))
    if node.id in ("and", "or"):
        return _junction(node)
    return _comparison(node)


def _junction(node: Any) -> Evaluate:
    """``a and b and c`` as one list, however many there are; the value is that of the operand that decided."""
    kind, operands, rest = node.id, [], node
    while not isinstance(rest, _Operand) and rest.id == kind:
        operands.append(_compiled(rest.second))
        rest = rest.first
    operands.append(_compiled(rest))
    *first_ones, last = reversed(operands)
    decides = kind == "or"

    def evaluate(scope: Scope) -> Any:
        for each in first_ones:
            value = each(scope)
            if truth(value) is decides:
                return value
        return last(scope)

    return evaluate


def _comparison(node: Any) -> Evaluate:
    for side in (node.first, node.second):
        if not isinstance(side, _Operand) and side.id in _COMPARISONS:
            raise ExpressionSyntaxError(
                f'Comparisons cannot be chained ("{side.id}" beside "{node.id}"): join two with "and", '
                "as in 1 < n and n < 9."
            )
    if node.id in ("is", "is not"):
        _check_identity(node)
    left, right, decide = _compiled(node.first), _compiled(node.second), _COMPARISONS[node.id]
    return lambda scope: decide(left(scope), right(scope), scope.work)


def _check_identity(node: Any) -> None:
    sides = [side.value if isinstance(side, _Operand) else None for side in (node.first, node.second)]
    if not any(side in _CONSTANTS for side in sides):
        equal = "==" if node.id == "is" else "!="
        raise ExpressionSyntaxError(
            f'"{node.id}" asks for None, True or False only; write "{equal}" to compare values.'
        )


def _ordered(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Work], bool]:
    def decide(one: Any, other: Any, work: Work) -> bool:
        if type(one) in _QUICK and type(other) in _QUICK:
            return bool(function(one, other))
        return compare(symbol, function, one, other, work)

    return decide


#: Types that always have an order among each other.
_QUICK = frozenset({int, float, bool})

_COMPARISONS: dict[str, Callable[[Any, Any, Work], bool]] = {
    "==": equals,
    "!=": lambda one, other, work: not equals(one, other, work),
    "is": lambda one, other, _work: one is other,
    "is not": lambda one, other, _work: one is not other,
    "in": is_in,
    "not in": lambda one, other, work: not is_in(one, other, work),
    "<": _ordered("<", operator.lt),
    "<=": _ordered("<=", operator.le),
    ">": _ordered(">", operator.gt),
    ">=": _ordered(">=", operator.ge),
}
