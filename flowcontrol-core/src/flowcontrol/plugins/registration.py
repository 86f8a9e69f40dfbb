"""Putting what a plugin declares into the registries, and taking it out again."""

from __future__ import annotations

from collections.abc import Iterable

from .. import expressions, registry
from .declared import Declarations
from .entry_points import Installed
from .fence import LoadError
from .loaded import LoadedPlugins

__all__ = ["register", "unregister", "unregister_all"]


def register(plugin: Installed, declared: Declarations) -> None:
    """All of a plugin's declarations, or none. Raises ``LoadError``."""
    provider = str(plugin)
    done: list[str] = []
    try:
        for action in declared.actions:
            registry.actions.register(action, provider)
        for trigger in declared.triggers:
            registry.triggers.register(trigger, provider)
        for scheduler in declared.schedulers:
            registry.schedulers.register(scheduler, provider)
        for kind in declared.credential_kinds:
            registry.credential_kinds.register(kind, provider)
        for one in declared.filters:
            is_new = one.name not in expressions.filter_names()
            expressions.register_filter(one.name, one.path, provider)
            # What was there before (the same function under the same name) has to survive a rollback.
            done += [one.name] if is_new else []
    except Exception as error:
        unregister(provider, done)
        raise LoadError(
            "registration", str(error), hint="Rename one of the two, or leave one out."
        ) from error


def unregister(provider: str, filters: Iterable[str]) -> None:
    """Whatever came from this provider; filters know no provider, and are named."""
    for one in (registry.actions, registry.triggers, registry.schedulers, registry.credential_kinds):
        one.unregister_provider(provider)
    for name in filters:
        expressions.unregister_filter(name)


def unregister_all(loaded: LoadedPlugins | None) -> None:
    """What these plugins brought."""
    for report in loaded.reports if loaded else ():
        unregister(report.title, report.filters)
