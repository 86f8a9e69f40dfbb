"""Handing out a link, and waiting until somebody uses it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import (
    ActionContext,
    ActionForm,
    BaseAction,
    Decision,
    Effect,
    EnterBranch,
    Fail,
    Next,
    Wait,
    Wakeup,
)
from flowcontrol.forms import TemplateField
from flowcontrol.state import decode

from .fields import NameField
from .links import callback_url
from .models import Callback, digest, new_token

__all__ = ["WaitForCallback"]

_HUNDRED_YEARS_IN_SECONDS = 36_525 * 86_400
_MOST_CHOICES = 20
_LONGEST_CHOICE = 100
_LONGEST_QUESTION = 500


class ChoicesField(forms.JSONField):
    """The buttons of the page: a list of names, or an object of names and what the buttons say. Cleans to pairs."""

    takes = "list or mapping"

    def clean(self, value: Any) -> list[list[str]]:
        given = super().clean(value) or []
        pairs = [[name, label] for name, label in given.items()] if isinstance(given, dict) else given
        if not isinstance(pairs, list):
            raise ValidationError(_("Enter a list of names, such as [“approve”, “reject”]."), code="list")
        choices = [pair if isinstance(pair, list) else [pair, pair] for pair in pairs]
        texts = [text for choice in choices for text in choice]
        names = [choice[0] for choice in choices if choice]
        if not all(isinstance(text, str) and text.strip() and len(text) <= _LONGEST_CHOICE for text in texts):
            raise ValidationError(
                _("A choice is a text of at most %(most)s characters."),
                code="text",
                params={"most": _LONGEST_CHOICE},
            )
        if (
            any(len(choice) != 2 for choice in choices)
            or len(set(names)) < len(names)
            or len(names) > _MOST_CHOICES
        ):
            raise ValidationError(
                _("Give at most %(most)s choices, and none of them twice."),
                code="choices",
                params={"most": _MOST_CHOICES},
            )
        return choices


class WaitForCallback(BaseAction):
    """Makes a link that can be used once, runs its sub-steps, which send it to somebody, and waits until it is used.

    A person who opens the link sees a page with a button for each choice; nothing happens before one is pressed, so
    that programs which look into mails approve nothing. A program sends JSON to the same URL. The link counts from
    the moment it is made, also while the sub-steps still run. When the time is up first, the steps of ``timeout`` run.
    """

    name = "http.wait_for_callback"
    label = "Wait for callback"
    effect = Effect.DATABASE
    branches = ("steps", "timeout")

    class Config(ActionForm):
        url_as = NameField(
            label=_("Keep the URL as"),
            initial="callback_url",
            max_length=100,
            help_text=_("The key of the state under which the sub-steps find the link."),
        )
        question = TemplateField(
            label=_("Question"),
            required=False,
            help_text=_(
                "The heading of the page: what people are asked. May have expressions in double braces."
            ),
        )
        text = TemplateField(
            label=_("Text"),
            required=False,
            help_text=_("What people should know before they answer. May have expressions in double braces."),
        )
        choices = ChoicesField(
            label=_("Choices"),
            required=False,
            help_text=_(
                "The buttons: a list such as [“approve”, “reject”], or an object of names and labels. Empty: one button "
                "that confirms."
            ),
        )
        comment = forms.BooleanField(
            label=_("Comment"),
            required=False,
            help_text=_("Whether people may write something along with it."),
        )
        save_as = NameField(
            label=_("Save as"),
            required=False,
            max_length=100,
            help_text=_(
                "The key of the state under which to keep the answer: its choice, comment and data. Empty: nowhere."
            ),
        )
        timeout_seconds = forms.IntegerField(
            label=_("Timeout in seconds"),
            required=False,
            min_value=1,
            max_value=_HUNDRED_YEARS_IN_SECONDS,
            help_text=_(
                "How long the link can be used; then the steps of the branch “timeout” run. Empty: for ever."
            ),
        )

    def run(self, context: ActionContext) -> Decision:
        config, token = context.config, new_token()
        url = callback_url(token)
        until = None
        if config["timeout_seconds"] is not None:
            until = context.now + timedelta(seconds=config["timeout_seconds"])
        mine = Callback.objects.filter(run_id=context.run_id, step=context.step_id)
        # Links of earlier visits: nobody waits for them any more.
        mine.open(context.now).update(closed_at=context.now)
        made = Callback.objects.create(
            run_id=context.run_id,
            step=context.step_id,
            visit=context.idempotency_key,
            digest=digest(token),
            question=_rendered(context, "question")[:_LONGEST_QUESTION],
            text=_rendered(context, "text"),
            choices=config["choices"],
            asks_comment=config["comment"],
            created_at=context.now,
            expires_at=until,
        )
        context.locals.update(callback=made.pk, event=made.event, until=until)
        context.state[config["url_as"]] = url
        return EnterBranch()

    def after_branch(self, context: ActionContext, branch: str) -> Decision:
        if branch != "steps":
            return Next()
        return Wait(event=context.locals["event"], match_object=False, until=context.locals["until"])

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> Decision:
        """The row decides, and not what woke the run: whoever was thanked has answered."""
        row = Callback.objects.filter(pk=context.locals["callback"])
        if row.filter(used_at=None).update(closed_at=context.now):
            return EnterBranch("timeout")
        callback = row.first()
        if callback is None:
            return Fail("The link was deleted while this step waited for it.")
        if context.config["save_as"]:
            context.state[context.config["save_as"]] = decode(callback.answer_json)
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        question = config["question"]
        text = gettext("Wait until the link is used") if question is None else gettext("Ask “%(question)s”")
        return text if question is None else text % {"question": question.source}


def _rendered(context: ActionContext, name: str) -> str:
    template = context.config[name]
    return "" if template is None else context.render(template).strip()
