"""``flowcontrol plugins purge``: what a pack leaves in the database, removed while the pack is still installed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from django.apps import AppConfig, apps
from django.core.management import call_command
from django.db import connections, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Model, QuerySet

from ...engine.claims import database
from ...exceptions import FlowcontrolError
from ...models import Credential, FlowRun, Trigger
from ...permissions import codename
from ...plugins import PluginReport
from ..output import Console, counted
from ..usage import uses_of
from .plugins import named

__all__ = ["purge"]


class CannotPurge(FlowcontrolError):
    """What a pack left cannot be removed now."""


def purge(console: Console, options: Namespace) -> int:
    """Tell what refers to the pack, remove its tables and what Django keeps about them. Flows are never touched.

    Raises ``CannotPurge`` when Django does not know the pack's app, whose migrations have to be run backwards.
    """
    report = named(options)
    config = _app_of(report)
    references = list(_references(report))
    steps = [
        *_plan(config),
        *(f"permission {permission}" for permission in _permissions(report)),
        *(f'credential "{one.name}" ({one.kind})' for one in _credentials(report)),
    ]
    if options.as_json:
        if not (options.plan or options.noinput):
            raise CannotPurge(
                "With --json nobody is asked: give --plan to see what would be done, or --noinput."
            )
        if not options.plan:
            _remove(report, config)
        console.json({"references": references, "steps": steps, "is_plan": options.plan})
        return 0
    console.lines(references)
    if steps:
        console.lines(["", "To be removed:", *(f"  {step}" for step in steps)])
    else:
        console.line("It has nothing of its own in the database.")
    if options.plan:
        return 0
    if steps and not options.noinput and input(f'\nType "{report.name}" to remove this: ') != report.name:
        console.line("Nothing was removed.")
        return 1
    _remove(report, config)
    if config is not None:
        console.line(f"Removed what {config.label} had in the database.")
    console.lines(["", f"Now: pip uninstall {report.distribution}, and restart."])
    return 0


def _app_of(report: PluginReport) -> AppConfig | None:
    if not report.distribution:
        raise CannotPurge(f'"{report.name}" is part of the project, and no installed distribution.')
    if not report.app:
        return None
    found = (one for one in apps.get_app_configs() if _path(one) == report.app)
    config = next(found, None)
    if config is None and report.problem is not None:
        raise CannotPurge(
            f"{report.app} cannot be used, so its migrations cannot be run backwards: {report.reason} Install a "
            f"version of {report.distribution} that works, for this one command."
        )
    if config is None:
        raise CannotPurge(
            f"{report.app} is not in INSTALLED_APPS, so its migrations cannot be run backwards. Switch the plugin on "
            "for this one command."
        )
    return config


def _permissions(report: PluginReport) -> list[Model]:
    """To use its actions; the permissions of its models go with their content types."""
    wanted = {"content_type__app_label": "flowcontrol", "codename": codename(report.name)}
    return _rows("auth.Permission", **wanted)


def _credentials(report: PluginReport) -> QuerySet[Credential]:
    """Of its kinds: nobody else can use them."""
    return Credential.objects.using(database()).filter(kind__startswith=f"{report.name}.").order_by("name")


def _kinds(config: AppConfig) -> list[Model]:
    return _rows("contenttypes.ContentType", app_label=config.label)


def _rows(model: str, **wanted: str) -> list[Model]:
    """Rows of a model of Django's; none where the project does not use that app."""
    try:
        return list(apps.get_model(model)._default_manager.using(database()).filter(**wanted).order_by("pk"))
    except LookupError:
        return []


def _path(config: AppConfig) -> str:
    return f"{type(config).__module__}.{type(config).__qualname__}"


def _references(report: PluginReport) -> Iterator[str]:
    prefix = f"{report.name}."
    used = uses_of(prefix)
    waiting = FlowRun.objects.using(database()).live().filter(needs__startswith=prefix).count()
    triggers = Trigger.objects.using(database()).filter(on__startswith=prefix)
    for use in used:
        so = "it cannot be published then" if use.version is None else "its runs will be blocked there"
        yield f"{use.document} uses {', '.join(use.actions)}. It stays, and {so}."
    for on, slug in triggers.order_by("flow__slug", "on").values_list("on", "flow__slug"):
        yield f'A trigger of the flow "{slug}" is {on}. It stays, and will never fire.'
    if waiting:
        yield f"{counted(waiting, 'run')} blocked on its actions."
    if not used:
        yield f"No flow uses {report.name}."


def _plan(config: AppConfig | None) -> Iterator[str]:
    if config is None:
        return
    applied = MigrationRecorder(connections[database()]).applied_migrations()
    if any(app == config.label for app, _ in applied):
        yield f"tables of {config.label}: manage.py migrate {config.label} zero"
    for kind in _kinds(config):
        yield f"content type and permissions of {kind}"


def _remove(report: PluginReport, config: AppConfig | None) -> None:
    if config is not None:
        call_command("migrate", config.label, "zero", database=database(), verbosity=0)
    with transaction.atomic(using=database()):
        for kind in _kinds(config) if config is not None else ():
            # Its permissions go with it.
            kind.delete()
        for permission in _permissions(report):
            permission.delete()
        _credentials(report).delete()
