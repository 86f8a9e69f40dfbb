"""Loads the selected plugins one by one, each behind its own fence, and writes a report about every one."""

from __future__ import annotations

import inspect
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

import pluggy
from django.apps import AppConfig, apps
from django.utils.module_loading import module_has_submodule

from .. import API_VERSION, __version__, conf, expressions, hookspecs, registry
from ..exceptions import ConfigurationError, PluginError
from ..hookspecs import PROJECT_NAME, PluginInfo
from ..registry import ActionSpec, CredentialKindSpec, FilterSpec, SchedulerSpec, TriggerSpec
from ..suggestions import did_you_mean
from .entry_points import Installed, canonical, installed_plugins, project_url
from .loaded import HookFunction, LoadedPlugins, current, is_loaded, use
from .policy import Policy, policy_of
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

#: Prefixes that are the core's own; the permission ``use_credential`` is not one to use a plugin's actions.
RESERVED = ("core", "credential", "flow", "flowcontrol")

#: The module of an installed app in which its actions are looked for.
FLOW_ACTIONS = "flow_actions"

_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]*")
_API = re.compile(r"(\d+)\.(\d+)", re.ASCII)
_NOTIFICATIONS = ("flowcontrol_run_started", "flowcontrol_run_finished", "flowcontrol_prune")

_lock = threading.RLock()

#: By the path of an AppConfig: what went wrong with it before plugins were loaded.
_failed_apps: dict[str, _LoadError] = {}


class _LoadError(Exception):
    """Ends the loading of one plugin."""

    def __init__(self, phase: str, reason: str, *, problem: Problem = Problem.BROKEN, hint: str = "") -> None:
        super().__init__(reason)
        self.phase = phase
        self.reason = reason
        self.problem = problem
        self.hint = hint


class _Declarations(NamedTuple):
    actions: tuple[ActionSpec, ...] = ()
    triggers: tuple[TriggerSpec, ...] = ()
    filters: tuple[FilterSpec, ...] = ()
    schedulers: tuple[SchedulerSpec, ...] = ()
    credential_kinds: tuple[CredentialKindSpec, ...] = ()
    urls: str = ""


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
    fault = _LoadError(phase, f"{app} raised {type(error).__name__}: {error}")
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


def _quarantined(report: PluginReport, fault: _LoadError) -> PluginReport:
    """A plugin that was in use until now."""
    _unregister(report.title, report.filters)
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
        _unregister_all(before)
        try:
            yield load_plugins(installed, entries)
        finally:
            _unregister_all(current())
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
        _require_name(plugin)
        if plugin.app in _failed_apps:
            raise _failed_apps[plugin.app]
        if not plugin.module:
            return report
        module = _import_module(plugin)
        report = replace(report, import_ms=round((time.perf_counter() - began) * 1000, 2))
        # First of all: hooks of a plugin that is made for another version may be none here.
        info = _info(plugin, module)
        hooks = _register_hooks(manager, plugin, module)
        report = replace(report, api=info.api, label=info.label, description=info.description)
        declared = _declarations(_namespace(plugin, info), hooks)
        _register(plugin, declared)
    except _LoadError as fault:
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
        warnings=tuple(_oddities(module, hooks)),
    )


def _refused(report: PluginReport, fault: _LoadError, entries: Sequence[str]) -> PluginReport:
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


@contextmanager
def _fence(phase: str, doing: str) -> Iterator[None]:
    """The one place where a plugin's own code runs at start-up."""
    try:
        yield
    except _LoadError:
        raise
    except (Exception, SystemExit) as error:
        raise _LoadError(phase, f"{doing} raised {type(error).__name__}: {error}") from error


def _require_name(plugin: Installed) -> None:
    if not plugin.distribution:
        return
    if not _PLUGIN_NAME.fullmatch(plugin.name):
        raise _LoadError(
            "name",
            f'"{plugin.name}" cannot be the first part of an action\'s name: small letters, digits and '
            "underscores can, beginning with a letter.",
            hint="Its author has to rename the entry point.",
        )
    if plugin.name in RESERVED:
        raise _LoadError(
            "name", f'The name "{plugin.name}" is reserved.', hint="Its author has to rename the entry point."
        )


