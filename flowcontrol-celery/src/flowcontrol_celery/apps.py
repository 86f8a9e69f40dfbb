"""The app: Celery finds its tasks, and Django its checks."""

from __future__ import annotations

from django.core.checks import register
from flowcontrol import packs

from . import (
    tasks,  # noqa: F401  registers them, in web processes as well, where Celery looks for none
    worker,
)
from .checks import check_celery

__all__ = ["FlowcontrolCeleryConfig"]


class FlowcontrolCeleryConfig(packs.PackConfig):
    name = "flowcontrol_celery"
    verbose_name = "Flow control on Celery"

    def ready(self) -> None:
        worker.connect()
        register(check_celery, "flowcontrol")
