"""The AppConfigs of packs as ``plugin_apps`` puts them into INSTALLED_APPS: ``flowcontrol.guarded.acme``.

Django imports the module of an AppConfig where nobody stands between: one that cannot be imported would stop every
command, also those that say why. So Django is given a name of this module, which imports what the pack announces behind
a fence. A pack whose app fails is quarantined, and an app without anything takes its place; where the process is to
stop at that (``PLUGIN_ERRORS``), it does so with the way on.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from django.apps import AppConfig
from django.utils.module_loading import import_string

from .exceptions import ConfigurationError, PluginError
from .plugins.entry_points import Installed
from .plugins.installed_apps import plugin_with_app
from .plugins.loader import app_failed

__all__: list[str] = []


def __getattr__(name: str) -> type[AppConfig]:
    plugin = None if name.startswith("_") else plugin_with_app(name)
    if plugin is None:
        raise AttributeError(f"No installed plugin {name!r} has an app.")
    try:
        return _imported(plugin.app)
    except (Exception, SystemExit) as error:  # noqa: BLE001  a pack's own code
        return _in_place_of(plugin, error)


def _imported(path: str) -> type[AppConfig]:
    config: Any = import_string(path)
    if not (isinstance(config, type) and issubclass(config, AppConfig)):
        raise ConfigurationError(f"{path} is no AppConfig.")
    # Its package, too, which Django would import next.
    import_module(config.name)
    return config


def _in_place_of(plugin: Installed, error: BaseException) -> type[AppConfig]:
    try:
        app_failed(plugin.app, "app", error)
    except PluginError as refusal:
        return _refusing(plugin, refusal)
    return _empty(plugin)


def _empty(plugin: Installed) -> type[AppConfig]:
    """An app that has nothing, so that Django finds what it counts on and the pack's code is not touched again."""
    module = ModuleType(f"{__name__}.{plugin.name}")
    sys.modules[module.__name__] = module
    # A folder without templates, static files or commands.
    folder = str(Path(__file__).parent / "plugins")
    values = {"name": module.__name__, "label": f"quarantined_{plugin.name}", "path": folder}
    return type("Quarantined", (AppConfig,), values)


def _refusing(plugin: Installed, refusal: PluginError) -> type[AppConfig]:
    """Of what importing it raises, Django tells nothing but that a module is missing; of what making it raises, all."""

    def refuse(self: AppConfig, *_: Any) -> None:
        raise refusal

    return type("Refused", (_empty(plugin),), {"__init__": refuse})
