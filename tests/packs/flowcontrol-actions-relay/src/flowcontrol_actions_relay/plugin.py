"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, SchedulerSpec


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        label="Relay",
        description="Executes runs in a thread of the process that started them.",
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec(
            "relay.compose",
            "flowcontrol_actions_relay.actions:Compose",
            "Compose",
        )
    ]


@hookimpl
def flowcontrol_register_schedulers() -> list[SchedulerSpec]:
    return [SchedulerSpec("relay", "flowcontrol_actions_relay.scheduler:RelayScheduler", "Relay")]
