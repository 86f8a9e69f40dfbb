"""The workshop: the one app of the bicycle repair shop."""

from __future__ import annotations

from django.apps import AppConfig
from django.db.models.signals import post_save

from .triggers import repair_saved


class WorkshopConfig(AppConfig):
    name = "workshop"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        post_save.connect(repair_saved, sender="workshop.Repair")