def _import_module(plugin: Installed) -> Any:
    with _fence("import", f"Importing {plugin.module}"):
        try:
            return (
                registry.import_path(plugin.module) if ":" in plugin.module else import_module(plugin.module)
            )
        except ImportError as error:
            if (error.name or "").partition(".")[0] != PROJECT_NAME:
                raise
            # A name of the core's that is not there: the plugin is made for another version, and cannot say so.
            raise _LoadError(
                "import",
                f"Importing {plugin.module} raised {type(error).__name__}: {error}",
                hint=f"It is made for another flowcontrol-core than {__version__}: pip check tells for which.",
            ) from error


def _register_hooks(
    manager: pluggy.PluginManager, plugin: Installed, module: Any
) -> dict[str, pluggy.HookImpl]:
    with _fence("hooks", f"Reading the hooks of {plugin.module}"):
        if manager.is_registered(module):
            raise _LoadError("hooks", f"{plugin.module} is the hook module of another plugin as well.")
        manager.register(module, plugin.name)
        hooks = {
            caller.name: implementation
            for caller in manager.get_hookcallers(module) or ()
            for implementation in caller.get_hookimpls()
            if implementation.plugin is module
        }
    wrappers = sorted(name for name, one in hooks.items() if one.wrapper or one.hookwrapper)
    if wrappers:
        raise _LoadError(
            "hooks",
            f"It wraps {', '.join(wrappers)}; wrappers are not supported.",
            hint="Use a plain @hookimpl.",
        )
    return hooks


def _info(plugin: Installed, module: Any) -> PluginInfo:
    told = getattr(module, "flowcontrol_plugin_info", None)
    if told is None or not hasattr(told, f"{PROJECT_NAME}_impl"):
        unmarked = ", ".join(_unmarked(module))
        raise _LoadError(
            "info",
            f"{plugin.module} has no hook flowcontrol_plugin_info.",
            hint=f"Write @hookimpl above: {unmarked}." if unmarked else "Define it with @hookimpl.",
        )
    with _fence("info", "flowcontrol_plugin_info"):
        info = told()
    if not isinstance(info, PluginInfo):
        raise _LoadError("info", f"flowcontrol_plugin_info returned {info!r}; it has to be a PluginInfo.")
    _require_api(plugin, info)
    return info


def _require_api(plugin: Installed, info: PluginInfo) -> None:
    asked = _API.fullmatch(info.api) if isinstance(info.api, str) else None
    if asked is None:
        raise _LoadError(
            "api", f'It asks for the API {info.api!r}; that has to be text such as "{API_VERSION}".'
        )
    major, minor = (int(part) for part in API_VERSION.split("."))
    if int(asked[1]) == major and int(asked[2]) <= minor:
        return
    is_newer = (int(asked[1]), int(asked[2])) > (major, minor)
    distribution = plugin.distribution or plugin.name
    raise _LoadError(
        "api",
        f"It needs the plugin API {info.api}, and the installed flowcontrol-core has {API_VERSION}.",
        problem=Problem.API,
        hint=(
            f"pip install --upgrade flowcontrol-core, or install an older {distribution}."
            if is_newer
            else f"pip install --upgrade {distribution}{_or_ask(plugin)}."
        ),
    )


def _or_ask(plugin: Installed) -> str:
    url = project_url(plugin.distribution)
    return f", or see {url}" if url else ""


def _namespace(plugin: Installed, info: PluginInfo) -> str:
    """What the names of its actions begin with."""
    return plugin.name if plugin.distribution else info.name or plugin.module.partition(".")[0]


def _declarations(namespace: str, hooks: dict[str, pluggy.HookImpl]) -> _Declarations:
    def declared(hook: str, kind: type) -> Iterator[Any]:
        if hook not in hooks:
            return
        with _fence("declarations", hook):
            returned: Any = hooks[hook].function()
            if returned is None or isinstance(returned, (str, bytes)):
                raise _LoadError("declarations", f"{hook} returned {returned!r}; it has to return a list.")
            found = list(returned)
        for one in found:
            if not isinstance(one, kind):
                raise _LoadError("declarations", f"{hook} returned {one!r}, which is no {kind.__name__}.")
            _require_declaration(namespace, hook, one)
            yield one

    return _Declarations(
        actions=tuple(declared("flowcontrol_register_actions", ActionSpec)),
        triggers=tuple(declared("flowcontrol_register_triggers", TriggerSpec)),
        filters=tuple(declared("flowcontrol_register_filters", FilterSpec)),
        schedulers=tuple(declared("flowcontrol_register_schedulers", SchedulerSpec)),
        credential_kinds=tuple(declared("flowcontrol_register_credential_kinds", CredentialKindSpec)),
        urls=_urls(hooks),
    )


