"""The AppConfig of packs that have models, templates or commands: one that is broken stops no other.

# flowcontrol_actions_acme/apps.py
from flowcontrol.packs import PackConfig

class AcmeConfig(PackConfig):
    name = "flowcontrol_actions_acme"
    requires_apps = ("django.contrib.sites",)

# pyproject.toml
[project.entry-points."flowcontrol.apps"]
acme = "flowcontrol_actions_acme.apps:AcmeConfig"
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import wraps
from types import ModuleType
from typing import Any, ClassVar

from django.apps import AppConfig

from .exceptions import ConfigurationError
from .plugins.loader import app_failed

__all__ = ["PackConfig"]


class PackConfig(AppConfig):
    """Where Django would stop at an error in the pack's models or in its ``ready``, its plugin is quarantined.

    In servers, that is: what writes the schema, tests and ``runserver`` stop all the same, saying how to go on without
    the pack, since a schema without its models would be another one. ``FLOWCONTROL["PLUGIN_ERRORS"]`` says otherwise.
    """

    default_auto_field = "django.db.models.BigAutoField"

    #: Apps that have to be in INSTALLED_APPS as well, by name; without them the pack is quarantined.
    requires_apps: ClassVar[Sequence[str]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "ready" in vars(cls):
            cls.ready = _guarded(cls.ready)  # type: ignore[method-assign]  # in place of what was written

    def import_models(self) -> None:
        """Raises ``PluginError`` where the policy says so."""
        try:
            self._require_apps()
            super().import_models()
        except Exception as error:  # noqa: BLE001  a pack's own code
            self._quarantine("models", error)

    def _require_apps(self) -> None:
        assert self.apps is not None, "Django has set it by now"
        missing = [name for name in self.requires_apps if not self.apps.is_installed(name)]
        if missing:
            raise ConfigurationError(f"It needs {', '.join(missing)} in INSTALLED_APPS.")

    def _quarantine(self, phase: str, error: Exception) -> None:
        """Leave nothing behind that others could stumble over."""
        app_failed(f"{type(self).__module__}.{type(self).__qualname__}", phase, error)
        if phase == "models" and self.apps is not None:
            # Some may have been defined before the error.
            self.apps.all_models[self.label].clear()
            self.apps.clear_cache()
            self.models, self.models_module = {}, None
        # Django looks into it for modules (admin.py) which would fail for want of the models.
        self.module = ModuleType(self.name)


def _guarded(ready: Any) -> Any:
    @wraps(ready)
    def guarded(self: PackConfig) -> None:
        try:
            ready(self)
        except Exception as error:  # noqa: BLE001  a pack's own code
            self._quarantine("ready", error)

    return guarded
