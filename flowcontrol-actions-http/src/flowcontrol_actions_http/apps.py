"""The app of this pack."""

from __future__ import annotations

from django.core.checks import register
from flowcontrol import packs

from .checks import TAG, check_base_url, check_guard, check_settings

__all__ = ["PackConfig"]


class PackConfig(packs.PackConfig):
    name = "flowcontrol_actions_http"
    verbose_name = "HTTP"

    def ready(self) -> None:
        register(check_settings, TAG)
        register(check_guard, TAG, deploy=True)
        register(check_base_url, TAG, deploy=True)
