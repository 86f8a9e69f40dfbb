"""What this plugin declares. Imported at every start-up, so it imports little; what it names is imported when used."""

from __future__ import annotations

from collections.abc import Iterable

from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec{% if cookiecutter.trigger %}, TriggerSpec{% endif %}


@hookimpl
def flowcontrol_plugin_info() -> PluginInfo:
    return PluginInfo(api="1.0", label="{{ cookiecutter.__title }}")


@hookimpl
def flowcontrol_register_actions() -> Iterable[ActionSpec]:
    return [
        ActionSpec(
            "{{ cookiecutter.__pack }}.{{ cookiecutter.__action }}",
            "{{ cookiecutter.__module }}.actions:{{ cookiecutter.__class }}",
            "{{ cookiecutter.__label }}",
            "Writes a text{% if cookiecutter.kind == 'app' %} into an entry and{% endif %} into the run's state.",
        ),
    ]
{%- if cookiecutter.trigger %}


@hookimpl
def flowcontrol_register_triggers() -> Iterable[TriggerSpec]:
    return [
        TriggerSpec(
            "{{ cookiecutter.__pack }}.received",
            "{{ cookiecutter.__title }}: received",
            description="Something came in; its text is in the state.",
        ),
    ]
{%- endif %}
{%- if cookiecutter.kind == "app" %}


@hookimpl
def flowcontrol_register_urls() -> str:
    return "{{ cookiecutter.__module }}.urls"
{%- endif %}
