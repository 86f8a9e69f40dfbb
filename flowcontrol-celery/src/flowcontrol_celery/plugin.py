"""What this distribution brings. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import SchedulerSpec


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(api="1.0", label="Celery", description="Runs of flowcontrol on Celery.")


@hookimpl
def flowcontrol_register_schedulers() -> list[SchedulerSpec]:
    return [
        SchedulerSpec(
            "celery",
            "flowcontrol_celery.scheduler:CeleryScheduler",
            "Celery",
            task="flowcontrol_celery.tasks:continue_flowruns_task",
        )
    ]
