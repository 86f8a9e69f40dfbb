"""The app of this pack."""

from __future__ import annotations

from django.core.checks import register
from django.utils.translation import gettext_lazy as _
from flowcontrol import packs

from .checks import check_base_url, check_settings

__all__ = ["PackConfig"]


class PackConfig(packs.PackConfig):
    name = "flowcontrol_actions_http"
    verbose_name = _("HTTP")

    def ready(self) -> None:
        register(check_settings, "flowcontrol")
        register(check_base_url, "flowcontrol", deploy=True)
