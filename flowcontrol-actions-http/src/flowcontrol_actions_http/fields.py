"""Form fields of these actions: what a document or a browser says, cleaned to what a request is made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from flowcontrol.exceptions import ExpressionSyntaxError
from flowcontrol.expressions import RESERVED_NAMES, Expression, Template, compile_expression, compile_template
from flowcontrol.forms import ExpressionField, StateField, compile_strings
from flowcontrol.translations import catalogue

__all__ = [
    "ExpressionsField",
    "FileField",
    "HeadersField",
    "JSONBodyField",
    "NameField",
    "Statuses",
    "StatusesField",
    "TextsField",
    "is_readable",
]

_ = catalogue("flowcontrol_actions_http")

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Headers that the request makes itself, or that are for credentials.
_OWN = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "accept-encoding"}
)
_FOR_CREDENTIALS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "api-key",
        "x-auth-token",
        "x-access-token",
    }
)


def is_readable(name: str) -> bool:
    """Whether an expression of just this name reads it."""
    if not name.isidentifier() or name in RESERVED_NAMES:
        return False
    try:
        return compile_expression(name).names == {name}
    except ExpressionSyntaxError:
        return False


def require_readable(name: str) -> None:
    if not is_readable(name):
        raise ValidationError(
            _(
                "“%(name)s” is no name that expressions can read: letters, digits and _ make one, and no word of theirs."
            ),
            code="name",
            params={"name": name},
        )


class NameField(forms.CharField):
    """A name that expressions can read."""

    takes = "name"

    def clean(self, value: Any) -> str:
        name: str = super().clean(value)
        if name:
            require_readable(name)
        return name


class TextsField(StateField):
    """A mapping of names to texts with ``{{ expressions }}``, or to lists of such; cleans to pairs of name and template."""

    takes = "mapping of names to text with `{{ expressions }}`"

    def clean(self, value: Any) -> tuple[tuple[str, Template], ...]:
        given = super().clean(value) or {}
        pairs: list[tuple[str, Template]] = []
        errors: list[ValidationError] = []
        for name, items in given.items():
            for item in items if isinstance(items, list) else [items]:
                try:
                    pairs.append((self.clean_name(str(name)), _template(str(name), item)))
                except ValidationError as error:
                    errors.append(error)
        if errors:
            raise ValidationError(errors)
        return tuple(pairs)

    def clean_name(self, name: str) -> str:
        return name


def _template(name: str, value: Any) -> Template:
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise ValidationError(
            _("%(name)s: give a text, a number, true or false, or a list of these."),
            code="text",
            params={"name": name},
        )
    try:
        return compile_template(str(value))
    except ExpressionSyntaxError as error:
        params = {"name": name, "error": str(error)}
        raise ValidationError(_("%(name)s: %(error)s"), code="syntax", params=params) from error


class HeadersField(TextsField):
    """The same for headers, without those that are not the author's."""

    takes = "mapping of headers to text with `{{ expressions }}`"

    def clean_name(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise ValidationError(
                _("“%(name)s” is no name of a header."), code="header", params={"name": name}
            )
        if name.lower() in _OWN:
            raise ValidationError(
                _("%(name)s is made by the request itself."), code="own", params={"name": name}
            )
        if name.lower() in _FOR_CREDENTIALS:
            raise ValidationError(
                _("%(name)s is for secrets, which are in no flow: choose a credential instead."),
                code="secret",
                params={"name": name},
            )
        return name


class ExpressionsField(StateField):
    """A mapping of keys of the state to expressions; cleans to a dict of compiled ones."""

    takes = "mapping of keys of the state to expressions"

    def clean(self, value: Any) -> dict[str, Expression]:
        given = super().clean(value) or {}
        errors = []
        for name, item in given.items():
            try:
                require_readable(str(name))
                if not isinstance(item, str):
                    raise ValidationError(
                        _("%(name)s: give an expression, such as “response.body.id”."),
                        code="expression",
                        params={"name": name},
                    )
            except ValidationError as error:
                errors.append(error)
        if errors:
            raise ValidationError(errors)
        compiled: dict[str, Expression] = compile_strings(given)
        return compiled


class JSONBodyField(forms.JSONField):
    """JSON in which every text is an expression; cleans to the same with compiled ones, or to None when empty.

    A text that is a single expression of a document stays one: JSON's own quotes are not asked for.
    """

    takes = "mapping, list or expression; every text in it is an expression"
    empty_values = [None, ""]

    def to_python(self, value: Any) -> Any:
        # A document gives what it means; a browser, and what is an expression alone, text.
        if isinstance(value, str) and value[:1] not in ("{", "[", '"'):
            return value or None
        return super().to_python(value)

    def clean(self, value: Any) -> Any:
        cleaned = super().clean(value)
        return None if cleaned is None else _Body(compile_strings(cleaned))


@dataclass(frozen=True)
class _Body:
    """Holds what is compiled, so that an empty list is told from nothing."""

    value: Any


class FileField(ExpressionField):
    """A file that a field of the run's object has: ``object.invoice``. Cleans to the expression, or None."""

    takes = "file of the object: `object.invoice`"
    default_error_messages = {
        "file": _("Name a file of the object, such as “object.invoice” or “object.order.invoice”.")
    }

    def clean(self, value: Any) -> Expression | None:
        expression: Expression | None = super().clean(value)
        if expression is not None and not re.fullmatch(r"object(\.[A-Za-z_]\w*)+", expression.source.strip()):
            raise ValidationError(self.error_messages["file"], code="file")
        return expression


@dataclass(frozen=True)
class Statuses:
    """Which statuses are expected: ``200-299, 404``."""

    ranges: tuple[tuple[int, int], ...]

    def __contains__(self, status: int) -> bool:
        return any(first <= status <= last for first, last in self.ranges)

    def __str__(self) -> str:
        return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in self.ranges)


class StatusesField(forms.CharField):
    """Statuses and ranges of them. Cleans to ``Statuses``."""

    takes = "statuses: `200-299, 404`"
    default_error_messages = {
        "statuses": _(
            "“%(value)s” names no statuses. Write numbers from 100 to 599, and ranges: “200-299, 404”."
        )
    }

    def clean(self, value: Any) -> Statuses:
        text: str = super().clean(value)
        return Statuses(tuple(self._range(part.strip()) for part in (text or "200-299").split(",")))

    def _range(self, part: str) -> tuple[int, int]:
        found = re.fullmatch(r"([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?|([1-5])xx", part, re.ASCII | re.IGNORECASE)
        if found is None:
            raise ValidationError(self.error_messages["statuses"], code="statuses", params={"value": part})
        if found[3]:
            return int(found[3]) * 100, int(found[3]) * 100 + 99
        first, last = int(found[1]), int(found[2] or found[1])
        if first > last:
            raise ValidationError(self.error_messages["statuses"], code="statuses", params={"value": part})
        return first, last
