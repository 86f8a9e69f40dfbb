"""The contract with plugins: every hook, when it is called, what to return and what happens on an error.

A plugin is a distribution with one entry point in the group ``flowcontrol``: its name, and the module that
holds its hooks. That module is imported at every start-up, so it imports little and returns *declarations*;
what they name is imported on first use::

    # pyproject.toml
    [project.entry-points.flowcontrol]
    http = "flowcontrol_actions_http.plugin"

    # flowcontrol_actions_http/plugin.py
    from flowcontrol.hookspecs import PluginInfo, hookimpl
    from flowcontrol.registry import ActionSpec

    @hookimpl
    def flowcontrol_plugin_info():
        return PluginInfo(api="1.0", label="HTTP")

    @hookimpl
    def flowcontrol_register_actions():
        return [ActionSpec("http.request", "flowcontrol_actions_http.actions:Request", "Send a request")]

The functions with ``@hookimpl`` may leave out arguments that they do not need. A function ``flowcontrol_…``
without ``@hookimpl``, and a hook that this version does not know, are reported by ``manage.py check``; write
``@hookimpl(optionalhook=True)`` for a hook of a later version. Wrappers are refused: no plugin stands between
the engine and another plugin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pluggy import HookimplMarker, HookspecMarker

from .registry import ActionSpec, CredentialKindSpec, FilterSpec, SchedulerSpec, TriggerSpec
from .signals import RunInfo

__all__ = [
    "PROJECT_NAME",
    "PluginInfo",
    "RunInfo",
    "flowcontrol_plugin_info",
    "flowcontrol_prune",
    "flowcontrol_register_actions",
    "flowcontrol_register_credential_kinds",
    "flowcontrol_register_filters",
    "flowcontrol_register_schedulers",
    "flowcontrol_register_triggers",
    "flowcontrol_register_urls",
    "flowcontrol_run_finished",
    "flowcontrol_run_started",
    "hookimpl",
    "hookspec",
]

PROJECT_NAME = "flowcontrol"

hookspec = HookspecMarker(PROJECT_NAME)
hookimpl = HookimplMarker(PROJECT_NAME)


@dataclass(frozen=True)
class PluginInfo:
    """What a plugin says of itself.

    ``api`` is the least version of this contract it needs (``flowcontrol.API_VERSION``): the major number
    has to be the same, the minor number at most that of the installed core. Name the version you tested with,
    and no highest one. ``label`` and ``description`` are for people.
    """

    api: str
    label: str = ""
    description: str = ""
    #: Only for a hook module of the project's own, which has no entry point: the first part of its actions'
    #: names. The first part of the module's dotted path when empty.
    name: str = ""


@hookspec
def flowcontrol_plugin_info() -> PluginInfo:  # type: ignore[empty-body]
    """What the plugin is and which version of this contract it needs. Every plugin has to have it.

    Called once per process, before all its other hooks, which are not called when the version does not fit.
    An error, or anything else than a ``PluginInfo``, quarantines the plugin.
    """


@hookspec
def flowcontrol_register_actions() -> Iterable[ActionSpec]:  # type: ignore[empty-body]
    """The plugin's actions, named ``<plugin>.<action>``, each with the path of its class.

    Called once per process at start-up, with apps loaded but no request or run under way; keep it free of
    queries. An error, a malformed declaration, a name with another prefix or one that is taken quarantines
    the plugin as a whole: none of its declarations stays registered. A class that cannot be imported later,
    on first use, makes a missing action of itself alone.
    """


@hookspec
def flowcontrol_register_triggers() -> Iterable[TriggerSpec]:  # type: ignore[empty-body]
    """The plugin's trigger types, named ``<plugin>.<trigger>``; for ``flowcontrol.engine.fire_trigger``.

    Called and held to the same rules as ``flowcontrol_register_actions``.
    """


@hookspec
def flowcontrol_register_filters() -> Iterable[FilterSpec]:  # type: ignore[empty-body]
    """Filters for expressions. Their names are identifiers without a dot, as in Django's templates.

    Called and held to the same rules as ``flowcontrol_register_actions``. A filter has to be harmless: it
    computes from its arguments, and neither writes nor calls what it is given.
    """


@hookspec
def flowcontrol_register_credential_kinds() -> Iterable[CredentialKindSpec]:  # type: ignore[empty-body]
    """Kinds of credentials, named ``<plugin>.<kind>``, each with the path of its ``CredentialKind``.

    Called and held to the same rules as ``flowcontrol_register_actions``. A class that cannot be imported later, on
    first use, keeps the credentials of this kind from being used, and nothing else.
    """


@hookspec
def flowcontrol_register_schedulers() -> Iterable[SchedulerSpec]:  # type: ignore[empty-body]
    """Schedulers to name in ``FLOWCONTROL["SCHEDULER"]``: ``<plugin>`` or ``<plugin>.<name>``.

    Called and held to the same rules as ``flowcontrol_register_actions``. Registering selects nothing: only
    the project's setting does. What ``path`` names is a class that takes no arguments, see
    ``flowcontrol.schedulers``.
    """


@hookspec
def flowcontrol_register_urls() -> str:  # type: ignore[empty-body]
    """The plugin's own pages: the dotted path of a module with ``urlpatterns``.

    Called once per process at start-up; the module is imported with the project's URLs. They are found below
    ``packs/<plugin>/`` of ``flowcontrol.urls``, under names that begin with ``flowcontrol:<plugin>:``. An answer
    that is no dotted path quarantines the plugin; a module that cannot be imported is logged, and its pages answer
    503.
    """


@hookspec
def flowcontrol_prune() -> None:
    """Delete rows of the plugin's own that nobody needs any more. Called about once an hour by a worker.

    By every worker, and by whatever else prunes: several may be at it at once. Delete in small bites, by an index,
    and a bounded number of them: the worker that calls executes no run meanwhile. The answer is ignored. An error is
    logged and counted for the plugin, and the other plugins go on.
    """


@hookspec
def flowcontrol_run_started(run: RunInfo) -> None:
    """A worker took a run up for the first time. Called after the transaction that says so.

    The answer is ignored. An error is logged and counted for the plugin; the run and the other plugins go on.
    """


@hookspec
def flowcontrol_run_finished(run: RunInfo) -> None:
    """A run reached an end: completed, stopped, failed, cancelled or discarded. Called after the transaction.

    The answer is ignored. An error is logged and counted for the plugin; the run and the other plugins go on.
    """
