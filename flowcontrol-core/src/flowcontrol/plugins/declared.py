"""What the hook module of a plugin says of it and declares, held to the rules of ``flowcontrol.hookspecs``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import pluggy

from .. import API_VERSION, __version__, hookspecs, registry
from ..hookspecs import PROJECT_NAME, PluginInfo
from ..registry import ActionSpec, CredentialKindSpec, FilterSpec, SchedulerSpec, TriggerSpec
from ..suggestions import did_you_mean
from .entry_points import Installed, project_url
from .fence import LoadError, fence
from .report import Problem

__all__ = [
    "Declarations",
    "declarations",
    "hook_module",
    "namespace_of",
    "oddities",
    "plugin_info",
    "register_hooks",
    "require_name",
]

#: Prefixes that are the core's own; the permission ``use_credential`` is not one to use a plugin's actions.
RESERVED = ("core", "credential", "flow", "flowcontrol")

_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]*")
_API = re.compile(r"(\d+)\.(\d+)", re.ASCII)


class Declarations(NamedTuple):
    """All that a plugin brings."""

    actions: tuple[ActionSpec, ...] = ()
    triggers: tuple[TriggerSpec, ...] = ()
    filters: tuple[FilterSpec, ...] = ()
    schedulers: tuple[SchedulerSpec, ...] = ()
    credential_kinds: tuple[CredentialKindSpec, ...] = ()
    urls: str = ""


def require_name(plugin: Installed) -> None:
    """Raises ``LoadError`` unless its name can begin the names of actions."""
    if not plugin.distribution:
        return
    if not _PLUGIN_NAME.fullmatch(plugin.name):
        raise LoadError(
            "name",
            f'"{plugin.name}" cannot be the first part of an action\'s name: small letters, digits and '
            "underscores can, beginning with a letter.",
            hint="Its author has to rename the entry point.",
        )
    if plugin.name in RESERVED:
        raise LoadError(
            "name", f'The name "{plugin.name}" is reserved.', hint="Its author has to rename the entry point."
        )


def hook_module(plugin: Installed) -> Any:
    """What its entry point names, imported. Raises ``LoadError``."""
    with fence("import", f"Importing {plugin.module}"):
        try:
            return (
                registry.import_path(plugin.module) if ":" in plugin.module else import_module(plugin.module)
            )
        except ImportError as error:
            if (error.name or "").partition(".")[0] != PROJECT_NAME:
                raise
            # A name of the core's that is not there: the plugin is made for another version, and cannot say so.
            raise LoadError(
                "import",
                f"Importing {plugin.module} raised {type(error).__name__}: {error}",
                hint=f"It is made for another flowcontrol-core than {__version__}: pip check tells for which.",
            ) from error


def register_hooks(
    manager: pluggy.PluginManager, plugin: Installed, module: Any
) -> dict[str, pluggy.HookImpl]:
    """Hand its hooks to the manager; those found, by name. Raises ``LoadError``."""
    with fence("hooks", f"Reading the hooks of {plugin.module}"):
        if manager.is_registered(module):
            raise LoadError("hooks", f"{plugin.module} is the hook module of another plugin as well.")
        manager.register(module, plugin.name)
        hooks = {
            caller.name: implementation
            for caller in manager.get_hookcallers(module) or ()
            for implementation in caller.get_hookimpls()
            if implementation.plugin is module
        }
    wrappers = sorted(name for name, one in hooks.items() if one.wrapper or one.hookwrapper)
    if wrappers:
        raise LoadError(
            "hooks",
            f"It wraps {', '.join(wrappers)}; wrappers are not supported.",
            hint="Use a plain @hookimpl.",
        )
    return hooks


def plugin_info(plugin: Installed, module: Any) -> PluginInfo:
    """What it says of itself. Raises ``LoadError``, also when it is made for another version of the contract."""
    told = getattr(module, "flowcontrol_plugin_info", None)
    if told is None or not hasattr(told, f"{PROJECT_NAME}_impl"):
        unmarked = ", ".join(_unmarked(module))
        raise LoadError(
            "info",
            f"{plugin.module} has no hook flowcontrol_plugin_info.",
            hint=f"Write @hookimpl above: {unmarked}." if unmarked else "Define it with @hookimpl.",
        )
    with fence("info", "flowcontrol_plugin_info"):
        info = told()
    if not isinstance(info, PluginInfo):
        raise LoadError("info", f"flowcontrol_plugin_info returned {info!r}; it has to be a PluginInfo.")
    _require_api(plugin, info)
    return info


def _require_api(plugin: Installed, info: PluginInfo) -> None:
    asked = _API.fullmatch(info.api) if isinstance(info.api, str) else None
    if asked is None:
        raise LoadError(
            "api", f'It asks for the API {info.api!r}; that has to be text such as "{API_VERSION}".'
        )
    major, minor = (int(part) for part in API_VERSION.split("."))
    if int(asked[1]) == major and int(asked[2]) <= minor:
        return
    is_newer = (int(asked[1]), int(asked[2])) > (major, minor)
    distribution = plugin.distribution or plugin.name
    raise LoadError(
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


def namespace_of(plugin: Installed, info: PluginInfo) -> str:
    """What the names of its actions begin with."""
    return plugin.name if plugin.distribution else info.name or plugin.module.partition(".")[0]


def declarations(namespace: str, hooks: dict[str, pluggy.HookImpl]) -> Declarations:
    """What its hooks declare. Raises ``LoadError`` naming the hook, and the declaration that breaks a rule."""

    def declared(hook: str, kind: type) -> Iterator[Any]:
        if hook not in hooks:
            return
        with fence("declarations", hook):
            returned: Any = hooks[hook].function()
            if returned is None or isinstance(returned, (str, bytes)):
                raise LoadError("declarations", f"{hook} returned {returned!r}; it has to return a list.")
            found = list(returned)
        for one in found:
            if not isinstance(one, kind):
                raise LoadError("declarations", f"{hook} returned {one!r}, which is no {kind.__name__}.")
            _require_declaration(namespace, hook, one)
            yield one

    return Declarations(
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
    with fence("declarations", hook):
        urls = hooks[hook].function()
    if not (isinstance(urls, str) and all(part.isidentifier() for part in urls.split("."))):
        raise LoadError(
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
        raise LoadError("declarations", f"{hook} declares the name {name!r}, but {rule}.")
    path = getattr(one, "path", None)
    # A scheduler without tasks has an empty path for them.
    for written in (path, getattr(one, "task", "") or None):
        if isinstance(written, str) and not registry.is_path(written):
            raise LoadError(
                "declarations",
                f'{hook} declares "{name}" at {written!r}; a path is written "package.module:Name".',
            )
    if isinstance(one, TriggerSpec) and one.model and not re.fullmatch(r"\w+\.\w+", one.model):
        raise LoadError(
            "declarations", f'{hook} declares "{name}" for {one.model!r}; a model is "app.model".'
        )
    if isinstance(one, ActionSpec) and not isinstance(path, str):
        with fence("declarations", hook):
            registry.require_action_class(path, name)
    if isinstance(one, CredentialKindSpec) and not isinstance(path, str):
        with fence("declarations", hook):
            registry.require_credential_kind(path, name)


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


def oddities(module: Any, hooks: dict[str, pluggy.HookImpl]) -> Iterator[str]:
    """Sentences about what is probably a mistake and hurts nobody."""
    known = [name for name in vars(hookspecs) if name.startswith("flowcontrol_")]
    for name in _unmarked(module):
        yield f"{module.__name__}.{name} has no @hookimpl, so it is never called."
    for name, implementation in hooks.items():
        if name not in known and not implementation.optionalhook:
            suggestion = (
                did_you_mean(name, known) or "If a later version has it, write @hookimpl(optionalhook=True)."
            )
            yield f"{module.__name__}.{name} implements a hook that does not exist. {suggestion}"
