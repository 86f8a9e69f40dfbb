"""Named points of the engine at which a test can make something happen: a kill, a delay, an error.

Nothing happens at them in production: reaching one is a look at a variable. Points are reached once a claim,
checkpoint, call of an external action, event or start, never once a step.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["POINTS", "arm", "reach"]

#: Each name, and where it is.
POINTS = {
    "claim.before": "nothing is claimed yet",
    "claim.after": "runs are claimed, and none is taken up",
    "effect.before": "the checkpoint before an external or database action is written; the action is not called",
    "effect.after": "such an action answered, and nothing of that is written",
    "checkpoint.before": "a checkpoint is about to be written",
    "commit.before": "the checkpoint is written, and not committed",
    "checkpoint.after": "the checkpoint is committed",
    "event.insert": "an event and its runs are inserted, and not committed",
    "event.consume": "an event was read for a waiting run, which has not answered yet",
    "child.start": "a run inserted its child, and nothing is committed",
}

_plan: Callable[[str], None] | None = None


def arm(plan: Callable[[str], None] | None) -> None:
    """Have ``plan`` called with the name of each point that is reached; None to have nothing called."""
    global _plan  # noqa: PLW0603  one per process, as the faults are
    _plan = plan


def reach(point: str) -> None:
    """A point is reached."""
    if _plan is not None:
        _plan(point)
