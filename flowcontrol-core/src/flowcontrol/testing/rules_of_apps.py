"""Rules about the apps of packs: their models, migrations and templates."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from django.core import checks
from django.core.management import CommandError, call_command

from ..exceptions import FlowcontrolError
from ..packs import PackConfig
from .rules import NotApplicable, Subject, rule
from .switched_off import without


@rule(
    "D1",
    "Its migrations are those of its models",
    why="The next makemigrations of every project would write one into the installed package.",
    fix="manage.py makemigrations",
    needs_database=True,
)
def complete(subject: Subject) -> Iterator[str]:
    label = subject.config.label
    out = io.StringIO()
    try:
        call_command("makemigrations", label, check=True, dry_run=True, stdout=out, stderr=out, verbosity=1)
    except SystemExit:
        yield f"Migrations are missing: {' '.join(out.getvalue().split())}"
    except CommandError as error:
        raise NotApplicable(f"it has no migrations ({error})") from error


@rule(
    "D2",
    "Its migrations can be run backwards, and again",
    why="plugins purge removes a pack by running them backwards.",
    fix="Give every RunPython and RunSQL a way back.",
    needs_database=True,
)
def reversible(subject: Subject) -> Iterator[str]:
    label = subject.config.label
    try:
        call_command("migrate", label, "zero", verbosity=0)
    except CommandError as error:
        raise NotApplicable(f"it has no migrations ({error})") from error
    except Exception as error:  # noqa: BLE001  a pack's code
        yield f"Running them backwards raised {type(error).__name__}: {error}"
    finally:
        call_command("migrate", verbosity=0)


@rule(
    "D3",
    "No foreign key of its models binds the database to flowcontrol's tables",
    why="While the pack is switched off, Django does not know its tables, and deleting a run would fail.",
    fix="Write db_constraint=False.",
)
def unbound(subject: Subject) -> Iterator[str]:
    config = subject.config
    for model in config.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            other = field.related_model
            if other and other._meta.app_label == "flowcontrol" and getattr(field, "db_constraint", False):
                yield f"{model._meta.label}.{field.name} refers to {other._meta.label}."


@rule(
    "D4",
    "Its AppConfig inherits PackConfig",
    why="Django has no fence between apps: an error in its models would stop the whole project.",
    fix="from flowcontrol.packs import PackConfig",
)
def fenced(subject: Subject) -> Iterator[str]:
    if not isinstance(subject.config, PackConfig):
        yield f"{type(subject.config).__qualname__} does not inherit flowcontrol.packs.PackConfig."


@rule(
    "D5",
    "Its templates and static files are in a folder of its own name",
    why="Templates of all apps share one space of names, and the first that is found wins.",
    fix="Put them into templates/<app label>/ or templates/flowcontrol/packs/<plugin>/; the same in static/.",
)
def named(subject: Subject) -> Iterator[str]:
    config = subject.config
    mine = (f"{config.label}/", f"flowcontrol/packs/{subject.name}/")
    for kind in ("templates", "static"):
        folder = Path(config.path) / kind
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            file = path.relative_to(folder).as_posix()
            if path.is_file() and not file.startswith(mine):
                yield f"{kind}/{file} could be taken for that of another app."


@rule(
    "D6",
    "The system checks find no error in it",
    why="An error keeps manage.py of the project from starting.",
    fix="manage.py check",
    # Django 6.1 asks it whether it has JSON.
    needs_database=True,
)
def checked(subject: Subject) -> Iterator[str]:
    for message in checks.run_checks(app_configs=[subject.config]):
        if message.level >= checks.ERROR and subject.config.label in f"{message.obj} {message.msg}":
            yield str(message)


@rule(
    "D7",
    "While it is switched off, the checks, the admin and deleting work",
    why="A project that takes a pack off its list has its tables and its runs still; they must stand in nobody's way.",
    fix="Bind nothing to flowcontrol's tables, in SQL neither, and have nothing outside the pack rely on it.",
)
def missable(subject: Subject) -> Iterator[str]:
    if not (subject.installed and subject.installed.app and subject.installed.distribution):
        raise NotApplicable("the pack has no app")
    try:
        yield from without(subject.installed.name, subject.samples, subject.credentials)
    except FlowcontrolError as error:
        raise NotApplicable(f"it cannot be used in a project that has nothing but it: {error}") from error