def _urls(hooks: dict[str, pluggy.HookImpl]) -> str:
    hook = "flowcontrol_register_urls"
    if hook not in hooks:
        return ""
    with _fence("declarations", hook):
        urls = hooks[hook].function()
    if not (isinstance(urls, str) and all(part.isidentifier() for part in urls.split("."))):
        raise _LoadError(
            "declarations", f'{hook} returned {urls!r}; it has to return the path of a module: "acme.urls".'
        )
    return urls


def _require_declaration(namespace: str, hook: str, one: Any) -> None:
    """A declaration has a legal name under the plugin's own, and names what can be imported later."""
    name = one.name
    if isinstance(one, FilterSpec):
        is_legal = isinstance(name, str) and name.isidentifier()
        rule = "a filter's name is an identifier"
    elif isinstance(one, SchedulerSpec):
        is_legal = name == namespace or (registry.is_name(name) and name.startswith(f"{namespace}."))
        rule = f'a scheduler of this plugin is named "{namespace}" or "{namespace}.…"'
    else:
        is_legal = registry.is_name(name) and name.startswith(f"{namespace}.")
        rule = f'names of this plugin begin with "{namespace}.", then small letters, digits and underscores'
    if not is_legal:
        raise _LoadError("declarations", f"{hook} declares the name {name!r}, but {rule}.")
    path = getattr(one, "path", None)
    # A scheduler without tasks has an empty path for them.
    for written in (path, getattr(one, "task", "") or None):
        if isinstance(written, str) and not registry.is_path(written):
            raise _LoadError(
                "declarations",
                f'{hook} declares "{name}" at {written!r}; a path is written "package.module:Name".',
            )
    if isinstance(one, TriggerSpec) and one.model and not re.fullmatch(r"\w+\.\w+", one.model):
        raise _LoadError(
            "declarations", f'{hook} declares "{name}" for {one.model!r}; a model is "app.model".'
        )
    if isinstance(one, ActionSpec) and not isinstance(path, str):
        with _fence("declarations", hook):
            registry.require_action_class(path, name)
    if isinstance(one, CredentialKindSpec) and not isinstance(path, str):
        with _fence("declarations", hook):
            registry.require_credential_kind(path, name)


def _register(plugin: Installed, declared: _Declarations) -> None:
    """All of a plugin's declarations, or none."""
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
        _unregister(provider, done)
        raise _LoadError(
            "registration", str(error), hint="Rename one of the two, or leave one out."
        ) from error


def _unregister(provider: str, filters: Iterable[str]) -> None:
    for one in (registry.actions, registry.triggers, registry.schedulers, registry.credential_kinds):
        one.unregister_provider(provider)
    for name in filters:
        expressions.unregister_filter(name)


def _unregister_all(loaded: LoadedPlugins | None) -> None:
    for report in loaded.reports if loaded else ():
        _unregister(report.title, report.filters)


def _unmarked(module: Any) -> list[str]:
    """Functions that look like hooks and have no marker, so that nobody calls them."""
    return [
        name
        for name, function in vars(module).items()
        if name.startswith("flowcontrol_")
        and inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not hasattr(function, f"{PROJECT_NAME}_impl")
    ]


def _oddities(module: Any, hooks: dict[str, pluggy.HookImpl]) -> Iterator[str]:
    known = [name for name in vars(hookspecs) if name.startswith("flowcontrol_")]
    for name in _unmarked(module):
        yield f"{module.__name__}.{name} has no @hookimpl, so it is never called."
    for name, implementation in hooks.items():
        if name not in known and not implementation.optionalhook:
            suggestion = (
                did_you_mean(name, known) or "If a later version has it, write @hookimpl(optionalhook=True)."
            )
            yield f"{module.__name__}.{name} implements a hook that does not exist. {suggestion}"


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
        with registry.undone_on_error(), _fence("import", f"Importing {module}"):
            import_module(module)
    except _LoadError as fault:
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
