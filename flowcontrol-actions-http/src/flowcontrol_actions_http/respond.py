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
from flowcontrol.forms import TemplateField, evaluate_strings

from .fields import JSONBodyField, TextsField
from .models import Reply
from .replies import MAX_REPLY_BYTES, allowed_headers

__all__ = ["Respond"]

_WITHOUT_BODY = (204, 205, 304)
_VALUE = re.compile(r"[\t\x20-\x7e]*")


class ReplyHeadersField(TextsField):
    """Headers that a flow may send, as texts with ``{{ expressions }}``."""

    def clean_name(self, name: str) -> str:
        if name.lower() not in allowed_headers():
            raise ValidationError(
                _("“%(name)s” is no header that flows may send. There are: %(known)s."),
                code="header",
                params={"name": name, "known": ", ".join(sorted(allowed_headers()))},
            )
        return name


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
        json = JSONBodyField(
            label=_("JSON"),
            required=False,
            help_text=_(
                "The body, as JSON in place of a text. Every string in it is an expression: “body.amount” gives the "
                "amount, “'hello'” the text."
            ),
        )
        headers = ReplyHeadersField(
            label=_("Headers"),
            required=False,
            help_text=_("Headers and their values, in which expressions may be in double braces."),
        )

        def clean(self) -> dict[str, Any]:
            data = self.cleaned_data
            if data.get("text") is not None and data.get("json") is not None:
                self.add_error("json", ValidationError(_("Give a text or JSON, not both."), code="both"))
            return data

    def run(self, context: ActionContext) -> Decision:
        status = context.config["status"]
        headers = {name: context.render(value) for name, value in context.config["headers"]}
        kind, body = _body(context)
        if problem := _problem(headers, body, status):
            return Fail(problem)
        if kind and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = kind
        values = {"status": status, "headers": headers, "body": body, "created_at": context.now}
        _reply, is_first = Reply.objects.get_or_create(run_id=context.run_id, defaults=values)
        if not is_first:
            context.log.warning("not answered again: this run has answered before")
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("Answer with %(status)s") % {"status": config["status"]}


def _body(context: ActionContext) -> tuple[str, str]:
    """The content type, empty for none of our own, and the text."""
    config = context.config
    if config["json"] is not None:
        value = evaluate_strings(config["json"].value, context.evaluate)
        return "application/json", json.dumps(value, cls=DjangoJSONEncoder, allow_nan=False)
    return "", "" if config["text"] is None else context.render(config["text"])


def _problem(headers: Mapping[str, str], body: str, status: int) -> str:
    """Why this cannot be sent, in a sentence; empty when it can."""
    for name, value in headers.items():
        if not _VALUE.fullmatch(value):
            return f"The header {name} has a character that headers cannot have: a line break, or one beyond ASCII."
    if body and status in _WITHOUT_BODY:
        return f"An answer with the status {status} has no body."
    try:
        size = len(body.encode())
    except UnicodeEncodeError:
        return "The text has half a character in it."
    if size > MAX_REPLY_BYTES:
        return f"The answer has {size:,} bytes, and may have {MAX_REPLY_BYTES:,}."
    return ""
