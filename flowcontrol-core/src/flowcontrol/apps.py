"""The Django app: loads the plugins, lets apps register their actions, and ties triggers to the engine."""

from __future__ import annotations

import sys

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _

from . import checks, registry
from .permissions import create_permissions
from .plugins.loader import discover_flow_actions, enforce, load_plugins, policy_in_force

__all__ = ["FlowcontrolConfig"]


class FlowcontrolConfig(AppConfig):
    name = "flowcontrol"
    verbose_name = _("Flow control")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Raises ``PluginError`` where the policy says so, as its last act: the rest is there by then."""
        # As a path: the engine imports models, which are not there yet when Django imports this module, and
        # most processes never fire a trigger before their first request.
        registry.set_fire("flowcontrol.engine:fire_trigger")
        for check in checks.CHECKS:
            register(check, checks.TAG)
        # Not under our own tag as well: Django 6.1 then gives it every database, wherever that tag is asked for.
        register(checks.check_credentials, Tags.database)
        register(checks.check_deployment, checks.TAG, deploy=True)
        post_migrate.connect(create_permissions, sender=self, dispatch_uid="flowcontrol.create_permissions")
        load_plugins()
        enforce(discover_flow_actions(), policy_in_force(sys.argv))
