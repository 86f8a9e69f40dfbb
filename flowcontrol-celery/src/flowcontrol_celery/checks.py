"""System checks of the project's Celery app, for a project whose scheduler it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import Celery
from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.schedulers import get_scheduler

from .schedule import CONTINUE
from .scheduler import CeleryScheduler, transport

__all__ = ["check_celery"]

#: What Celery calls the app that it makes when a process has none.
_FALLBACK = "default"
#: Brokers that take an unacknowledged message for lost after a while.
_FORGETFUL = {"redis", "rediss", "sqs"}


def check_celery(**_: Any) -> list[CheckMessage]:
    """That due runs are asked for, by workers, from a broker that fits."""
    try:
        scheduler = get_scheduler()
    except ConfigurationError:
        # The core's checks say what is wrong with the options.
        return []
    if not isinstance(scheduler, CeleryScheduler):
        return []
    try:
        app = scheduler.app
    except ConfigurationError as error:
        return [Error(str(error), id="flowcontrol_celery.E001")]
    return [*_about_app(app), *_about_beat(app), *_about_limits(app, scheduler)]


def _about_app(app: Celery) -> Iterator[CheckMessage]:
    if app.main == _FALLBACK and not app.conf.broker_url:
        yield Error(
            "There is no Celery app in this process, so messages would go to a broker that nobody configured.",
            hint="Import it in the __init__.py of the project's package, as Celery's guide for Django says, or name "
            'it: FLOWCONTROL["SCHEDULERS"] = {"celery": {"app": "shop.celery:app"}}.',
            id="flowcontrol_celery.E002",
        )
    if app.conf.task_always_eager and not settings.DEBUG:
        yield Caution(
            "task_always_eager is on: runs are executed by whoever starts them, in the middle of requests.",
            hint="Switch it off in production; for tests, take the scheduler inline.",
            id="flowcontrol_celery.W001",
        )


def _about_beat(app: Celery) -> Iterator[CheckMessage]:
    entries = (app.conf.beat_schedule or {}).values()
    if any(entry.get("task") == CONTINUE for entry in entries) or apps.is_installed("django_celery_beat"):
        return
    yield Caution(
        f"Celery's beat has no entry for {CONTINUE}: runs that wait do not go on, and what gets lost is not found.",
        hint="from flowcontrol_celery import beat_schedule; app.conf.beat_schedule = {**beat_schedule(), …}",
        id="flowcontrol_celery.W002",
    )


def _about_limits(app: Celery, scheduler: CeleryScheduler) -> Iterator[CheckMessage]:
    options = app.conf.broker_transport_options or {}
    if transport(app) in _FORGETFUL and "visibility_timeout" not in options:
        yield Caution(
            "The broker gives a message to another worker when its own takes longer than the visibility timeout, which "
            "is not set.",
            hint='app.conf.broker_transport_options = {"visibility_timeout": …}, in seconds: more than the longest '
            "step takes. Runs are not executed twice either way; a worker looks in vain.",
            id="flowcontrol_celery.W003",
        )
    limits = [app.conf.task_soft_time_limit, app.conf.task_time_limit]
    shortest = min((limit for limit in limits if limit), default=None)
    if shortest is not None and shortest <= scheduler.slice_seconds:
        yield Caution(
            f"Celery ends tasks after {shortest} s, and a task of flowcontrol may work for "
            f"{scheduler.slice_seconds:g} s: its worker would be killed in the middle of a run.",
            hint="Set slice_seconds in the scheduler's options to less, by more than the longest step takes.",
            id="flowcontrol_celery.W004",
        )
