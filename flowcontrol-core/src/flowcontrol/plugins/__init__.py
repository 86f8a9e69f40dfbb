"""Plugins: what is installed, what the project uses of it, and what became of it.

Imported by settings for ``plugin_apps``, so this module imports no loader, no registry and no model.
"""

from .installed_apps import plugin_apps
from .loaded import LoadedPlugins, current, has_listeners, notify, reports
from .report import PluginReport, Problem, State

__all__ = [
    "LoadedPlugins",
    "PluginReport",
    "Problem",
    "State",
    "current",
    "has_listeners",
    "notify",
    "plugin_apps",
    "reports",
]
