"""System checks of settings and plugins. They read what loading found out and import nothing themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Info
from django.core.checks import Warning as Caution
from django.db import DatabaseError, router
from django.urls import get_resolver

from . import conf, plugins, registry, vault
from .exceptions import ConfigurationError
from .plugins.loader import policy_in_force
from .plugins.policy import Policy
from .plugins.report import PluginReport, Problem
from .plugins.selection import ENVIRONMENT
from .schedulers import make_scheduler
from .suggestions import did_you_mean

__all__ = [
    "CHECKS",
    "CHECK_IDS",
    "TAG",
    "check_credentials",
    "check_deployment",
    "check_foreign_keys",
    "check_names",
    "check_plugins",
    "check_scheduler",
    "check_settings",
    "check_time_zone",
    "check_urls",
]

#: ``manage.py check --tag flowcontrol``
TAG = "flowcontrol"

#: Every id there is, with what it means; the documentation has a heading for each.
CHECK_IDS: dict[str, str] = {
    "flowcontrol.E001": "The list of plugins names one that is not installed.",
    "flowcontrol.E002": "A plugin is broken and therefore not used.",
    "flowcontrol.E003": "Several distributions claim the same plugin name; none of them is used.",
    "flowcontrol.E004": "A plugin needs another version of the plugin API.",
    "flowcontrol.E005": "The list of plugins asks for another version of a plugin.",
    "flowcontrol.E006": "An entry in the list of plugins means nothing.",
    "flowcontrol.E007": "The module flow_actions of an app cannot be imported.",
    "flowcontrol.E008": "A value in settings.FLOWCONTROL cannot be used.",
    "flowcontrol.E009": 'FLOWCONTROL["SCHEDULER"] names a scheduler that nobody provides.',
    "flowcontrol.E010": "A model of a plugin has a foreign key to a table of flowcontrol's that the database holds.",
    "flowcontrol.E011": 'The options in FLOWCONTROL["SCHEDULERS"] of the scheduler in use cannot be used.',
    "flowcontrol.E012": "The secrets of a credential cannot be decrypted.",
    "flowcontrol.W001": "settings.FLOWCONTROL has a key that means nothing.",
    "flowcontrol.W002": "A plugin works, but something about it looks like a mistake.",
    "flowcontrol.W003": "A plugin's app is not in INSTALLED_APPS.",
    "flowcontrol.W004": "A name does not begin with that of a plugin or the label of an app.",
    "flowcontrol.W005": "With --deploy: the list of plugins takes whatever is installed.",
    "flowcontrol.W006": "USE_TZ is off.",
    "flowcontrol.W007": "A plugin has pages, and the project's URLs do not include them.",
    "flowcontrol.I001": "The environment replaces the project's list of plugins.",
}

_IDS = {
    Problem.MISSING: "flowcontrol.E001",
    Problem.BROKEN: "flowcontrol.E002",
    Problem.CLASH: "flowcontrol.E003",
    Problem.API: "flowcontrol.E004",
    Problem.VERSION: "flowcontrol.E005",
    Problem.APP: "flowcontrol.E007",
}


def check_settings(**_: Any) -> list[CheckMessage]:
    """Keys and values of ``settings.FLOWCONTROL``."""
    return [
        *(Error(sentence, id="flowcontrol.E008") for sentence in conf.find_wrong()),
        *(Caution(sentence, id="flowcontrol.W001") for sentence in conf.find_unknown()),
    ]


def check_plugins(**_: Any) -> list[CheckMessage]:
    """What became of the plugins on the list.

    In a process that goes on without them (``plugins.policy``) these are warnings: there, a check that fails
    would stop the very command that isolating a plugin is meant to let run.
    """
    loaded = plugins.current()
    serious = Caution if policy_in_force() is Policy.ISOLATE else Error
    reported = conf.find_wrong()
    messages: list[CheckMessage] = [
        serious(sentence, id="flowcontrol.E006") for sentence in loaded.malformed if sentence not in reported
    ]
    for report in loaded.problems:
        text = f"The {report.title} is not used: {report.reason}"
        messages.append(serious(text, hint=report.hint, id=_IDS[report.problem or Problem.BROKEN]))
    for report in loaded.reports:
        messages += _oddities(report)
    if loaded.is_from_environment:
        shown = ",".join(loaded.entries) or "nothing: core alone"
        messages.append(
            Info(
                f"The environment variable {ENVIRONMENT} replaces the project's list of plugins ({shown}).",
                hint='Unset it to use FLOWCONTROL["PLUGINS"].',
                id="flowcontrol.I001",
            )
        )
    return messages


def check_scheduler(**_: Any) -> list[CheckMessage]:
    """That somebody provides the scheduler, and that it takes its options: only where it has some is it imported."""
    try:
        name, options = conf.settings.SCHEDULER, conf.settings.SCHEDULERS
    except ConfigurationError:
        return []
    if name in registry.schedulers:
        return _option_errors(name) if name in options else []
    names = registry.schedulers.names()
    return [
        Error(
            f'settings.FLOWCONTROL["SCHEDULER"] is "{name}", which no loaded plugin provides.',
            hint=did_you_mean(name, names)
            or f"Install its plugin (pip install flowcontrol-{name}), or use one of: {', '.join(names)}.",
            id="flowcontrol.E009",
        )
    ]


def _option_errors(name: str) -> list[CheckMessage]:
    try:
        make_scheduler(name)
    except ConfigurationError as error:
        return [Error(str(error), id="flowcontrol.E011")]
    return []


def check_names(**_: Any) -> list[CheckMessage]:
    """That names lead to who provides them: a plugin, or an app of the project."""
    owners = {config.label for config in apps.get_app_configs()}
    owned = {
        name
        for report in plugins.reports()
        for name in (*report.actions, *report.triggers, *report.schedulers)
    }
    return [
        Caution(
            f'The {one.kind} "{name}" of {one.provider(name)} begins with "{name.partition(".")[0]}", which '
            "is neither the label of an app nor a plugin that provides it.",
            hint=did_you_mean(name.partition(".")[0], owners) or "Begin it with the label of the app.",
            id="flowcontrol.W004",
        )
        for one in (registry.actions, registry.triggers)
        for name in one.names()
        if name not in owned and name.partition(".")[0] not in owners
    ]


def check_foreign_keys(**_: Any) -> list[CheckMessage]:
    """That switching a plugin off keeps nobody from deleting: Django would not know its tables any more."""
    return [
        Error(
            f"{model._meta.label}.{field.name} of the {report.title} is a foreign key to "
            f"{field.related_model._meta.label} with a constraint in the database: while the plugin is switched off, "
            "rows that it refers to cannot be deleted.",
            hint="Write db_constraint=False, and make a migration.",
            id="flowcontrol.E010",
        )
        for report in plugins.reports()
        for config in apps.get_app_configs()
        if report.app and _path(config) == report.app
        for model in config.get_models(include_auto_created=True)
        for field in model._meta.local_fields
        if field.related_model
        and field.related_model._meta.app_label == "flowcontrol"
        and getattr(field, "db_constraint", False)
    ]


def check_urls(**_: Any) -> list[CheckMessage]:
    """That the pages of plugins can be reached."""
    having = [report for report in plugins.reports() if report.is_active and report.urls]
    if not having or not getattr(settings, "ROOT_URLCONF", None) or "flowcontrol" in get_resolver().app_dict:
        return []
    return [
        Caution(
            f"The {report.title} has pages, which the project's URLs do not include.",
            hint='Add path("flowcontrol/", include("flowcontrol.urls")) to them.',
            id="flowcontrol.W007",
        )
        for report in having
    ]


def check_time_zone(**_: Any) -> list[CheckMessage]:
    """That dates are aware: waits of months cross changes of the clock."""
    if settings.USE_TZ:
        return []
    return [
        Caution(
            "USE_TZ is off: dates without a time zone are ambiguous twice a year, and actions that read the "
            "project's own dates get naive ones, which a wait refuses.",
            hint="Set USE_TZ = True. Django's documentation tells how to move a project.",
            id="flowcontrol.W006",
        )
    ]


def check_credentials(databases: Collection[str] | None = None, **_: Any) -> list[CheckMessage]:
    """With ``--database``, and before ``migrate``: that the keys open what is stored."""
    alias = router.db_for_read(apps.get_model("flowcontrol", "Credential"))
    if alias not in (databases or ()):
        return []
    try:
        found = list(vault.seal_problems(alias))
    except DatabaseError:
        # Before the first migration there is no table.
        return []
    return [
        Error(f'The credential "{name}" cannot be decrypted. {problem}', id="flowcontrol.E012")
        for name, problem in found
    ]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """That production lists its plugins by name, so that one which goes missing is noticed."""
    patterns = [entry for entry in plugins.current().entries if "*" in entry and not entry.startswith("-")]
    if not patterns:
        return []
    names = ", ".join(f'"{report.name}"' for report in plugins.reports() if report.is_active)
    return [
        Caution(
            f"The list of plugins takes whatever is installed ({', '.join(patterns)}): nobody is told "
            "when one is missing, and any installed package can add one.",
            hint=f'Name them: FLOWCONTROL = {{"PLUGINS": [{names}]}}',
            id="flowcontrol.W005",
        )
    ]


CHECKS = (
    check_settings,
    check_plugins,
    check_scheduler,
    check_names,
    check_foreign_keys,
    check_urls,
    check_time_zone,
)


def _oddities(report: PluginReport) -> Iterator[CheckMessage]:
    for sentence in report.warnings:
        yield Caution(f"The {report.title}: {sentence}", id="flowcontrol.W002")
    if report.is_active and report.app and not _is_installed_app(report.app):
        yield Caution(
            f"The {report.title} has the app {report.app}, which is not in INSTALLED_APPS: its models and "
            "templates are missing.",
            hint='Write INSTALLED_APPS = [..., "flowcontrol", *plugin_apps(FLOWCONTROL)], with plugin_apps '
            "from flowcontrol.plugins.",
            id="flowcontrol.W003",
        )


def _is_installed_app(path: str) -> bool:
    return any(_path(config) == path for config in apps.get_app_configs())


def _path(config: AppConfig) -> str:
    return f"{type(config).__module__}.{type(config).__qualname__}"
