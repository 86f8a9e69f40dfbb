"""The registry of schedulers."""

from __future__ import annotations

from typing import Any

from ..exceptions import ConfigurationError, RegistrationError
from ..suggestions import did_you_mean
from .specs import SchedulerSpec, import_path, is_name
from .table import Registry

__all__ = ["SchedulerRegistry", "schedulers"]


class SchedulerRegistry(Registry[SchedulerSpec]):
    """Schedulers, of which ``settings.FLOWCONTROL["SCHEDULER"]`` names one."""

    def __init__(self) -> None:
        super().__init__("scheduler")

    def check_name(self, name: str, provider: str) -> None:
        if not (isinstance(name, str) and (name.isidentifier() or is_name(name))):
            raise RegistrationError(
                f"{provider} registers a scheduler with the name {name!r}. A scheduler has the name of its "
                "plugin, such as celery, or <plugin>.<name>."
            )

    def load(self, name: str) -> Any:
        """What a scheduler's declaration names, imported. Raises ``ConfigurationError`` with the way out."""
        spec = self.get_spec(name)
        if spec is None:
            suggestion = did_you_mean(name, self.names()) or f"There are: {', '.join(self.names())}."
            raise ConfigurationError(
                f'settings.FLOWCONTROL["SCHEDULER"] is "{name}", which no loaded plugin provides. '
                f"{suggestion}"
            )
        if not isinstance(spec.path, str):
            return spec.path
        try:
            return import_path(spec.path)
        except Exception as error:
            raise ConfigurationError(
                f'The scheduler "{name}" of {self.provider(name)} cannot be imported from {spec.path}: '
                f'{type(error).__name__}: {error}. Mend it, or set FLOWCONTROL["SCHEDULER"] to "polling".'
            ) from error


schedulers = SchedulerRegistry()
schedulers.register(
    SchedulerSpec("polling", "flowcontrol.engine.polling:PollingScheduler", "Polling the database"),
    provider="flowcontrol-core",
)
schedulers.register(
    SchedulerSpec("inline", "flowcontrol.engine.inline:InlineScheduler", "At once, for tests and scripts"),
    provider="flowcontrol-core",
)
