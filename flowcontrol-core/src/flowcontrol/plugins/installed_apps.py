"""What a project's INSTALLED_APPS gains from its plugins; used while settings are being loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .entry_points import Installed, installed_plugins
from .selection import DEFAULT, in_force, select

__all__ = ["plugin_apps", "plugin_with_app"]

#: The module through which Django gets at the apps; named and not imported, as it needs settings.
_GUARD = "flowcontrol.guarded"

#: By name, those that were put into INSTALLED_APPS: of rivals for one name the one that the list prefers.
_chosen: dict[str, Installed] = {}


def plugin_apps(flowcontrol: Mapping[str, Any] | None = None) -> list[str]:
    """AppConfigs of the plugins that have one (models, templates, commands), in the order of ``PLUGINS``.

        FLOWCONTROL = {"PLUGINS": ["*"]}
        INSTALLED_APPS = [..., "flowcontrol", *plugin_apps(FLOWCONTROL)]

    Read as text from the distributions' metadata: no plugin is imported, and settings need not be ready. They come as
    ``flowcontrol.guarded.<plugin>``, so that a pack whose app cannot be imported stops no other.
    Never raises; what is wrong with ``PLUGINS`` is reported by ``manage.py check`` later on.
    """
    written = (flowcontrol or {}).get("PLUGINS", DEFAULT)
    if isinstance(written, str) or not isinstance(written, (list, tuple)):
        written = ()
    entries, _ = in_force(written, os.environ)
    chosen = select(entries, installed_plugins()).chosen
    found = {plugin.name: plugin for plugin in chosen if plugin.app}
    _chosen.update(found)
    return [f"{_GUARD}.{name}" for name in found]


def plugin_with_app(name: str) -> Installed | None:
    """The plugin of this name that has an app, whether ``plugin_apps`` wrote it into the settings or somebody else."""
    others = (plugin for plugin in installed_plugins() if plugin.name == name and plugin.app)
    return _chosen.get(name) or next(others, None)
