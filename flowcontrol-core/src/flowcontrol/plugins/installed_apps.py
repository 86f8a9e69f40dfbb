"""What a project's INSTALLED_APPS gains from its plugins; used while settings are being loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .entry_points import installed_plugins
from .selection import DEFAULT, in_force, select

__all__ = ["plugin_apps"]


def plugin_apps(flowcontrol: Mapping[str, Any] | None = None) -> list[str]:
    """AppConfigs of the plugins that have one (models, templates, commands), in the order of ``PLUGINS``.

        FLOWCONTROL = {"PLUGINS": ["*"]}
        INSTALLED_APPS = [..., "flowcontrol", *plugin_apps(FLOWCONTROL)]

    Read as text from the distributions' metadata: no plugin is imported, and settings need not be ready.
    Never raises; what is wrong with ``PLUGINS`` is reported by ``manage.py check`` later on.
    """
    written = (flowcontrol or {}).get("PLUGINS", DEFAULT)
    if isinstance(written, str) or not isinstance(written, (list, tuple)):
        written = ()
    entries, _ = in_force(written, os.environ)
    chosen = select(entries, installed_plugins()).chosen
    return list(dict.fromkeys(plugin.app for plugin in chosen if plugin.app))
