"""Registers what the fault tests' flows are made of, as a project's own app would."""

from __future__ import annotations

from django.apps import AppConfig


class FaultAppConfig(AppConfig):
    name = "faultapp"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from flowcontrol import registry

        from . import actions, deployed

        for action in (*actions.ALL, *deployed.actions()):
            registry.register_action(action)
        registry.register_trigger("faults.ping")
