"""The scheduler: a message when runs become due, and as many as are needed when a tick finds many."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from celery import Celery
from celery.app import app_or_default
from django.db import Error as DatabaseError
from django.utils.module_loading import import_string
from flowcontrol import engine
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.schedulers import (
    BaseScheduler,
    SchedulerHealth,
    get_scheduler,
    is_above_0,
    is_whole,
    make_scheduler,
    require_option,
)
from kombu.exceptions import OperationalError

from .schedule import CONTINUE, EXECUTE

__all__ = ["CeleryScheduler", "Share", "celery_scheduler", "transport"]

logger = logging.getLogger("flowcontrol.celery")

#: After a message could not be sent, none is tried for so long: requests should not wait for a broker that is away.
_QUIET_SECONDS = 5.0
#: What is due for longer than this is not being seen to.
_OVERDUE_SECONDS = 60.0
#: The highest priority that every broker knows; the lowest is 0.
_HIGHEST_PRIORITY = 9
_REDIS = {"redis", "rediss"}


class Share(NamedTuple):
    """Due runs that go to one queue of Celery's (None: the default one): of which queues (none: all), and how many."""

    target: str | None
    queues: tuple[str, ...]
    runs: int


class CeleryScheduler(BaseScheduler):
    """Sends ids of runs to Celery's workers, and leaves everything else to the database.

    Options:

    ``app``
        Dotted path of the project's Celery app, ``"shop.celery:app"``; the current app unless given.
    ``batch``
        How many ids go into one message, and how many due runs a further worker is called for.
    ``messages_per_second``
        How many messages a process sends at most; what is beyond is left to the next tick, which executes it in bulk.
    ``spread``
        For how many further workers a tick calls at most.
    ``slice_seconds``
        After this long a task comes to its end, so that others have their turn; the next tick goes on.
    ``threads``
        How many calls of external actions may overlap in a process of a worker; 0: one after the other.
    ``queues``
        Where the runs of a flow's queue go: ``{"mail": "mail-workers"}``; others go where Celery routes the tasks.

    Raises ``ConfigurationError`` for values that cannot be used.
    """

    name: ClassVar[str] = "celery"

    def __init__(
        self,
        *,
        app: str = "",
        batch: int = 100,
        messages_per_second: float = 20.0,
        spread: int = 8,
        slice_seconds: float = 20.0,
        threads: int = 0,
        queues: Mapping[str, str] | None = None,
    ) -> None:
        for option, value, is_right, kind in (
            ("app", app, isinstance(app, str), 'the path of a Celery app, "shop.celery:app"'),
            ("batch", batch, is_whole(batch, 1), "a whole number, 1 or more"),
            ("messages_per_second", messages_per_second, is_above_0(messages_per_second), "a number above 0"),
            ("spread", spread, is_whole(spread, 0), "a whole number, 0 or more"),
            ("slice_seconds", slice_seconds, is_above_0(slice_seconds), "seconds, more than 0"),
            ("threads", threads, is_whole(threads, 0), "a whole number, 0 or more"),
            (
                "queues",
                queues,
                _is_mapping_of_texts(queues),
                "a mapping of a flow's queue to one of Celery's",
            ),
        ):
            require_option(self.name, option, value, is_right, kind)
        self.batch = batch
        self.spread = spread
        self.slice_seconds = float(slice_seconds)
        self.threads = threads
        self.queues = dict(queues or {})
        self._app = app
        self._allowance = _Allowance(messages_per_second)
        self._quiet_until = 0.0

    @property
    def app(self) -> Celery:
        """The Celery app that messages are sent with. Raises ``ConfigurationError`` when it cannot be imported."""
        if not self._app:
            return app_or_default()
        try:
            found = import_string(self._app.replace(":", "."))
        except ImportError as error:
            raise ConfigurationError(
                f'settings.FLOWCONTROL["SCHEDULERS"]["celery"]["app"] is "{self._app}", which cannot be imported: '
                f"{error}. Write the path of the project's Celery app, or leave it out to use the current one."
            ) from error
        if not isinstance(found, Celery):
            raise ConfigurationError(
                f'settings.FLOWCONTROL["SCHEDULERS"]["celery"]["app"] is "{self._app}", which is {found!r} and no '
                "Celery app."
            )
        return found

    # -- messages ----------------------------------------------------------------------------------------------

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        """Send them to workers: in batches, those of a high priority first, each to the queue of its flow."""
        if not self._may_send():
            return
        for target, priority, ids in self._batches(run_ids):
            if not self._allowance.take():
                logger.info("messages left to the next tick, more than so many a second")
                return
            self._send(EXECUTE, {"run_ids": ids}, target, priority)

    def call_for_help(self, share: Share, workers: int) -> int:
        """Have so many further workers execute what is due in these queues; returns how many were called for."""
        order = {"queues": share.queues, "spread": False}
        for sent in range(workers):
            # What nobody took for so long is called for again by then.
            if not (
                self._may_send() and self._send(CONTINUE, order, share.target, expires=self.slice_seconds)
            ):
                return sent
        return workers

    def shares(self, queues: Sequence[str] = ()) -> list[Share]:
        """What is due now (of these queues), by the queue of Celery's that it goes to: as much as can be sent."""
        due = engine.count_due(self.batch * (self.spread + 1), queues)
        if not self.queues:
            return [Share(None, tuple(queues), sum(due.values()))] if due else []
        counts: dict[str | None, dict[str, int]] = {}
        for queue, count in due.items():
            counts.setdefault(self.queues.get(queue), {})[queue] = count
        return [Share(target, tuple(found), sum(found.values())) for target, found in counts.items()]

    def _batches(self, run_ids: Sequence[int]) -> Iterator[tuple[str | None, int, list[int]]]:
        for route, ids in engine.routes(run_ids).items():
            for start in range(0, len(ids), self.batch):
                yield self.queues.get(route.queue), route.priority, ids[start : start + self.batch]

    def _may_send(self) -> bool:
        return time.monotonic() >= self._quiet_until

    def _send(
        self, task: str, arguments: Mapping[str, Any], target: str | None, priority: int = 0, **options: Any
    ) -> bool:
        app = self.app
        if target is not None:
            options["queue"] = target
        try:
            # By the task and not by its name alone, so that the project's routes and settings for it count.
            send: Callable[..., Any] = app.tasks[task].apply_async
            send(
                kwargs=dict(arguments),
                priority=_as_broker_counts(app, priority),
                retry=False,
                ignore_result=True,
                **options,
            )
        except (OperationalError, OSError) as error:
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            logger.warning(
                "message not sent, left to the next tick; none for %g s: %s",
                _QUIET_SECONDS,
                _told(error),
            )
            return False
        return True

    # -- health ------------------------------------------------------------------------------------------------

    def health(self) -> SchedulerHealth:
        """Whether the broker answers, whether a worker has our tasks, and whether nothing is due for long."""
        facts: dict[str, Any] = {"broker": False, "workers": [], "overdue_seconds": 0.0}
        try:
            broker = self.app.connection_for_write().as_uri()
            registered = _registered(self.app)
        except Exception as error:  # noqa: BLE001  whatever keeps it from answering is what is told
            told = f"The broker does not answer: {_told(error)}."
            return SchedulerHealth(
                False, told, "Start it, or correct the broker's URL of the Celery app.", facts
            )
        facts["broker"] = True
        facts["workers"] = sorted(name for name, tasks in registered.items() if CONTINUE in tasks)
        try:
            due_in = engine.seconds_until_due()
        except DatabaseError as error:
            told = f"The database does not answer: {_told(error)}."
            return SchedulerHealth(False, told, "See to the database.", facts)
        facts["overdue_seconds"] = max(0.0, -due_in) if due_in is not None else 0.0
        if registered and not facts["workers"]:
            return SchedulerHealth(
                False,
                f"Workers on {broker} do not know flowcontrol's tasks: {', '.join(sorted(registered))}.",
                "Have flowcontrol_celery in their INSTALLED_APPS, by *plugin_apps(FLOWCONTROL), and restart them.",
                facts,
            )
        if not registered:
            return SchedulerHealth(
                False, f"No worker answers on {broker}.", "Start one: celery -A <project> worker", facts
            )
        if facts["overdue_seconds"] > _OVERDUE_SECONDS:
            return SchedulerHealth(
                False,
                f"Runs are due for {facts['overdue_seconds']:.0f} s, though workers answer.",
                "See whether beat is running (celery -A <project> beat), and whether there are enough workers.",
                facts,
            )
        return SchedulerHealth(True, f"Workers on {broker}: {', '.join(facts['workers'])}.", facts=facts)


