"""A step that counts as one in the world outside, and does nothing there; and the trigger of the benchmarks."""

from __future__ import annotations

from flowcontrol.base import ActionContext, BaseAction, Effect
from flowcontrol.registry import register_action, register_trigger


@register_action
class External(BaseAction):
    """Nothing, with a checkpoint behind it: what is measured is the checkpoint."""

    name = "bench_app.external"
    effect = Effect.EXTERNAL

    def run(self, context: ActionContext) -> None:
        """Nothing to do."""


fired = register_trigger("bench_app.fired")
