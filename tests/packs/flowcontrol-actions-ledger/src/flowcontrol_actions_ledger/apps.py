"""The app of this pack."""

from __future__ import annotations

from flowcontrol import packs

__all__ = ["PackConfig"]


class PackConfig(packs.PackConfig):
    name = "flowcontrol_actions_ledger"
    verbose_name = "Ledger"
