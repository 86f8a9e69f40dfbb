"""The app: its tables, its checks, and the tick, which a deployment sends."""

from __future__ import annotations

import logging
from typing import Any

from django.apps import AppConfig
from django.core.checks import register
from django.db import DatabaseError, router
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string
from flowcontrol import packs
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.schedulers import get_scheduler

__all__ = ["FlowcontrolDjangoTasksConfig"]

logger = logging.getLogger("flowcontrol.django_tasks")


class FlowcontrolDjangoTasksConfig(packs.PackConfig):
    name = "flowcontrol_django_tasks"
    verbose_name = "Flow control on Django's tasks"

    def ready(self) -> None:
        # As a path: it imports models, which are not there yet when Django imports this module.
        register(import_string(f"{self.name}.checks.check_tasks"), "flowcontrol")
        post_migrate.connect(_on_migrated, sender=self, dispatch_uid=self.name)


def _on_migrated(sender: AppConfig, using: str, **_: Any) -> None:
    """A deployment is a good time to see whether the tick is on its way: what was in queues may be gone."""
    if using != router.db_for_write(sender.get_model("Tick")):
        return
    try:
        scheduler = get_scheduler()
        if scheduler.name == "django_tasks":
            scheduler.start()
    except (ConfigurationError, DatabaseError) as error:
        # The tables may have been taken away, or be made by a later command; the checks tell about the settings.
        logger.info("no tick sent: %s", str(error).strip())
