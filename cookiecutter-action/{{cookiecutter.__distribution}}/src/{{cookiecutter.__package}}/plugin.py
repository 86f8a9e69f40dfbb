"""What this pack has. Imported at every start, so it imports little and names the rest by its path."""

from __future__ import annotations

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec{% if cookiecutter.trigger == "yes" %}, TriggerSpec{% endif %}


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(
        api="1.0",
        label="{{ cookiecutter.pack_name|replace('_', ' ')|capitalize }}",
        description={{ cookiecutter.__description }},
    )


@hookimpl
def flowcontrol_register_actions() -> list[ActionSpec]:
    return [
        ActionSpec(
            "{{ cookiecutter.pack_name }}.{{ cookiecutter.action_name }}",
            "{{ cookiecutter.__package }}.actions:{{ cookiecutter.__class }}",
            "{{ cookiecutter.__label }}",
        )
    ]
{%- if cookiecutter.trigger == "yes" %}


@hookimpl
def flowcontrol_register_triggers() -> list[TriggerSpec]:
    """Fire it where it happens: ``flowcontrol.engine.fire_trigger("{{ cookiecutter.pack_name }}.happened", obj)``."""
    return [TriggerSpec("{{ cookiecutter.pack_name }}.happened", "Something happened")]
{%- endif %}
{%- if cookiecutter.kind == "app" %}


@hookimpl
def flowcontrol_register_urls() -> str:
    return "{{ cookiecutter.__package }}.urls"
{%- endif %}
