"""The shop's own actions. flowcontrol imports the module ``flow_actions`` of every app at start-up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms
from django.core.mail import EmailMessage
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Decision, Effect, Next, Wait, Wakeup
from flowcontrol.forms import ExpressionField, TemplateField
from flowcontrol.registry import register_action

from .models import Letter, Repair

#: What the mechanic looks at, in this order; the flow counts from 1.
CHECKLIST = ("tyres", "brakes", "chain", "frame")


@register_action
class SendMail(BaseAction):
    """Touches the world: the engine writes where it stands before and after, and promises at least once.

    Looking for the idempotency key before sending makes that once.
    """

    name = "workshop.send_mail"
    label = "Send a mail"
    effect = Effect.EXTERNAL

    class Config(ActionForm):
        subject = TemplateField(max_length=200)
        text = TemplateField()

    def run(self, context: ActionContext) -> Decision:
        key = context.idempotency_key
        if Letter.objects.filter(key=key).exists():
            return Next()
        repair = context.object
        subject, text = (context.render(context.config[name]).strip() for name in ("subject", "text"))
        headers = {"Message-ID": f"<{key}@example.org>"}
        EmailMessage(subject, text, to=[repair.customer.email], headers=headers).send()
        Letter.objects.create(repair=repair, key=key, subject=subject, text=text)
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"“{config['subject'].source}”"


@register_action
class Inspect(BaseAction):
    """Looks at one point of the checklist; notes the ``finding``: its ``part``, ``verdict`` and ``minutes``."""

    name = "workshop.inspect"
    label = "Inspect the bike"
    effect = Effect.PURE

    class Config(ActionForm):
        point = ExpressionField(help_text=f"Number of the point to look at, from 1 to {len(CHECKLIST)}.")

    def run(self, context: ActionContext) -> Decision:
        part = CHECKLIST[context.evaluate(context.config["point"]) - 1]
        faults = context.object.faults
        minutes = faults.get(part, 0)
        verdict = "hopeless" if minutes is None else "repair" if minutes else "fine"
        context.state["finding"] = {"part": part, "verdict": verdict, "minutes": minutes or 0}
        return Next()


@register_action
class UpdateRepair(BaseAction):
    """Writes through Django's database only, so in one transaction with the run's checkpoint: exactly once."""

    name = "workshop.update_repair"
    label = "Update the repair"
    effect = Effect.DATABASE

    class Config(ActionForm):
        status = forms.ChoiceField(choices=Repair.Status.choices)
        price = ExpressionField(required=False)

    def run(self, context: ActionContext) -> Decision:
        repair = context.object
        repair.status = context.config["status"]
        if context.config["price"] is not None:
            repair.price = context.evaluate(context.config["price"])
        # Just these: the rest of the object is as it was when the run began to use it.
        repair.save(update_fields=["status", "price"])
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"The repair is {config['status']}"


@register_action
class AwaitAnswer(BaseAction):
    """Waits until the customer answers the quote, or for so many seconds, whichever comes first."""

    name = "workshop.await_answer"
    label = "Wait for the customer's answer"
    effect = Effect.PURE

    class Config(ActionForm):
        seconds = forms.IntegerField(min_value=1)

    def run(self, context: ActionContext) -> Decision:
        return Wait(
            until=context.now + timedelta(seconds=context.config["seconds"]), event="workshop.quote_answered"
        )

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> Decision:
        if not wakeup.is_timeout:
            context.state["answer"] = wakeup.payload["answer"]
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"At most {config['seconds']} s"


@register_action
class Note(BaseAction):
    """Adds a line to the run's ``notes``: what the demonstration of plugins looks at."""

    name = "workshop.note"
    label = "Take a note"
    effect = Effect.PURE

    class Config(ActionForm):
        text = forms.CharField(max_length=200)

    def run(self, context: ActionContext) -> Decision:
        context.state["notes"] = [*context.state.get("notes", []), context.config["text"]]
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        return f"“{config['text']}”"
