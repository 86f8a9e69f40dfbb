"""Django's tasks, or before Django 6.0 their backport: one is as good as the other."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from flowcontrol.exceptions import ConfigurationError

if TYPE_CHECKING or find_spec("django.tasks"):
    from django.tasks import task, task_backends
    from django.tasks.backends.base import BaseTaskBackend
elif find_spec("django_tasks"):
    from django_tasks import task, task_backends
    from django_tasks.backends.base import BaseTaskBackend
else:
    task = task_backends = BaseTaskBackend = None

__all__ = ["backend_of", "is_dummy", "is_immediate", "task"]


def backend_of(alias: str) -> BaseTaskBackend:
    """The backend with this name in ``settings.TASKS``. Raises ``ConfigurationError`` when there is none."""
    if task_backends is None:
        raise ConfigurationError(
            'The scheduler "django_tasks" needs the tasks of Django, which come with Django 6.0. Before: '
            'pip install "flowcontrol-django-tasks[backport]".'
        )
    try:
        return task_backends[alias]
    # The backport's error is none of Django's, and a backend's own code may raise anything.
    except Exception as error:
        raise ConfigurationError(
            f'settings.TASKS has no backend "{alias}" that can be used: {error}. Correct it, or name another one: '
            'FLOWCONTROL["SCHEDULERS"] = {"django_tasks": {"backend": …}}.'
        ) from error


def is_immediate(backend: Any) -> bool:
    """Whether it executes tasks in the middle of whatever sends them. That is what Django does by default."""
    return _is_called(backend, "ImmediateBackend")


def is_dummy(backend: Any) -> bool:
    """Whether it keeps tasks and never executes them."""
    return _is_called(backend, "DummyBackend")


def _is_called(backend: Any, name: str) -> bool:
    # Django's and the backport's: by name, because either may be there without the other.
    return any(one.__name__ == name for one in type(backend).__mro__)
