"""Loads the selected plugins one by one, each behind its own fence, and writes a report about every one."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import pluggy
from django.apps import AppConfig, apps
from django.utils.module_loading import module_has_submodule

from .. import conf, expressions, hookspecs, registry
from ..exceptions import ConfigurationError, PluginError
from ..hookspecs import PROJECT_NAME
from .declared import (
    declarations,
    hook_module,
    namespace_of,
    oddities,
    plugin_info,
    register_hooks,
    require_name,
)
from .entry_points import Installed, canonical, installed_plugins
from .fence import LoadError, fence
from .loaded import HookFunction, LoadedPlugins, current, is_loaded, use
from .policy import Policy, policy_of
from .registration import register, unregister, unregister_all
from .report import PluginReport, Problem, State
from .selection import ENVIRONMENT, Rejected, in_force, removal_of, select

__all__ = [
    "app_failed",
    "discover_flow_actions",
    "enforce",
    "isolated_plugins",
    "load_plugins",
    "policy_in_force",
    "without",
]

logger = logging.getLogger(__name__)

#: The module of an installed app in which its actions are looked for.
FLOW_ACTIONS = "flow_actions"

_NOTIFICATIONS = ("flowcontrol_run_started", "flowcontrol_run_finished", "flowcontrol_prune")

_lock = threading.RLock()

#: By the path of an AppConfig: what went wrong with it before plugins were loaded.
_failed_apps: dict[str, LoadError] = {}


def load_plugins(
    installed: Iterable[Installed] | None = None, entries: Sequence[str] | None = None
) -> LoadedPlugins:
    """Load what the project's list selects, once per process, and return what became of it. Raises nothing.

    ``installed`` and ``entries`` take the place of scan and list, and load anew; see ``isolated_plugins``.
    """
    with _lock:
        if is_loaded() and installed is None and entries is None:
            return current()
        loaded = _load(installed_plugins() if installed is None else tuple(installed), entries)
        use(loaded)
        return loaded


def discover_flow_actions() -> LoadedPlugins:
    """Import the module ``flow_actions`` of every installed app, so that it registers what it has.

    One that raises is reported, and nothing that it registered stays.
    """
    failed = [report for config in apps.get_app_configs() if (report := _import_flow_actions(config))]
    loaded = replace(current(), reports=(*current().reports, *failed))
    use(loaded)
    return loaded


def app_failed(app: str, phase: str, error: BaseException) -> None:
    """The app of a plugin, by the path of its AppConfig, cannot be used: nor can its plugin, then.

    Raises ``PluginError`` where this process is to stop at that.
    """
    fault = LoadError(phase, f"{app} raised {type(error).__name__}: {error}")
    fault.__cause__ = error
    with _lock:
        if is_loaded():
            reports = [_quarantined(one, fault) if one.app == app else one for one in current().reports]
            hooks = {
                hook: tuple(one for one in listeners if one.plugin not in _names_of_app(app))
                for hook, listeners in current().hooks.items()
            }
            loaded = replace(current(), reports=tuple(reports), hooks=hooks)
            use(loaded)
            enforce(replace(loaded, malformed=(), reports=_of_app(loaded, app)), policy_in_force())
            return
        _failed_apps[app] = fault
    if policy_in_force() is Policy.RAISE:
        # Nobody will come to load plugins: Django stops here.
        plugin = next((one for one in installed_plugins() if one.app == app), Installed(app, app=app))
        report = PluginReport(plugin.name, State.ACTIVE, plugin.distribution, plugin.version, plugin.source)
        told = _in_full(_refused(report, fault, conf.settings.PLUGINS))
        raise PluginError(told) from error


def _names_of_app(app: str) -> set[str]:
    return {one.name for one in _of_app(current(), app)}


def _of_app(loaded: LoadedPlugins, app: str) -> tuple[PluginReport, ...]:
    return tuple(one for one in loaded.reports if one.app == app)


def _quarantined(report: PluginReport, fault: LoadError) -> PluginReport:
    """A plugin that was in use until now."""
    unregister(report.title, report.filters)
    now = _refused(report, fault, current().entries)
    registry.actions.mark_unavailable(canonical(report.name), now.reason, now.hint)
    return now


def policy_in_force(argv: Sequence[str] | None = None) -> Policy:
    """What this process does about plugins that cannot be used."""
    try:
        setting = conf.settings.PLUGIN_ERRORS
    except ConfigurationError:
        # Reported by the check of the settings.
        setting = "auto"
    return policy_of(sys.argv if argv is None else argv, setting)


def enforce(loaded: LoadedPlugins, policy: Policy) -> None:
    """Raise ``PluginError`` about plugins that cannot be used, or log each, or leave it to the checks."""
    if policy is Policy.RAISE and (loaded.problems or loaded.malformed):
        sentences = [*loaded.malformed, *(_in_full(report) for report in loaded.problems)]
        cause = next((report.error for report in loaded.problems if report.error), None)
        raise PluginError("\n".join(sentences)) from cause
    if policy is Policy.ISOLATE:
        for sentence in loaded.malformed:
            logger.error("list of plugins ignored in part: %s", sentence)
        for report in loaded.problems:
            logger.error(
                "plugin not used plugin=%s phase=%s reason=%s %s",
                report.name,
                report.phase,
                report.reason,
                report.hint,
                exc_info=report.error,
            )


def without(entries: Sequence[str], name: str) -> str:
    """What to put before a command to go on without a plugin: ``FLOWCONTROL_PLUGINS="*,-http"``."""
    return f'{ENVIRONMENT}="{",".join([*entries, f"-{name}"])}"'


@contextmanager
def isolated_plugins(
    installed: Iterable[Installed] = (), entries: Sequence[str] | None = ("*",)
) -> Iterator[LoadedPlugins]:
    """Inside, exactly these plugins are loaded; afterwards everything is as before. For tests.

        with isolated_plugins([Installed("acme", "acme-flow", "1.0", module="acme.plugin")]) as loaded:
            assert loaded.report("acme").is_active

    Without ``entries`` the list in force counts. What apps registered stays. Modules that were imported stay
    imported.
    """
    with _lock, registry.preserved():
        before = use(None)
        unregister_all(before)
        try:
            yield load_plugins(installed, entries)
        finally:
            unregister_all(current())
            use(before)
            for name, (path, provider) in before.filters.items() if before else ():
                expressions.register_filter(name, path, provider)


def _load(installed: tuple[Installed, ...], entries: Sequence[str] | None) -> LoadedPlugins:
    malformed: tuple[str, ...] = ()
    is_from_environment = False
    if entries is None:
        try:
            entries = conf.settings.PLUGINS
        except ConfigurationError as error:
            # An unreadable list selects nothing rather than everything.
            entries, malformed = (), (str(error),)
        entries, is_from_environment = in_force(entries, os.environ)
        if is_from_environment:
            malformed = ()
    selection = select(entries, installed)
    manager = pluggy.PluginManager(PROJECT_NAME)
    manager.add_hookspecs(hookspecs)
    filters: dict[str, tuple[str | Callable[..., Any], str]] = {}
    reports = [_load_one(manager, plugin, entries, filters) for plugin in selection.chosen]
    reports += [_rejected(one, entries) for one in selection.rejected]
    active = {canonical(report.name) for report in reports if report.is_active}
    listed = (
        "the environment variable FLOWCONTROL_PLUGINS" if is_from_environment else 'FLOWCONTROL["PLUGINS"]'
    )
    reports += [
        _disabled(plugin, listed, removal_of(plugin, entries), is_from_environment=is_from_environment)
        for plugin in selection.disabled
    ]
    for report in reports:
        prefix = canonical(report.name.partition(".")[0])
        if not report.is_active and prefix not in active:
            registry.actions.mark_unavailable(prefix, report.reason, report.hint)
    return LoadedPlugins(
        entries=tuple(entries),
        is_from_environment=is_from_environment,
        malformed=(*malformed, *selection.malformed),
        reports=tuple(reports),
        hooks=_notification_hooks(manager),
        filters=filters,
    )


def _rejected(one: Rejected, entries: Sequence[str]) -> PluginReport:
    plugin = one.plugin
    return PluginReport(
        plugin.name,
        State.MISSING if one.problem is Problem.MISSING else State.QUARANTINED,
        distribution=plugin.distribution,
        version=plugin.version,
        source=plugin.source if one.problem is not Problem.MISSING else "",
        problem=one.problem,
        phase="selection",
        reason=one.reason,
        hint=f"{one.hint} To go on without it: {without(entries, plugin.distribution or plugin.name)}",
        app=plugin.app,
    )


def _disabled(plugin: Installed, listed: str, removal: str, *, is_from_environment: bool) -> PluginReport:
    way_back = f'Take "{removal}" off the list' if removal else f'Add "{plugin.name}" to the list'
    if is_from_environment:
        way_back = f"{way_back}, or unset it,"
    return PluginReport(
        plugin.name,
        State.DISABLED,
        distribution=plugin.distribution,
        version=plugin.version,
        source=plugin.source,
        reason=f"The {plugin} is installed, but {listed} leaves it out.",
        hint=f"{way_back} and restart.",
        app=plugin.app,
    )


def _load_one(
    manager: pluggy.PluginManager,
    plugin: Installed,
    entries: Sequence[str],
    filters: dict[str, tuple[str | Callable[..., Any], str]],
) -> PluginReport:
    """Load one plugin. Whatever it does wrong ends up in its report; then nothing of it stays registered."""
    report = PluginReport(
        plugin.name,
        State.ACTIVE,
        distribution=plugin.distribution,
        version=plugin.version,
        source=plugin.source,
        app=plugin.app,
    )
    began = time.perf_counter()
    try:
        require_name(plugin)
        if plugin.app in _failed_apps:
            raise _failed_apps[plugin.app]
        if not plugin.module:
            return report
        module = hook_module(plugin)
        report = replace(report, import_ms=round((time.perf_counter() - began) * 1000, 2))
        # First of all: hooks of a plugin that is made for another version may be none here.
        info = plugin_info(plugin, module)
        hooks = register_hooks(manager, plugin, module)
        report = replace(report, api=info.api, label=info.label, description=info.description)
        declared = declarations(namespace_of(plugin, info), hooks)
        register(plugin, declared)
    except LoadError as fault:
        if manager.has_plugin(plugin.name):
            manager.unregister(name=plugin.name)
        return _refused(report, fault, entries)
    filters.update((one.name, (one.path, str(plugin))) for one in declared.filters)
    return replace(
        report,
        actions=tuple(one.name for one in declared.actions),
        triggers=tuple(one.name for one in declared.triggers),
        filters=tuple(one.name for one in declared.filters),
        schedulers=tuple(one.name for one in declared.schedulers),
        credential_kinds=tuple(one.name for one in declared.credential_kinds),
        urls=declared.urls,
        hooks=tuple(sorted(hooks)),
        warnings=tuple(oddities(module, hooks)),
    )


def _refused(report: PluginReport, fault: LoadError, entries: Sequence[str]) -> PluginReport:
    return PluginReport(
        report.name,
        State.QUARANTINED,
        distribution=report.distribution,
        version=report.version,
        source=report.source,
        problem=fault.problem,
        phase=fault.phase,
        reason=fault.reason,
        hint=f"{fault.hint or 'Mend or update it.'} To go on without it: {without(entries, report.name)}",
        label=report.label,
        description=report.description,
        api=report.api,
        app=report.app,
        import_ms=report.import_ms,
        error=fault.__cause__,
    )


def _notification_hooks(manager: pluggy.PluginManager) -> dict[str, tuple[HookFunction, ...]]:
    """Called in the order of the list, in which plugins were registered, but for tryfirst and trylast."""
    hooks = {}
    for hook in _NOTIFICATIONS:
        order = {name: place for place, (name, _) in enumerate(manager.list_name_plugin())}
        found = sorted(
            getattr(manager.hook, hook).get_hookimpls(),
            key=lambda one: (one.trylast, not one.tryfirst, order[one.plugin_name]),
        )
        if found:
            hooks[hook] = tuple(HookFunction(one.plugin_name, one.function, one.argnames) for one in found)
    return hooks


def _import_flow_actions(config: AppConfig) -> PluginReport | None:
    """None when the app has no such module, or has it and registered what it holds."""
    if not (config.module and module_has_submodule(config.module, FLOW_ACTIONS)):
        return None
    module = f"{config.name}.{FLOW_ACTIONS}"
    try:
        with registry.undone_on_error(), fence("import", f"Importing {module}"):
            import_module(module)
    except LoadError as fault:
        hint = f"Mend {module}; what it registers is missing meanwhile."
        registry.actions.mark_unavailable(config.label, fault.reason, hint)
        return PluginReport(
            config.label,
            State.QUARANTINED,
            source="app",
            problem=Problem.APP,
            phase=fault.phase,
            reason=fault.reason,
            hint=hint,
            error=fault.__cause__,
        )
    return None


def _in_full(report: PluginReport) -> str:
    """One problem as one sentence: who, where it comes from, while doing what, why, and the way on."""
    phase = f" ({report.phase})" if report.phase else ""
    return f"The {report.title} cannot be used{phase}. {report.reason} {report.hint}"
