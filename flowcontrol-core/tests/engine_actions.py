"""Small actions for the tests of the engine: core's tests know no pack."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import Group
from flowcontrol.base import (
    ActionContext,
    ActionForm,
    BaseAction,
    Decision,
    Effect,
    EnterBranch,
    Fail,
    LeaveBranch,
    Next,
    ReturnToParent,
    StopFlow,
    Wait,
    Wakeup,
)
from flowcontrol.forms import ExpressionField, StateField

CALLS: list[dict[str, Any]] = []


class Put(BaseAction):
    """Puts JSON values into the state."""

    name = "test.put"
    effect = Effect.PURE

    class Config(ActionForm):
        state = StateField()

    def run(self, context: ActionContext) -> None:
        context.state.update(context.config["state"])


class Count(BaseAction):
    """Adds one to the state's ``n``."""

    name = "test.count"
    effect = Effect.PURE

    def run(self, context: ActionContext) -> None:
        context.state["n"] = context.state.get("n", 0) + 1


class Rounds(BaseAction):
    """Runs its steps while ``condition`` is true, at most ``times`` times; counts in its own memory."""

    name = "test.rounds"
    effect = Effect.PURE
    branches = ("steps", "else")

    class Config(ActionForm):
        times = forms.IntegerField(min_value=0)
        condition = ExpressionField(required=False)

    def run(self, context: ActionContext) -> Decision:
        context.locals["round"] = 0
        return self.after_branch(context, "steps")

    def after_branch(self, context: ActionContext, branch: str) -> Decision:
        done = context.locals.get("round", 0)
        condition = context.config["condition"]
        if done >= context.config["times"] or (condition and not context.evaluate(condition)):
            return Next()
        context.locals["round"] = done + 1
        return EnterBranch(variables={"round": done})


class Decide(BaseAction):
    """Answers with what the test puts into ``answer``, by step id, for phase ``run``."""

    name = "test.decide"
    effect = Effect.PURE
    branches = ("steps", "else")
    answer: ClassVar[dict[str, Callable[[ActionContext], Any]]] = {}

    def run(self, context: ActionContext) -> Any:
        return self.answer[context.step_id](context)


class Pause(BaseAction):
    """Waits; what woke it goes into the state."""

    name = "test.pause"
    effect = Effect.PURE

    class Config(ActionForm):
        seconds = forms.IntegerField(required=False)
        event = forms.CharField(required=False)

    def run(self, context: ActionContext) -> Wait:
        seconds = context.config["seconds"]
        until = context.now + timedelta(seconds=seconds) if seconds is not None else None
        return Wait(until=until, event=context.config["event"] or None)

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> None:
        if context.config["event"]:
            context.state["woken"] = "time" if wakeup.is_timeout else dict(wakeup.payload)


class Write(BaseAction):
    """Writes a row."""

    name = "test.write"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> None:
        Group.objects.create(name=f"{context.run_id} {context.idempotency_key}")


class Call(BaseAction):
    """Touches the world."""

    name = "test.call"
    effect = Effect.EXTERNAL

    def run(self, context: ActionContext) -> None:
        CALLS.append({"step": context.step_id, "key": context.idempotency_key, "attempt": context.attempt})


ACTIONS = (Put, Count, Rounds, Decide, Pause, Write, Call)
EXITS = {"return": ReturnToParent, "leave": LeaveBranch, "stop": StopFlow, "fail": Fail}
