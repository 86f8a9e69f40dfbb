"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, TriggerSpec


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        label="Http",
        description="HTTP requests, webhooks and callbacks for flowcontrol.",
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec(
            "http.request",
            "flowcontrol_actions_http.actions:Request",
            "Request",
        )
    ]


@hookimpl
def flowcontrol_register_triggers() -> list[TriggerSpec]:
    """Fire it where it happens: ``flowcontrol.engine.fire_trigger("http.happened", obj)``."""
    return [TriggerSpec("http.happened", "Something happened")]


@hookimpl
def flowcontrol_register_urls() -> str:
    return "flowcontrol_actions_http.urls"
