"""What this distribution brings. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import SchedulerSpec

__all__ = ["flowcontrol_plugin_info", "flowcontrol_register_schedulers"]


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0", label="Django's tasks", description="Runs of flowcontrol on the tasks of Django."
    )


@hookimpl
def flowcontrol_register_schedulers() -> list[SchedulerSpec]:
    path = "flowcontrol_django_tasks.scheduler:DjangoTasksScheduler"
    return [SchedulerSpec("django_tasks", path, "Django's tasks")]
