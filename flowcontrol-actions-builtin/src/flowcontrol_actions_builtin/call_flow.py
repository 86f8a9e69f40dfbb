"""Starting another flow, and waiting for its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import (
    ActionContext,
    BaseAction,
    Decision,
    Effect,
    EnterBranch,
    Fail,
    Next,
    Wait,
    Wakeup,
)
from flowcontrol.engine import Refused, Started, end_event
from flowcontrol.exceptions import FlowNotStartable

from .fields import NameField, TimeoutField, with_timeout
from .starting import StartForm, start

__all__ = ["CallFlow"]

#: How a run can end that has a result.
SUCCESSES = ("completed", "stopped")


class CallFlow(BaseAction):
    """Starts a run of another flow, waits for its end, and takes over its result.

    The new run and this step are written together, so that a crash makes neither two of it nor none. A flow that
    does not start, a limit's refusal included, fails this step; so does a run that fails, is cancelled or is
    discarded. When the time is up first, the steps of ``timeout`` run; the other run goes on.
    """

    name = "builtin.call_flow"
    label = "Call flow"
    effect = Effect.DATABASE
    branches = ("timeout",)

    class Config(StartForm):
        save_as = NameField(
            label=_("Save as"),
            required=False,
            max_length=100,
            help_text=_(
                "The key of the state under which to keep the state that the other run ends with. Empty: nowhere."
            ),
        )
        timeout_seconds = TimeoutField(
            label=_("Timeout in seconds"),
            required=False,
            help_text=_(
                "How long to wait for its end at most; then the steps of the branch “timeout” run, "
                "and the other run goes on. Empty: for ever."
            ),
        )

    def run(self, context: ActionContext) -> Decision:
        config = context.config
        match start(context, is_awaited=True):
            case Refused(_reason, detail):
                # What was recorded about the refusal goes with the step's transaction; its failure tells the same.
                return Fail(FlowNotStartable(detail))
            case Started(run):
                context.log.info("flow called flow=%s run=%s", config["flow"], run.pk)
                seconds = config["timeout_seconds"]
                until = None if seconds is None else context.now + timedelta(seconds=seconds)
                return Wait(event=end_event(run.pk), match_object=False, until=until)

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> Decision:
        if wakeup.is_timeout:
            return EnterBranch("timeout")
        payload, name = wakeup.payload, context.config["save_as"]
        called = f"The flow “{context.config['flow']}” (run {payload['run']})"
        if payload["status"] not in SUCCESSES:
            verb = "failed" if payload["status"] == "failed" else f"was {payload['status']}"
            return Fail(f"{called} {verb}: {payload['reason'] or 'no reason was given'}")
        if name and "state" not in payload:
            return Fail(f"{called} ended with a state that is too large to be taken over as “{name}”.")
        if name:
            context.state[name] = payload["state"]
        return Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        text = gettext("Call “%(flow)s”") % {"flow": config["flow"]}
        return with_timeout(text, config["timeout_seconds"])
