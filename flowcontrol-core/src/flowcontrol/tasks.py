"""The place of ``continue_flowruns_task``. The core has no Celery; flowcontrol-celery brings it."""

from __future__ import annotations

from typing import Any, NoReturn

from .exceptions import ConfigurationError

__all__ = ["continue_flowruns_task"]


class _NotInstalled:
    """In place of the task while flowcontrol-celery is not installed: it can be imported, and not called."""

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ConfigurationError(
            "flowcontrol.tasks.continue_flowruns_task needs Celery. Run: pip install flowcontrol-celery. Until then, "
            "have cron call manage.py flowcontrol tick, run manage.py flowcontrol worker, or call "
            "flowcontrol.engine.continue_flowruns yourself."
        )

    delay = apply_async = __call__


continue_flowruns_task = _NotInstalled()
