"""Telling whoever called the webhook what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Decision, Effect, Fail, Next
from flowcontrol.exceptions import ExpressionSyntaxError
from flowcontrol.expressions import compile_template
from flowcontrol.forms import TemplateField, compile_strings, evaluate_strings

from .models import Reply
from .replies import MAX_REPLY_BYTES, allowed_headers

__all__ = ["Respond"]

_WITHOUT_BODY = (204, 205, 304)
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class Respond(BaseAction):
    """Answers whoever called the webhook that started this run, if they are still waiting.

    The endpoint says how long its callers wait. The first answer of a run counts; one that nobody waits for does no
    harm. What is sent is never taken for a page of this site: browsers are told to show it as if from nowhere.
    """

    name = "http.respond"
    label = "Respond"
    effect = Effect.DATABASE

    class Config(ActionForm):
        status = forms.IntegerField(
            label=_("Status"),
            initial=200,
            min_value=200,
            max_value=599,
            help_text=_("The status of the answer: 200 for all is well, 400 and more for what is not."),
        )
        text = TemplateField(
            label=_("Text"),
            required=False,
            help_text=_("The body, as text with expressions in double braces."),
        )
        json = forms.JSONField(
            label=_("JSON"),
            required=False,
            help_text=_("The body, as JSON, in place of a text."),
        )
        evaluate = forms.BooleanField(
            label=_("Evaluate"),
            required=False,
            help_text=_("Every string in the JSON is an expression: “body.amount” gives the amount, “'hello'” the text."),
        )
        headers = forms.JSONField(
            label=_("Headers"),
            required=False,
            help_text=_("A JSON object of headers and their values, in which expressions may be in double braces."),
        )

        def clean_headers(self) -> dict[str, Any]:
            given = self.cleaned_data["headers"] or {}
            if not isinstance(given, dict):
                raise ValidationError(_("Enter a JSON object of headers and their values."), code="object")
            return {name: _template(name, value) for name, value in given.items()}

        def clean(self) -> dict[str, Any]:
            data = self.cleaned_data
            if data.get("text") is not None and data.get("json") is not None:
                self.add_error("json", ValidationError(_("Give a text or JSON, not both."), code="both"))
            elif data.get("evaluate") and data.get("json") is not None:
                try:
                    data["json"] = compile_strings(data["json"])
                except ValidationError as error:
                    self.add_error("json", error)
            return data

    def run(self, context: ActionContext) -> Decision:
        config = context.config
        headers = {name: context.render(value) for name, value in config["headers"].items()}
        kind, body = _body(context)
        if problem := _problem(headers, body, config["status"]):
            return Fail(problem)
        if kind and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = kind
        values = {"status": config["status"], "headers": headers, "body": body, "created_at": context.now}
        _reply, is_first = Reply.objects.get_or_create(run_id=context.run_id, defaults=values)
        if not is_first:
            context.log.warning("not answered again: this run has answered before")
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("Answer with %(status)s") % {"status": config["status"]}


def _template(name: str, value: Any) -> Any:
    if name.lower() not in allowed_headers():
        raise ValidationError(
            _("“%(name)s” is no header that flows may send. There are: %(known)s."),
            code="header",
            params={"name": name, "known": ", ".join(sorted(allowed_headers()))},
        )
    if not isinstance(value, str):
        raise ValidationError(_("The value of “%(name)s” has to be text."), code="text", params={"name": name})
    try:
        return compile_template(value)
    except ExpressionSyntaxError as error:
        raise ValidationError(f"{name}: {error}", code="syntax") from error


def _body(context: ActionContext) -> tuple[str, str]:
    """The content type, empty for none of our own, and the text."""
    config = context.config
    if config["json"] is not None:
        value = evaluate_strings(config["json"], context.evaluate) if config["evaluate"] else config["json"]
        return "application/json", json.dumps(value, cls=DjangoJSONEncoder)
    return "", "" if config["text"] is None else context.render(config["text"])


def _problem(headers: Mapping[str, str], body: str, status: int) -> str:
    """Why this cannot be sent, in a sentence; empty when it can."""
    for name, value in headers.items():
        if not _VALUE.fullmatch(value):
            return f"The header {name} has a character that headers cannot have: a line break, or one beyond ASCII."
    size = len(body.encode(errors="replace"))
    if size > MAX_REPLY_BYTES:
        return f"The answer has {size:,} bytes, and may have {MAX_REPLY_BYTES:,}."
    if body and status in _WITHOUT_BODY:
        return f"An answer with the status {status} has no body."
    return "" if body.isascii() or body == body.encode(errors="replace").decode() else "The text has half a character in it."
