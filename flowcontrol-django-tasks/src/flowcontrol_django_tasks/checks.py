"""System checks of the project's ``TASKS``, for a project whose scheduler this is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.schedulers import get_scheduler

from .framework import is_dummy, is_immediate
from .scheduler import DjangoTasksScheduler

__all__ = ["check_tasks"]


def check_tasks(**_: Any) -> list[CheckMessage]:
    """That tasks go to workers, and come when they are due."""
    try:
        scheduler = get_scheduler()
    except ConfigurationError:
        # The core's checks say what is wrong with the options.
        return []
    if not isinstance(scheduler, DjangoTasksScheduler):
        return []
    try:
        backend = scheduler.backend
    except ConfigurationError as error:
        return [Error(str(error), id="flowcontrol_django_tasks.E001")]
    return [*_about_queues(scheduler, backend), *_about_backend(scheduler, backend)]


def _about_queues(scheduler: DjangoTasksScheduler, backend: Any) -> Iterator[CheckMessage]:
    unknown = sorted(scheduler.targets - backend.queues) if backend.queues else []
    if unknown:
        yield Error(
            f'The backend "{scheduler.alias}" has no queue called {" or ".join(unknown)}.',
            hint=f'settings.TASKS["{scheduler.alias}"]["QUEUES"] lists those that it has.',
            id="flowcontrol_django_tasks.E002",
        )
    if scheduler.priority and not backend.supports_priority:
        yield Error(
            f'The backend "{scheduler.alias}" has no priorities.',
            hint="Leave the scheduler's option priority out.",
            id="flowcontrol_django_tasks.E003",
        )


def _about_backend(scheduler: DjangoTasksScheduler, backend: Any) -> Iterator[CheckMessage]:
    if is_dummy(backend) or (is_immediate(backend) and not settings.DEBUG):
        done = "executed by nobody" if is_dummy(backend) else "executed by whoever starts them, in requests"
        yield Caution(
            f"{type(backend).__name__} has no workers: runs are {done}.",
            hint=f'Set settings.TASKS["{scheduler.alias}"]["BACKEND"] to one that has, django-tasks-db for example.',
            id="flowcontrol_django_tasks.W001",
        )
    if not backend.supports_defer:
        yield Caution(
            f"{type(backend).__name__} cannot send tasks for later: runs that wait do not go on by themselves.",
            hint="Have cron call manage.py flowcontrol tick every minute, or choose another backend.",
            id="flowcontrol_django_tasks.W002",
        )
