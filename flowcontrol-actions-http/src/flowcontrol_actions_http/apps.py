"""The app of this pack."""

from __future__ import annotations

from flowcontrol import packs

__all__ = ["PackConfig"]


class PackConfig(packs.PackConfig):
    name = "flowcontrol_actions_http"
    verbose_name = "Http"
