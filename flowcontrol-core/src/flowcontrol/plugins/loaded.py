"""What is loaded in this process: a report per plugin, and the run hooks that they implement."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .report import PluginReport

__all__ = ["HookFunction", "LoadedPlugins", "current", "is_loaded", "notify", "reports", "use"]

logger = logging.getLogger(__name__)


class HookFunction(NamedTuple):
    """A plugin's implementation of a notification, and which of the hook's arguments it takes."""

    plugin: str
    function: Callable[..., object]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class LoadedPlugins:
    """The answer of the loader. ``failures`` alone changes: how often a notification failed, by plugin."""

    #: The list that was applied, and whether it came from the environment.
    entries: tuple[str, ...] = ()
    is_from_environment: bool = False
    #: A sentence for each entry of the list that means nothing.
    malformed: tuple[str, ...] = ()
    #: Plugins on the list in their order, then the others by name, then failed apps.
    reports: tuple[PluginReport, ...] = ()
    hooks: Mapping[str, tuple[HookFunction, ...]] = field(default_factory=dict)
    #: Of each filter of an active plugin: where it is, and who provides it.
    filters: Mapping[str, tuple[str | Callable[..., Any], str]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    def report(self, name: str) -> PluginReport | None:
        return next((report for report in self.reports if report.name == name), None)

    @property
    def problems(self) -> tuple[PluginReport, ...]:
        """Reports of what is on the list and not active."""
        return tuple(report for report in self.reports if report.problem is not None)


_current: LoadedPlugins | None = None


def current() -> LoadedPlugins:
    """What is loaded; nothing at all before Django is set up."""
    return LoadedPlugins() if _current is None else _current


def is_loaded() -> bool:
    return _current is not None


def use(loaded: LoadedPlugins | None) -> LoadedPlugins | None:
    """Make this what is loaded and return what was. For the loader."""
    global _current
    before, _current = _current, loaded
    return before


def reports() -> tuple[PluginReport, ...]:
    """A report for each plugin that is installed or named in the list."""
    return current().reports


def has_listeners(hook: str) -> bool:
    """Whether some plugin implements this notification."""
    return _current is not None and bool(_current.hooks.get(hook))


def notify(hook: str, **arguments: Any) -> None:
    """Call the plugins' implementations of a notification, in the order of the list. Never raises.

    Each is fenced off: its error is logged, counted for its plugin, and the next is called. Costs a look-up
    when nobody listens.
    """
    if _current is None:
        return
    for listener in _current.hooks.get(hook, ()):
        try:
            listener.function(**{name: arguments[name] for name in listener.arguments})
        except Exception:
            _current.failures[listener.plugin] += 1
            logger.exception("notification failed plugin=%s hook=%s", listener.plugin, hook)
