"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, FilterSpec, TriggerSpec


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        label="Ledger",
        description="Books texts, and shows them on a page.",
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec(
            "ledger.book",
            "flowcontrol_actions_ledger.actions:Book",
            "Book",
        )
    ]


@hookimpl
def flowcontrol_register_triggers() -> list[TriggerSpec]:
    """Fire it where it happens: ``flowcontrol.engine.fire_trigger("ledger.happened", obj)``."""
    return [TriggerSpec("ledger.happened", "Something happened")]


@hookimpl
def flowcontrol_register_filters() -> list[FilterSpec]:
    return [FilterSpec("initials", "flowcontrol_actions_ledger.filters:initials")]


@hookimpl
def flowcontrol_register_urls() -> str:
    return "flowcontrol_actions_ledger.urls"
