"""The app of this pack."""

from __future__ import annotations

from flowcontrol import packs

__all__ = ["PackConfig"]


class PackConfig(packs.PackConfig):
    name = "{{ cookiecutter.__package }}"
    verbose_name = "{{ cookiecutter.pack_name|replace('_', ' ')|capitalize }}"
