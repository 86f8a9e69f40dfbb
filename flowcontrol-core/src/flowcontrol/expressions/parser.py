"""From text to something that can be evaluated: Django's parser once, then functions of our own."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from django.template import TemplateSyntaxError
from django.template.base import FilterExpression, Variable
from django.template.smartif import IfParser, Literal
from django.utils.text import smart_split

from .. import conf
from ..exceptions import EvaluationError, ExpressionSyntaxError, UnknownName
from ..suggestions import did_you_mean
from .filters import Filter, filter_names, find_filter
from .scope import Scope, read_part

__all__ = ["Expression", "compile_expression"]

Evaluate = Callable[[Scope], Any]

#: Words, operators and operands of one expression; with it the depth of nesting is bounded too.
_MAX_TOKENS = 150
#: Filters with which a missing name is no error.
_DEFAULTS = frozenset({"default", "default_if_none"})


class Expression:
    """A compiled expression: equal to another one of the same source, and shared between threads."""

    __slots__ = ("_evaluate", "names", "source")

    def __init__(self, source: str, evaluate: Evaluate, names: frozenset[str]) -> None:
        self.source = source
        #: Root names that are read without a ``|default:``.
        self.names = names
        self._evaluate = evaluate

    def evaluate(self, scope: Scope) -> Any:
        """The value. Raises ``UnknownName`` and other ``EvaluationError``, naming the expression."""
        try:
            return self._evaluate(scope)
        except EvaluationError as error:
            raise type(error)(f"{self.source}: {error}") from error

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
    return _compile(source)


@lru_cache(maxsize=4_096)
def _compile(source: str) -> Expression:
    tokens = list(smart_split(source))
    if not tokens:
        raise ExpressionSyntaxError("The expression is empty.")
    if len(tokens) > _MAX_TOKENS:
        raise ExpressionSyntaxError(f"The expression has {len(tokens)} words, and may have {_MAX_TOKENS}.")
    names: set[str] = set()
    try:
        node = _Parser(tokens, source, names).parse()
    except TemplateSyntaxError as error:
        raise ExpressionSyntaxError(_told(str(error))) from error
    except RecursionError as error:
        raise ExpressionSyntaxError("The expression is nested too deeply.") from error
    return Expression(source, _compiled(node), frozenset(names))


def _told(message: str) -> str:
    """Django's message, in words that fit where there is no tag."""
    return message.replace("'if' expression", "expression").replace("if' statement", "expression'")


class _Parser(IfParser):  # type: ignore[misc]  # untyped in django-stubs
    """Django's parser of ``{% if %}``, with our operands in the place of its variables."""

    error_class = TemplateSyntaxError

    def __init__(self, tokens: Sequence[str], source: str, names: set[str]) -> None:
        self.source = source
        self.names = names
        super().__init__(tokens)

    def create_var(self, value: str) -> Any:
        return _Operand(self._operand(value))

    def _operand(self, token: str) -> Evaluate:
        column = self.source.find(token)
        try:
            parsed = FilterExpression(token, _Filters())
        except TemplateSyntaxError as error:
            raise ExpressionSyntaxError(_told(str(error)), column) from error
        return _filtered(parsed, self.names, column)


class _Operand(Literal):  # type: ignore[misc]  # untyped in django-stubs
    """An operand, which to Django's parser is a literal."""

    def __init__(self, evaluate: Evaluate) -> None:
        super().__init__(None)
        self.evaluate = evaluate


class _Filters:
    """What Django's ``FilterExpression`` needs of a template parser: the filters by name."""

    def find_filter(self, name: str) -> Callable[..., Any]:
        found = find_filter(name)
        if found is None:
            hint = did_you_mean(name, filter_names()) or f"There are: {', '.join(filter_names())}."
            raise TemplateSyntaxError(f'There is no filter "{name}". {hint}')
        least, most = found.arguments()

        # Django checks the number of arguments by the function's signature.
        def bounded_0(value: Any) -> Any: ...
        def bounded_1(value: Any, argument: Any) -> Any: ...
        def bounded_01(value: Any, argument: Any = None) -> Any: ...

        bounded: Any = bounded_0 if most == 0 else bounded_1 if least else bounded_01
        bounded.filter = found
        return bounded


