"""Schedulers see to it that due runs are executed. The database remembers what is due; they only wake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from . import conf, registry
from .exceptions import ConfigurationError

__all__ = ["BaseScheduler", "PollingScheduler", "forget_scheduler", "get_scheduler"]


class BaseScheduler:
    """What a scheduler is. One instance per process, made without arguments, used from all threads."""

    #: The name it is registered under.
    name: ClassVar[str] = ""

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        """These runs became runnable now. Called after the commit that made them so, in the process that did.

        Have ``flowcontrol.engine.execute_run`` called for them soon, here or elsewhere; more than once does
        no harm. A call that is lost delays a run until the next ``continue_flowruns``, so an error is logged
        and not raised to whoever saved the run.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to define runs_ready().")


class PollingScheduler(BaseScheduler):
    """Needs nothing but the database: ``manage.py flowcontrol worker``, or cron, asks it what is due."""

    name = "polling"

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        """Nothing to do: the worker finds them at its next look."""


#: The instance in use, by name: the name changes under override_settings.
_instances: dict[str, BaseScheduler] = {}


def get_scheduler() -> BaseScheduler:
    """The scheduler that ``FLOWCONTROL["SCHEDULER"]`` names.

    Raises ``ConfigurationError`` when no loaded plugin provides it or it cannot be made; a system check says
    so first.
    """
    name = conf.settings.SCHEDULER
    found = _instances.get(name)
    if found is None:
        found = _instances.setdefault(name, _make(name))
    return found


def forget_scheduler() -> None:
    """Make a new instance next time. For tests."""
    _instances.clear()


def _make(name: str) -> BaseScheduler:
    scheduler_class = registry.schedulers.load(name)
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, BaseScheduler)):
        raise ConfigurationError(
            f'The scheduler "{name}" of {registry.schedulers.provider(name)} is {scheduler_class!r}; it has '
            "to be a class that inherits flowcontrol.schedulers.BaseScheduler."
        )
    return scheduler_class()
