"""Which steps come next: If, While, For, and the three ways out of a branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from flowcontrol.base import (
    ActionContext,
    ActionForm,
    BaseAction,
    Decision,
    Effect,
    EnterBranch,
    Next,
    ReturnToParent,
    StopFlow,
)
from flowcontrol.base import LeaveBranch as LeaveBranchDecision
from flowcontrol.exceptions import EvaluationError
from flowcontrol.expressions import Expression
from flowcontrol.forms import ExpressionField

from .fields import NameField, WholeNumberField, whole_number

__all__ = ["For", "If", "LeaveBranch", "Return", "Stop", "While"]


_ANOTHER_ROUND = EnterBranch()


class ConditionForm(ActionForm):
    condition = ExpressionField(
        label=_("Condition"),
        help_text=_("An expression, such as “object.is_active and orders > 3”."),
    )


class OptionalConditionForm(ActionForm):
    condition = ExpressionField(
        label=_("Condition"),
        required=False,
        help_text=_("Only when this expression is true; otherwise the next step follows. Empty: always."),
    )


class If(BaseAction):
    """Runs its steps when the condition is true, those of its branch ``else`` when it is not."""

    name = "builtin.if"
    label = "If condition"
    effect = Effect.PURE
    branches = ("steps", "else")

    class Config(ConditionForm):
        """The condition that chooses the branch."""

    def run(self, context: ActionContext) -> Decision:
        return EnterBranch("steps" if context.is_true(context.config["condition"]) else "else")

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("If %(condition)s") % {"condition": config["condition"].source}


class While(BaseAction):
    """Runs its steps again and again, asking the condition before each round."""

    name = "builtin.while"
    label = "While loop"
    effect = Effect.PURE
    branches = ("steps",)

    class Config(ConditionForm):
        """The condition for another round."""

    def run(self, context: ActionContext) -> Decision:
        return self._next_round(context)

    def after_branch(self, context: ActionContext, branch: str) -> Decision:
        return self._next_round(context)

    def summary(self, config: Mapping[str, Any]) -> str:
        return gettext("While %(condition)s") % {"condition": config["condition"].source}

    def _next_round(self, context: ActionContext) -> Decision:
        if not context.is_true(context.config["condition"]):
            return Next()
        context.locals["rounds"] = context.locals.get("rounds", 0) + 1
        return _ANOTHER_ROUND


class For(BaseAction):
    """Runs its steps once for each number of ``range(start, end, step)``.

    The three are evaluated once, when the loop is reached: what its steps do to the state changes neither how
    often it goes round nor where it counts. Counter and bounds are the step's own memory.
    """

    name = "builtin.for"
    label = "For loop"
    effect = Effect.PURE
    branches = ("steps",)

    class Config(ActionForm):
        start = WholeNumberField(
            label=_("Start"),
            required=False,
            initial="0",
            help_text=_("The first number: a whole number, or an expression that gives one. Empty: 0."),
        )
        end = WholeNumberField(
            label=_("End"),
            help_text=_(
                "Where to stop: a whole number, or an expression that gives one. It is not itself counted: "
                "from 0 to 3 makes the three rounds 0, 1, 2, as Python's range does."
            ),
        )
        step = WholeNumberField(
            label=_("Step"),
            required=False,
            initial="1",
            allow_zero=False,
            help_text=_("What to add after each round; a negative number counts down. Empty: 1."),
        )
        variable = NameField(
            label=_("Variable"),
            required=False,
            max_length=100,
            help_text=_("The name under which expressions of the steps inside read the number. Empty: none."),
        )

    def run(self, context: ActionContext) -> Decision:
        self._begin(context)
        return self._next_round(context)

    def after_branch(self, context: ActionContext, branch: str) -> Decision:
        memory = context.locals
        if "number" not in memory:
            # Somebody restarted the run at a step inside: that was the first round.
            self._begin(context)
        memory["number"] += memory["step"]
        return self._next_round(context)

    def _begin(self, context: ActionContext) -> None:
        number, end, step = (self._evaluate(context, name) for name in ("start", "end", "step"))
        if step == 0:
            raise EvaluationError(
                f"Step: the expression “{context.config['step'].source}” gives 0, with which the loop never "
                "comes to an end. Make it give a positive or a negative number."
            )
        context.locals.update(number=number, end=end, step=step)

    def summary(self, config: Mapping[str, Any]) -> str:
        start, end, step = (_source(config[name], "") for name in ("start", "end", "step"))
        text = gettext("From %(start)s to %(end)s, the end not counted") % {"start": start or "0", "end": end}
        if step and step != "1":
            text = gettext("%(range)s, in steps of %(step)s") % {"range": text, "step": step}
        return f"{config['variable']}: {text}" if config["variable"] else text

    def _evaluate(self, context: ActionContext, name: str) -> int:
        expression: Expression | None = context.config[name]
        if expression is None:
            return self.EMPTY[name]
        return whole_number(name.capitalize(), expression, context.evaluate(expression))

    def _next_round(self, context: ActionContext) -> Decision:
        memory, variable = context.locals, context.config["variable"]
        number, end = memory["number"], memory["end"]
        if number >= end if memory["step"] > 0 else number <= end:
            return Next()
        return EnterBranch(variables={variable: number}) if variable else _ANOTHER_ROUND

    #: What the fields mean that may be left empty.
    EMPTY: ClassVar[Mapping[str, int]] = {"start": 0, "step": 1}


def _source(expression: Expression | None, empty: str) -> str:
    return empty if expression is None else expression.source


class Departure(BaseAction):
    """A way out of the branch, taken always or only when a condition is true."""

    effect = Effect.PURE
    decision: ClassVar[Decision]

    class Config(OptionalConditionForm):
        """The condition under which the way out is taken."""

    def run(self, context: ActionContext) -> Decision:
        condition: Expression | None = context.config["condition"]
        return self.decision if condition is None or context.is_true(condition) else Next()

    def summary(self, config: Mapping[str, Any]) -> str:
        condition: Expression | None = config["condition"]
        return "" if condition is None else gettext("If %(condition)s") % {"condition": condition.source}


class Return(Departure):
    """Returns control to the parent action, a loop to its next round. Without a parent the flow stops."""

    name = "builtin.return"
    label = "Return to action"
    decision = ReturnToParent()


class LeaveBranch(Departure):
    """Goes on with the parent action's next sibling: out of a loop. Without a parent the flow stops."""

    name = "builtin.leave_branch"
    label = "Leave branch"
    decision = LeaveBranchDecision()


class Stop(Departure):
    """Stops the flow, saying on which condition."""

    name = "builtin.stop"
    label = "Stop flow"
    decision = StopFlow()

    def run(self, context: ActionContext) -> Decision:
        decision = super().run(context)
        condition: Expression | None = context.config["condition"]
        if condition is None or decision != self.decision:
            return decision
        return StopFlow(f"The condition is true: {condition.source}")
