"""The scheduler: at most one message on its way to a worker, and a tick that comes back when the next run is due."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from django.db import Error as DatabaseError
from django.db import router, transaction
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

from . import bells
from .bells import Due
from .framework import backend_of, is_dummy, is_immediate
from .models import Tick

__all__ = ["DjangoTasksScheduler", "django_tasks_scheduler"]

logger = logging.getLogger("flowcontrol.django_tasks")

#: After a message could not be sent, none is tried for so long: requests should not wait for what is away.
_QUIET_SECONDS = 5.0
#: What is due for longer than this is not being seen to.
_OVERDUE_SECONDS = 60.0
#: Between two ticks, however soon the next run is due.
_SHORTEST_TICK_SECONDS = 1.0
#: After a tick, its spare one comes so much later.
_SPARE_SECONDS = 10.0
#: How often a process looks whether the tick is alive, while it has runs to tell of.
_LOOK_SECONDS = 10.0

#: By its path: it is made with the options of the scheduler. Not called tasks, which Celery imports in all apps.
_TASK = "flowcontrol_django_tasks.task"


class DjangoTasksScheduler(BaseScheduler):
    """Has the workers of the project's ``TASKS`` execute what is due, and leaves everything else to the database.

    Options:

    ``backend``
        The backend in ``settings.TASKS``.
    ``queue``
        Its queue that the messages go to.
    ``queues``
        Where the runs of a flow's queue go instead: ``{"mail": "slow"}``.
    ``priority``
        Of the messages, among the project's other tasks; needs a backend that has priorities.
    ``batch``
        How many due runs a further worker is called for.
    ``spread``
        How many further workers are called at most.
    ``slice_seconds``
        After this long a task comes to its end, so that others have their turn; another message goes on.
    ``threads``
        How many calls of external actions may overlap in a worker; 0: one after the other.
    ``tick_seconds``
        The longest time between two ticks, by which what got lost is found. Waits end when they are due.

    Raises ``ConfigurationError`` for values that cannot be used.
    """

    name: ClassVar[str] = "django_tasks"

    def __init__(
        self,
        *,
        backend: str = "default",
        queue: str = "default",
        queues: Mapping[str, str] | None = None,
        priority: int = 0,
        batch: int = 100,
        spread: int = 4,
        slice_seconds: float = 20.0,
        threads: int = 0,
        tick_seconds: float = 30.0,
    ) -> None:
        for option, value, is_right, kind in (
            ("backend", backend, _is_text(backend), "the name of a backend in settings.TASKS"),
            ("queue", queue, _is_text(queue), "the name of a queue of that backend"),
            (
                "queues",
                queues,
                _is_mapping_of_texts(queues),
                "a mapping of a flow's queue to one of the backend's",
            ),
            ("priority", priority, _is_priority(priority), "a whole number from -100 to 100"),
            ("batch", batch, is_whole(batch, 1), "a whole number, 1 or more"),
            ("spread", spread, is_whole(spread, 0), "a whole number, 0 or more"),
            ("slice_seconds", slice_seconds, is_above_0(slice_seconds), "seconds, more than 0"),
            ("threads", threads, is_whole(threads, 0), "a whole number, 0 or more"),
            ("tick_seconds", tick_seconds, is_above_0(tick_seconds), "seconds, more than 0"),
        ):
            require_option(self.name, option, value, is_right, kind)
        self.alias = backend
        self.queue = queue
        self.queues = dict(queues or {})
        self.priority = priority
        self.batch = batch
        self.spread = spread
        self.slice_seconds = float(slice_seconds)
        self.threads = threads
        self.tick_seconds = float(tick_seconds)
        self._quiet_until = 0.0
        self._look_at = 0.0

    @property
    def backend(self) -> Any:
        """The backend that messages go to. Raises ``ConfigurationError`` when there is none."""
        return backend_of(self.alias)

    @property
    def targets(self) -> set[str]:
        """All queues of the backend that messages go to."""
        return {self.queue, *self.queues.values()}

    @property
    def grace(self) -> timedelta:
        """A tick that is overdue for longer counts as lost."""
        return timedelta(seconds=max(_OVERDUE_SECONDS, 2 * self.tick_seconds))

    # -- messages ----------------------------------------------------------------------------------------------

    def runs_ready(self, run_ids: Sequence[int]) -> None:
        """Have a worker called to the queue of each of these, unless one is on its way already."""
        if not self._may_send():
            return
        for target in self._targets_of(run_ids):
            self.call(target)
        if time.monotonic() >= self._look_at:
            self.start()

    def start(self) -> None:
        """See to it that the tick is on its way. Workers are programs of their own; nothing is executed here."""
        self._look_at = time.monotonic() + _LOOK_SECONDS
        if self._may_send() and self.backend.supports_defer:
            self._send_tick(partial(bells.begin, self.grace), at_once=True)

    def call(self, target: str, number: int = 0) -> None:
        """Ring this bell: have a message on its way to this queue."""
        if not self._may_send() or not bells.ring(target, number):
            return
        if not self._send({"queue": target, "bell": number}, target):
            bells.answer(target, number)

    def follow(self, tick: int) -> bool:
        """This tick came: send the one after it; false when it is late or doubled, and another one on its way."""
        return self._send_tick(partial(bells.follow, tick, timedelta(seconds=self.tick_seconds)))

    def come_back(self) -> None:
        """Have the tick come when the next run is due, if that is sooner."""
        due_in = engine.seconds_until_due()
        if due_in is not None and due_in < self.tick_seconds and self.backend.supports_defer:
            delay = timedelta(seconds=max(due_in, _SHORTEST_TICK_SECONDS))
            self._send_tick(partial(bells.hasten, delay))

    def share(self, target: str, *, calls: bool) -> Sequence[str] | None:
        """The flows' queues whose due runs are executed by whom this queue calls; none for nothing at all.

        With ``calls``, as many workers are called as there is work for, here and to the other queues.
        """
        due = engine.count_due(self.batch * (self.spread + 1))
        if calls:
            self._call_for_help(target, due)
        if not self.queues:
            return ()
        return [queue for queue in due if self._target(queue) == target] or None

    def _call_for_help(self, mine: str, due: Mapping[str, int]) -> None:
        for target in self.targets:
            count = sum(runs for queue, runs in due.items() if self._target(queue) == target)
            wanted = min(-(-count // self.batch), self.spread + 1)
            # Whoever asks is the first one of its own queue.
            for number in range(1 if target == mine else 0, wanted):
                self.call(target, number)

    def _target(self, queue: str) -> str:
        return self.queues.get(queue, self.queue)

    def _targets_of(self, run_ids: Sequence[int]) -> set[str]:
        if not self.queues:
            return {self.queue}
        return {self._target(route.queue) for route in engine.routes(run_ids)}

    def _send_tick(self, find: Callable[[], Due | None], *, at_once: bool = False) -> bool:
        """Send the tick that this finds, and a spare one after it; whether there was one.

        A worker that is killed takes the message with it that it had just taken. The spare one has the same number, so
        that it is one too many when the first one came; and the number counts only once both were sent.
        """
        with transaction.atomic(using=router.db_for_write(Tick)):
            due = find()
            if due is None:
                return False
            later: dict[str, Any] = {} if at_once else {"run_after": due.at}
            message = {"queue": self.queue, "tick": due.number}
            spare_at = due.at + timedelta(seconds=_SPARE_SECONDS)
            is_sent = self._send(message, self.queue, **later) and self._send(
                {**message, "spare": True}, self.queue, run_after=spare_at
            )
            if not is_sent:
                transaction.set_rollback(True, using=router.db_for_write(Tick))
        return True

    def _may_send(self) -> bool:
        return time.monotonic() >= self._quiet_until

    def _send(self, arguments: Mapping[str, Any], target: str, **how: Any) -> bool:
        try:
            task = import_module(_TASK).continue_flowruns_task
            task.using(backend=self.alias, queue_name=target, priority=self.priority, **how).enqueue(
                **arguments
            )
        except Exception as error:  # noqa: BLE001  a backend is anybody's code, and a broker may be away
            self._quiet_until = time.monotonic() + _QUIET_SECONDS
            logger.warning(
                "message not sent, none is tried for %g s: %s: %s",
                _QUIET_SECONDS,
                type(error).__name__,
                error,
            )
            return False
        return True

    # -- health ------------------------------------------------------------------------------------------------

    def health(self) -> SchedulerHealth:
        """Whether the tick came lately, and nothing is due for long."""
        facts: dict[str, Any] = {"backend": self.alias, "tick_overdue_seconds": None, "overdue_seconds": 0.0}
        try:
            backend = self.backend
            tick, due_in = bells.overdue_seconds(), engine.seconds_until_due()
        except ConfigurationError as error:
            return SchedulerHealth(False, str(error), "See manage.py check.", facts)
        except DatabaseError as error:
            told = f"The database does not answer: {str(error).strip().rstrip('.')}."
            return SchedulerHealth(
                False, told, "See to the database; or has manage.py migrate to be run?", facts
            )
        facts["tick_overdue_seconds"] = tick
        facts["overdue_seconds"] = max(0.0, -due_in) if due_in is not None else 0.0
        told, hint = self._trouble(backend, tick, facts["overdue_seconds"])
        if told:
            return SchedulerHealth(False, told, hint, facts)
        return SchedulerHealth(
            True, f'Workers of the backend "{self.alias}" take what they are sent.', facts=facts
        )

    def _trouble(self, backend: Any, tick: float | None, overdue: float) -> tuple[str, str]:
        kind = type(backend).__name__
        worker = "manage.py db_worker" if kind == "DatabaseBackend" else f"see the documentation of {kind}"
        if is_dummy(backend) or is_immediate(backend):
            return f"{kind} has no workers.", "Choose another backend in settings.TASKS."
        if tick is None and backend.supports_defer:
            return (
                "No tick was ever sent.",
                "manage.py migrate sends it, and so does the first run that is started.",
            )
        if tick is not None and tick > self.grace.total_seconds():
            return f"No worker took the tick that is due for {tick:.0f} s.", f"Start a worker: {worker}"
        if overdue > _OVERDUE_SECONDS:
            return f"Runs are due for {overdue:.0f} s.", f"Start more workers: {worker}"
        return "", ""


def django_tasks_scheduler() -> DjangoTasksScheduler:
    """The one with the project's options, also while another one is in use: messages may still be on their way."""
    scheduler = get_scheduler()
    if not isinstance(scheduler, DjangoTasksScheduler):
        scheduler = make_scheduler(DjangoTasksScheduler.name)
    assert isinstance(scheduler, DjangoTasksScheduler), "no other plugin may call its scheduler so"
    return scheduler


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_priority(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -100 <= value <= 100


def _is_mapping_of_texts(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, Mapping) and all(_is_text(one) for pair in value.items() for one in pair)
