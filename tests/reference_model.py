"""An independent model of what a flow does: a recursive interpreter of the document, as plain as the user's text.

It knows nothing of the engine: no cursor, no frames, no compilation. Conditions are Python functions that the
generator pairs with the expressions it writes into the document.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

State = dict[str, Any]


class Stop(Exception):
    """The flow is stopped."""


class Return(Exception):
    """Control goes back to the parent action."""


class Leave(Exception):
    """Control goes to the parent action's next sibling."""


class Failed(Exception):
    """A step failed for good, ``tries`` tries included."""

    def __init__(self, step: Step, kind: str, message: str, tries: int = 1) -> None:
        super().__init__(message)
        name = step.document["action"].rpartition(".")[2].replace("_", " ").capitalize()
        told = message if kind == "Fail" else f"{kind}: {message}"
        self.reason = f'Step "{name}" ({step.document["id"]}) failed: {told}'
        self.seen = {"step": step.document["id"], "type": kind, "message": message, "attempt": tries}


@dataclass
class Step:
    """A step of the model; ``document`` is the same step as a flow document has it."""

    document: dict[str, Any]
    body: list[Step] = field(default_factory=list)
    other: list[Step] = field(default_factory=list)
    last: list[Step] = field(default_factory=list)
    condition: Callable[[State], bool] = lambda state: True
    rounds: range = range(0)
    variable: str = ""


def interpret(steps: list[Step], state: State) -> str:
    """Run a flow on ``state``, in place; how it ended: ``completed``, ``stopped``, or the reason it failed for."""
    try:
        _run_all(steps, state, {})
    except Failed as failed:
        return failed.reason
    except (Stop, Return, Leave):
        # With no parent action, return and leave stop the flow.
        return "stopped"
    return "completed"


def _run_all(steps: list[Step], state: State, variables: State) -> None:
    for step in steps:
        if step.document.get("enabled", True):
            _RUN[step.document["action"]](step, state, variables)


def _branch(steps: list[Step], state: State, variables: State) -> bool:
    """Run a branch; False when a step in it left the branch, so that the parent has no further say."""
    try:
        _run_all(steps, state, variables)
    except Return:
        return True
    except Leave:
        return False
    return True


def _if(step: Step, state: State, variables: State) -> None:
    _branch(step.body if step.condition(state) else step.other, state, variables)


def _while(step: Step, state: State, variables: State) -> None:
    while step.condition(state) and _branch(step.body, state, variables):
        pass


def _try(step: Step, state: State, variables: State) -> None:
    failed = _attempt(step.body, state, variables)
    if failed and _has_steps(step.other):
        failed = _attempt(step.other, state, {**variables, "error": failed.seen})
    if _has_steps(step.last):
        _branch(step.last, state, variables)
        if failed:
            raise Failed(step, "Fail", failed.reason)
    elif failed:
        raise failed


def _attempt(steps: list[Step], state: State, variables: State) -> Failed | None:
    """Run a branch, left in whatever way; the failure of a step in it, if there was one."""
    try:
        _branch(steps, state, variables)
    except Failed as failed:
        return failed
    return None


def _has_steps(steps: list[Step]) -> bool:
    return any(step.document.get("enabled", True) for step in steps)


def _fail(step: Step, state: State, variables: State) -> None:
    if not step.condition(state):
        state["trace"] += f"{step.document['id']}!,"
        return
    retry = step.document.get("retry") or {"attempts": 1}
    is_retried = not retry.get("on") or "Broken" in retry["on"]
    raise Failed(step, "Broken", "on purpose", retry["attempts"] if is_retried else 1)


def _for(step: Step, state: State, variables: State) -> None:
    for number in step.rounds:
        inner = {**variables, step.variable: number} if step.variable else variables
        if not _branch(step.body, state, inner):
            break


def _jump(signal: type[Exception]) -> Callable[[Step, State, State], None]:
    def jump(step: Step, state: State, variables: State) -> None:
        if step.condition(state):
            raise signal

    return jump


def _mark(step: Step, state: State, variables: State) -> None:
    """``builtin.update_state`` as the generator writes it: count, and append the step's id to the trace."""
    state["n"] += 1
    state["trace"] += f"{step.document['id']},"
    error = variables.get("error", {})
    seen = {"seen_i": variables.get("i", -1), **{f"seen_{key}": value for key, value in error.items()}}
    for name in step.document["config"]["state"]:
        if name.startswith("seen_"):
            state[name] = seen.get(name, "-1")


def _reset(step: Step, state: State, variables: State) -> None:
    kept = {"n": state["n"], "trace": state["trace"]}
    state.clear()
    state.update(kept, fresh=step.document["config"]["state"]["fresh"])


def _nothing(step: Step, state: State, variables: State) -> None:
    """A delay, or an action with effects outside the state: unseen here."""


def _write(step: Step, state: State, variables: State) -> None:
    """An action that writes a row: the model counts what is wanted."""
    state["n"] += 1
    state["trace"] += f"{step.document['id']}*,"


_RUN: dict[str, Callable[[Step, State, State], None]] = {
    "builtin.if": _if,
    "builtin.while": _while,
    "builtin.for": _for,
    "builtin.try": _try,
    "builtin.return": _jump(Return),
    "builtin.leave_branch": _jump(Leave),
    "builtin.stop": _jump(Stop),
    "builtin.update_state": _mark,
    "builtin.set_state": _reset,
    "builtin.delay": _nothing,
    "crossing.call": _nothing,
    "crossing.write": _write,
    "crossing.fail_pure": _fail,
    "crossing.fail_database": _fail,
    "crossing.fail_external": _fail,
}
