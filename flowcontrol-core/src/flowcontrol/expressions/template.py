"""Text with expressions in it: ``Dear {{ object.name|capfirst }}``. No tags, no HTML escaping: it is plain text."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from django.utils import timezone

from ..exceptions import EvaluationError, ExpressionSyntaxError
from .filters import MAX_TEXT
from .parser import Expression, compile_expression
from .scope import Scope

__all__ = ["Template", "compile_template"]

#: A placeholder; what stands in quotes may contain braces.
_PLACEHOLDER = re.compile(r"""\{\{((?:[^"'}]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\}(?!\}))*)\}\}""")


class Template:
    """A compiled text: equal to another one of the same source, and shared between threads."""

    __slots__ = ("_parts", "source")

    def __init__(self, source: str, parts: tuple[str | Expression, ...]) -> None:
        self.source = source
        self._parts = parts

    def render(self, scope: Scope) -> str:
        """The text: None as nothing, datetimes in the current time zone. Raises ``EvaluationError``."""
        texts: list[str] = []
        size = 0
        for part in self._parts:
            text = part if isinstance(part, str) else _text(part.evaluate(scope))
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
    parts: list[str | Expression] = []
    end = 0
    for found in _PLACEHOLDER.finditer(source):
        parts.append(_literal(source[end : found.start()], end))
        try:
            parts.append(compile_expression(found[1].strip()))
        except ExpressionSyntaxError as error:
            raise ExpressionSyntaxError(f"{found[0]}: {error}", found.start()) from error
        end = found.end()
    parts.append(_literal(source[end:], end))
    return Template(source, tuple(part for part in parts if part != ""))


def _literal(text: str, start: int) -> str:
    for mark, advice in (
        ("{{", "a placeholder is never closed; write {{ name }}"),
        ("{%", "tags cannot be used here, only {{ expressions }}"),
    ):
        at = text.find(mark)
        if at >= 0:
            raise ExpressionSyntaxError(f'"{text[at : at + 20]}": {advice}.', start + at)
    return text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and timezone.is_aware(value):
        value = timezone.localtime(value)
    return str(value)
