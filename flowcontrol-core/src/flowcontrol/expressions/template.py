"""Text with expressions in it: ``Dear {{ object.name|capfirst }}``. No tags, no HTML escaping: it is plain text."""

from __future__ import annotations

import re

from .. import conf
from ..exceptions import EvaluationError, ExpressionSyntaxError
from .budget import MAX_WORK
from .missing import told
from .parser import Expression, compile_expression
from .scope import Scope
from .values import MAX_TEXT, as_text

__all__ = ["MAX_PLACEHOLDERS", "MAX_SOURCE", "Template", "compile_template"]

#: Longest source, in characters, and most placeholders in it.
MAX_SOURCE = 100_000
MAX_PLACEHOLDERS = 1_000
#: The inside of a placeholder, and its end; what stands in quotes may contain braces.
_INSIDE = re.compile(r"""((?:[^"'}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\}(?!\}))*)\}\}""", re.DOTALL)


class Template:
    """A compiled text: equal to another one of the same source, and shared between threads."""

    __slots__ = ("_parts", "source")

    def __init__(self, source: str, parts: tuple[str | Expression, ...]) -> None:
        self.source = source
        self._parts = parts

    def render(self, scope: Scope) -> str:
        """The text: None as nothing, datetimes in the current time zone. Raises ``EvaluationError``.

        The work of all its expressions together is limited as that of one is.
        """
        scope.work.left = MAX_WORK
        texts: list[str] = []
        size = 0
        for part in self._parts:
            text = part if isinstance(part, str) else _rendered(part, scope)
            size += len(text)
            if size > MAX_TEXT:
                raise EvaluationError(f"The text would have more than {MAX_TEXT:,} characters.")
            texts.append(text)
        return "".join(texts)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        return tuple(part for part in self._parts if isinstance(part, Expression))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"


def compile_template(source: str) -> Template:
    """A text with placeholders. Raises ``ExpressionSyntaxError`` for one that is broken, and for tags."""
    if len(source) > MAX_SOURCE:
        raise ExpressionSyntaxError(f"The text has {len(source):,} characters, and may have {MAX_SOURCE:,}.")
    parts: list[str | Expression] = []
    end = 0
    while (start := source.find("{{", end)) >= 0:
        parts.append(_literal(source[end:start], end))
        expression, end = _placeholder(source, start)
        parts.append(expression)
        if len(parts) > 2 * MAX_PLACEHOLDERS:
            raise ExpressionSyntaxError(f"The text has more than {MAX_PLACEHOLDERS:,} placeholders.", start)
    parts.append(_literal(source[end:], end))
    return Template(source, tuple(part for part in parts if part != ""))


def _placeholder(source: str, start: int) -> tuple[Expression, int]:
    """The expression of the placeholder that begins at ``start``, and where it ends."""
    # Never further than an expression may be long, or a text full of unclosed braces would take its square in time.
    found = _INSIDE.match(source, start + 2, start + 2 + conf.get("EXPRESSION_MAX_LENGTH") + 100)
    if found is None:
        advice = "a placeholder is never closed, or a quote in it is not; write {{ name }}"
        raise ExpressionSyntaxError(f'"{source[start : start + 20]}": {advice}.', start)
    try:
        return compile_expression(found[1].strip()), found.end()
    except ExpressionSyntaxError as error:
        raise ExpressionSyntaxError(f"{source[start : found.end()]}: {error}", start) from error


def _literal(text: str, start: int) -> str:
    at = text.find("{%")
    if at >= 0:
        advice = "tags cannot be used here, only {{ expressions }}"
        raise ExpressionSyntaxError(f'"{text[at : at + 20]}": {advice}.', start + at)
    return text


def _rendered(expression: Expression, scope: Scope) -> str:
    value = expression.evaluate(scope, is_part=True)
    if type(value) is str:
        return value
    try:
        return as_text(value, scope.work)
    except EvaluationError as error:
        raise told(error, expression.source) from error
