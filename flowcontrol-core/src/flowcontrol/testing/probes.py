"""Actions that tell from the outside what a scheduler does: a hook module, to be listed in ``PLUGINS`` by its path.

``SchedulerConformance`` lists it in the tests' process; a scheduler whose workers are other processes has it in their
settings, too: ``"flowcontrol.testing.probes"``.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from django import forms

from ..base import ActionContext, ActionForm, BaseAction, Decision, Effect, Next, Wait, Wakeup
from ..hookspecs import PluginInfo, hookimpl
from ..registry import ActionSpec

__all__ = ["Mark", "Nothing", "Pause", "read_marks"]


class Mark(BaseAction):
    """Touches the world: adds a line to a file, ``<run> <step>``, after having taken ``seconds``."""

    name = "probes.mark"
    effect = Effect.EXTERNAL

    class Config(ActionForm):
        file = forms.CharField()
        seconds = forms.FloatField(min_value=0, required=False)

    def run(self, context: ActionContext) -> Decision:
        time.sleep(context.config["seconds"] or 0)
        # One write of a short line to the end of a file is whole, whoever else writes.
        file = os.open(context.config["file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, f"{context.run_id} {context.step_id}\n".encode())
        finally:
            os.close(file)
        return Next()


class Nothing(BaseAction):
    """Does nothing, in no time."""

    name = "probes.nothing"
    effect = Effect.PURE

    def run(self, context: ActionContext) -> Decision:
        return Next()


class Pause(BaseAction):
    """Waits for so many seconds."""

    name = "probes.pause"
    effect = Effect.PURE

    class Config(ActionForm):
        seconds = forms.FloatField(min_value=0)

    def run(self, context: ActionContext) -> Decision:
        return Wait(until=context.now + timedelta(seconds=context.config["seconds"]))

    def after_wait(self, context: ActionContext, wakeup: Wakeup) -> Decision:
        return Next()


def read_marks(file: Path) -> list[tuple[int, str]]:
    """``(run, step)`` of each mark in the file, in order."""
    if not file.exists():
        return []
    pairs = (line.split() for line in file.read_text().splitlines())
    return [(int(run), step) for run, step in pairs]


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        name="probes",
        label="Probes",
        description="Tells from the outside what a scheduler does.",
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec("probes.mark", "flowcontrol.testing.probes:Mark", "Mark"),
        ActionSpec("probes.nothing", "flowcontrol.testing.probes:Nothing", "Nothing"),
        ActionSpec("probes.pause", "flowcontrol.testing.probes:Pause", "Pause"),
    ]
