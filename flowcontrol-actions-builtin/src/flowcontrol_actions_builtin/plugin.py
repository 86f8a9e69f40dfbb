"""What this plugin declares. Light to import: an action is imported when a flow first uses it."""

from __future__ import annotations

from collections.abc import Iterable

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec

__all__ = ["flowcontrol_plugin_info", "flowcontrol_register_actions"]

_HERE = "flowcontrol_actions_builtin"


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0", label="Built-in actions", description="The thirteen actions that flowcontrol comes with."
    )


@hookimpl
def flowcontrol_register_actions() -> Iterable[ActionSpec]:
    """What steers the run is the language of flows, for whoever may edit one; what starts other flows is not."""
    return [
        ActionSpec(
            "builtin.if",
            f"{_HERE}.control:If",
            "If condition",
            "Runs its steps when a condition is true, and the steps of its branch “else” when it is not.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.while",
            f"{_HERE}.control:While",
            "While loop",
            "Runs its steps again and again, as long as a condition is true.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.for",
            f"{_HERE}.control:For",
            "For loop",
            "Runs its steps a number of times, given by a start, step and end value.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.return",
            f"{_HERE}.control:Return",
            "Return to action",
            "Returns control to the parent action; a loop goes on with its next round. "
            "Without a parent action the flow is stopped.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.leave_branch",
            f"{_HERE}.control:LeaveBranch",
            "Leave branch",
            "Runs the parent action's next sibling, which ends a loop. "
            "Without a parent action the flow is stopped.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.stop", f"{_HERE}.control:Stop", "Stop flow", "Stops the flow.", needs_permission=False
        ),
        ActionSpec(
            "builtin.set_state",
            f"{_HERE}.state:SetState",
            "Set state",
            "Sets the run's whole state to the given JSON; keys that it does not name are gone.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.update_state",
            f"{_HERE}.state:UpdateState",
            "Update state",
            "Sets the given keys of the run's state and keeps the others.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.start_flow",
            f"{_HERE}.start_flow:StartFlow",
            "Start new flow",
            "Starts a run of another flow, at once or at a later time, and goes on without waiting for it.",
        ),
        ActionSpec(
            "builtin.delay",
            f"{_HERE}.delay:Delay",
            "Delay",
            "Suspends the run for a time, until a weekday and time, or relative to a date.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.try",
            f"{_HERE}.attempt:Try",
            "Try",
            "Runs its steps; when one fails, the steps of its branch “error”, which can read why; "
            "and in any case those of “finally”.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.wait_for_trigger",
            f"{_HERE}.wait_for_trigger:WaitForTrigger",
            "Wait for trigger",
            "Suspends the run until a trigger fires, or for so long at most, and keeps what the trigger brought.",
            needs_permission=False,
        ),
        ActionSpec(
            "builtin.call_flow",
            f"{_HERE}.call_flow:CallFlow",
            "Call flow",
            "Starts a run of another flow, waits for its end, or for so long at most, and takes over its result.",
        ),
    ]