def _filtered(parsed: FilterExpression, names: set[str], column: int) -> Evaluate:
    filters: list[tuple[Filter, list[Evaluate]]] = []
    for function, arguments in parsed.filters:
        evaluators = [
            _variable(value, names, column) if looked_up else _constant(value)
            for looked_up, value in arguments
        ]
        filters.append((function.filter, evaluators))
    has_default = bool(filters) and filters[0][0].name in _DEFAULTS
    if isinstance(parsed.var, Variable):
        value = _variable(parsed.var, set() if has_default else names, column)
    else:
        value = _constant(parsed.var)
    if has_default:
        value = _or_none(value)
    for each, evaluators in filters:
        value = _apply(each, value, evaluators)
    return value


def _apply(filter_: Filter, value: Evaluate, arguments: list[Evaluate]) -> Evaluate:
    if not arguments:
        return lambda scope: filter_(value(scope))
    (argument,) = arguments
    return lambda scope: filter_(value(scope), argument(scope))


def _or_none(value: Evaluate) -> Evaluate:
    def evaluate(scope: Scope) -> Any:
        try:
            return value(scope)
        except UnknownName:
            return None

    return evaluate


def _constant(value: Any) -> Evaluate:
    plain = str.__str__(value) if isinstance(value, str) else value
    return lambda scope: plain


def _variable(variable: Variable, names: set[str], column: int) -> Evaluate:
    if variable.translate:
        raise ExpressionSyntaxError(
            'Translated texts such as _("text") cannot be used in expressions.', column
        )
    if variable.literal is not None:
        return _constant(variable.literal)
    assert variable.lookups is not None
    root, *parts = variable.lookups
    if root in _CONSTANTS:
        if parts:
            raise ExpressionSyntaxError(f'"{variable.var}": {root} has no parts.', column)
        return _constant(_CONSTANTS[root])
    if not root.isidentifier():
        raise ExpressionSyntaxError(
            f'"{variable.var}" is neither a name nor a number nor a text in quotes.', column
        )
    names.add(root)
    if not parts:
        return lambda scope: scope.read(root)

    def evaluate(scope: Scope) -> Any:
        value, path, depth = scope.read(root), root, 0
        for part in parts:
            value, depth = read_part(value, part, path, depth)
            path = f"{path}.{part}"
        return value

    return evaluate


_CONSTANTS = {"True": True, "False": False, "None": None}


# -- operators -------------------------------------------------------------------------------------------------


def _compiled(node: Any) -> Evaluate:
    if isinstance(node, _Operand):
        return node.evaluate
    if node.id == "not":
        inner = _compiled(node.first)
        return lambda scope: not inner(scope)
    left, right = _compiled(node.first), _compiled(node.second)
    return _OPERATORS[node.id](left, right)


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: left(scope) and right(scope)


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: left(scope) or right(scope)


def _plain(function: Callable[[Any, Any], Any]) -> Callable[[Evaluate, Evaluate], Evaluate]:
    return lambda left, right: lambda scope: function(left(scope), right(scope))


def _checked(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[[Evaluate, Evaluate], Evaluate]:
    """An operator that does not take everything: what it does not take is an error, and never a false."""

    def build(left: Evaluate, right: Evaluate) -> Evaluate:
        def evaluate(scope: Scope) -> Any:
            one, other = left(scope), right(scope)
            try:
                return function(one, other)
            except TypeError as error:
                raise EvaluationError(
                    f'A {type(one).__name__} and a {type(other).__name__} cannot be compared by "{symbol}".'
                ) from error

        return evaluate

    return build


_OPERATORS: dict[str, Callable[[Evaluate, Evaluate], Evaluate]] = {
    "and": _and,
    "or": _or,
    "==": _plain(operator.eq),
    "!=": _plain(operator.ne),
    "is": _plain(operator.is_),
    "is not": _plain(operator.is_not),
    "in": _checked("in", lambda one, other: one in other),
    "not in": _checked("not in", lambda one, other: one not in other),
    "<": _checked("<", operator.lt),
    "<=": _checked("<=", operator.le),
    ">": _checked(">", operator.gt),
    ">=": _checked(">=", operator.ge),
}
