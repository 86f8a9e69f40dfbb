"""The place of ``continue_flowruns_task``. The core has no Celery: a scheduler's plugin brings the task."""

from __future__ import annotations

from typing import Any

from . import conf, registry
from .exceptions import ConfigurationError

__all__ = ["continue_flowruns_task"]


class _Task:
    """The task of the scheduler in use, or else of another one that has one; looked up whenever it is used.

    So it can be imported before plugins are loaded, and where none has a task. Raises ``ConfigurationError`` with the
    way out when it is used there.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _required()(*args, **kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        return _required().delay(*args, **kwargs)

    def apply_async(self, *args: Any, **kwargs: Any) -> Any:
        return _required().apply_async(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        # Whatever else a task has. Inspection asks for anything, of which an object without a task has nothing.
        return getattr(_found(), name)


def _required() -> Any:
    task = _found()
    if task is None:
        raise ConfigurationError(
            "flowcontrol.tasks.continue_flowruns_task needs Celery. Run: pip install flowcontrol-celery. Until then, "
            "have cron call manage.py flowcontrol tick, run manage.py flowcontrol worker, or call "
            "flowcontrol.engine.continue_flowruns yourself."
        )
    return task


def _found() -> Any:
    names = registry.schedulers.names()
    for name in sorted(names, key=lambda name: name != conf.settings.SCHEDULER):
        spec = registry.schedulers.get_spec(name)
        if spec is not None and spec.task:
            return registry.import_path(spec.task)
    return None


continue_flowruns_task = _Task()