def celery_scheduler() -> CeleryScheduler:
    """The one with the project's options, also while another one is in use: messages may still be on their way."""
    scheduler = get_scheduler()
    if not isinstance(scheduler, CeleryScheduler):
        scheduler = make_scheduler(CeleryScheduler.name)
    assert isinstance(scheduler, CeleryScheduler), "no other plugin may call its scheduler so"
    return scheduler


def transport(app: Celery) -> str:
    """The kind of broker, as its URL begins: "amqp", "redis"."""
    return str(app.connection_for_write().transport_cls)


class _Allowance:
    """How many messages may be sent: so many a second, and a second's worth at once (a token bucket)."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._most = max(1.0, per_second)
        self._left = self._most
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        with self._lock:
            now = time.monotonic()
            self._left = min(self._most, self._left + (now - self._at) * self.per_second)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _told(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__


def _registered(app: Celery) -> dict[str, list[str]]:
    """Names of the tasks of each worker that answers."""
    # Not one of the pool's: it is left in the middle of waiting for answers, and on Redis a process that is forked
    # later would wait for them, too, when it closes what it inherited.
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1)
        return app.control.inspect(timeout=1.0, connection=connection).registered() or {}


def _as_broker_counts(app: Celery, priority: int) -> int:
    """RabbitMQ takes the highest number first, and Redis the lowest."""
    clamped = min(max(priority, 0), _HIGHEST_PRIORITY)
    return _HIGHEST_PRIORITY - clamped if transport(app) in _REDIS else clamped


def _is_mapping_of_texts(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and all(
        isinstance(one, str) and one for pair in value.items() for one in pair
    )
