"""Try: steps that may fail, what to do when one does, and what to do in any case."""

from __future__ import annotations

from flowcontrol.base import ActionContext, BaseAction, Decision, Effect, EnterBranch, Fail, Failure, Next

__all__ = ["Try"]


class Try(BaseAction):
    """Runs its steps; when one fails for good, those of ``error``, which see why; and in any case those of ``finally``.

    The failure is dealt with when ``error`` has steps and none of them fails: the run goes on behind. Otherwise it
    goes on outwards, to the next such step or the end of the run, once the steps of ``finally`` are done. A branch is
    left through ``finally``, too; *Stop flow* ends the run there and then.
    """

    name = "builtin.try"
    label = "Try"
    effect = Effect.PURE
    branches = ("steps", "error", "finally")
    catches_failures = True
    keeps_leaving = True

    def run(self, context: ActionContext) -> Decision:
        return EnterBranch()

    def after_branch(self, context: ActionContext, branch: str) -> Decision:
        if branch != "finally" and "finally" in context.branches:
            return EnterBranch("finally")
        words: str | None = context.locals.get("failure")
        return Next() if words is None else Fail(words)

    def after_failure(self, context: ActionContext, failure: Failure) -> Decision | None:
        if failure.branch == "steps" and "error" in context.branches:
            return EnterBranch("error", {"error": _readable(failure)})
        if failure.branch != "finally" and "finally" in context.branches:
            context.locals["failure"] = _in_words(failure)
            return EnterBranch("finally")
        return None


def _readable(failure: Failure) -> dict[str, str | int]:
    """What expressions read as ``error``."""
    return {
        "step": failure.step,
        "name": failure.name,
        "type": failure.type,
        "message": failure.message,
        "attempt": failure.attempt,
    }


def _in_words(failure: Failure) -> str:
    """As the run would have given it as its reason, had nobody been around."""
    told = failure.message if failure.type == "Fail" else f"{failure.type}: {failure.message}"
    return f'Step "{failure.name}" ({failure.step}) failed: {told}'
