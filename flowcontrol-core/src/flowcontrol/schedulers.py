"""Schedulers see to it that due runs are executed. The database remembers what is due; they only wake.

``FLOWCONTROL["SCHEDULER"]`` names the one in use, ``FLOWCONTROL["SCHEDULERS"]`` has options by name::

    FLOWCONTROL = {"SCHEDULER": "celery", "SCHEDULERS": {"celery": {"tick_seconds": 2}}}

What a scheduler has to live with, so that it may be simple: messages may be lost, doubled and reordered, several of it
may be at work, and the process may die at any time. A claim in the database decides who executes a run.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from . import conf, registry
from .exceptions import ConfigurationError
from .suggestions import did_you_mean

__all__ = [
    "BaseScheduler",
    "SchedulerHealth",
    "forget_scheduler",
    "get_scheduler",
    "is_above_0",
    "is_whole",
    "make_scheduler",
    "require_option",
]


@dataclass(frozen=True, slots=True)
class SchedulerHealth:
    """Whether due runs are being seen to.

    ``summary`` is a sentence for people, ``hint`` another one with what to do when all is not well, and ``facts`` the
    same in figures, for machines: values that JSON has.
    """

    is_well: bool
    summary: str
    hint: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class BaseScheduler:
    """What a scheduler is. One instance per process, made on first use and used from all threads.

    ``__init__`` takes the scheduler's options as keyword arguments with defaults, and raises ``ConfigurationError``
    for values that cannot be used. It connects to nothing: that is left to the first use.
    """

    #: The name it is registered under.
    name: ClassVar[str] = ""

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        """These runs became runnable now. Called after the commit that made them so, in the process that did.

        Have ``flowcontrol.engine.continue_flowruns`` called with them soon, here or elsewhere; more than once does
        no harm. A call that is lost delays a run until the next ``continue_flowruns``, so an error is logged
        and not raised to whoever saved the run. Return quickly: a request may be waiting.

        Runs whose wait is over become runnable without anybody's doing: ``flowcontrol.engine.next_due`` tells when
        the next one does.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to define runs_ready().")

    def start(self) -> None:
        """Execute what is due, in the background of this process, until ``stop``; returns at once.

        There is nothing to start in a scheduler whose workers are programs of their own, as here.
        """

    def stop(self, timeout: float | None = None) -> bool:
        """Finish the steps at hand and hand back the rest; returns whether that was done within so many seconds."""
        return True

    def health(self) -> SchedulerHealth:
        """Whether somebody sees to due runs. It may ask the database and other services, and takes seconds at most.

        Raises nothing: a service that is away is what it is to tell.
        """
        raise NotImplementedError(f"{type(self).__qualname__} has to define health().")


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
        found = _instances.setdefault(name, make_scheduler(name))
    return found


def forget_scheduler() -> None:
    """Make a new instance next time. For tests."""
    _instances.clear()


def make_scheduler(name: str) -> BaseScheduler:
    """A new instance with the options of ``FLOWCONTROL["SCHEDULERS"]``. Raises ``ConfigurationError``."""
    scheduler_class = registry.schedulers.load(name)
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, BaseScheduler)):
        raise ConfigurationError(
            f'The scheduler "{name}" of {registry.schedulers.provider(name)} is {scheduler_class!r}; it has '
            "to be a class that inherits flowcontrol.schedulers.BaseScheduler."
        )
    options = conf.settings.SCHEDULERS.get(name, {})
    _check_options(name, scheduler_class, options)
    return scheduler_class(**options)


def require_option(scheduler: str, option: str, value: object, is_right: bool, kind: str) -> None:
    """For ``__init__``: raise ``ConfigurationError`` unless the value is right; ``kind`` says what it has to be."""
    if not is_right:
        raise ConfigurationError(
            f'settings.FLOWCONTROL["SCHEDULERS"]["{scheduler}"]["{option}"] is {value!r}; it has to be {kind}.'
        )


def is_whole(value: object, minimum: int) -> bool:
    """Whether an option is a whole number, so large or larger."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def is_above_0(value: object) -> bool:
    """Whether an option is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _check_options(name: str, scheduler_class: type[BaseScheduler], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(scheduler_class).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for option in options:
        if option not in known:
            suggestion = did_you_mean(option, known) or (
                f"The options are: {', '.join(known)}." if known else "It has no options."
            )
            raise ConfigurationError(
                f'settings.FLOWCONTROL["SCHEDULERS"]["{name}"] has the option {option!r}, which the scheduler '
                f"does not know. {suggestion}"
            )
