"""Actions of the fault tests: one that writes here, one that calls the world, one that fires, and poison."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from typing import Any

from django import forms
from django.db import IntegrityError, connection, transaction
from flowcontrol.base import ActionContext, ActionForm, BaseAction, Effect
from flowcontrol.engine import fire_trigger, start_flow

from . import outside
from .models import Audit

__all__ = ["ALL", "Write"]


def count(context: ActionContext) -> None:
    """The state tells how many steps it has seen, and whether one was seen twice."""
    context.state["n"] = context.state.get("n", 0) + 1
    context.state["last"] = context.step_id


class Write(BaseAction):
    """One row in the same database."""

    name = "faults.write"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> None:
        Audit.objects.create(run=context.run_id, step=context.step_id, key=context.idempotency_key)
        count(context)


class Note(BaseAction):
    """One row with what an event brought."""

    name = "faults.note"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> None:
        note = str(context.state.get("ping", {}).get("n", ""))
        Audit.objects.create(run=context.run_id, step=context.step_id, key=context.idempotency_key, note=note)


class Call(BaseAction):
    """One call of the outside world."""

    name = "faults.call"
    effect = Effect.EXTERNAL

    class Config(ActionForm):
        seconds = forms.FloatField(required=False)

    def run(self, context: ActionContext) -> None:
        seconds = context.config["seconds"] or 0.0
        key = context.idempotency_key
        outside.receive(context.run_id, context.step_id, key, context.attempt, seconds)
        count(context)


class Fire(BaseAction):
    """Fires the trigger about the run's object: flows that listen start, and the run itself finds it later."""

    name = "faults.fire"
    effect = Effect.DATABASE

    def run(self, context: ActionContext) -> None:
        fire_trigger("faults.ping", context.object, {"from": context.run_id})


class StartSelf(BaseAction):
    """Starts its own flow again."""

    name = "faults.start_self"
    effect = Effect.DATABASE

    class Config(ActionForm):
        flow = forms.CharField()

    def run(self, context: ActionContext) -> None:
        start_flow(context.config["flow"])


class Grow(BaseAction):
    """Puts a text of so many bytes into the state."""

    name = "faults.grow"
    effect = Effect.PURE

    class Config(ActionForm):
        size = forms.IntegerField()

    def run(self, context: ActionContext) -> None:
        context.state["text"] = "x" * context.config["size"]


class Poison(BaseAction):
    """Does what an action must never do."""

    name = "faults.poison"
    effect = Effect.EXTERNAL

    class Config(ActionForm):
        kind = forms.CharField()

    def run(self, context: ActionContext) -> None:
        outside.receive(context.run_id, context.step_id, context.idempotency_key, context.attempt)
        getattr(self, context.config["kind"])(context)

    def crash(self, context: ActionContext) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def hang(self, context: ActionContext) -> None:
        time.sleep(3_600)

    def memory(self, context: ActionContext) -> None:
        # As a container's limit would, and without taking the machine along.
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, hard))
        try:
            context.state["length"] = len(bytearray(2_000_000_000))
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def recursion(self, context: ActionContext) -> None:
        self.recursion(context)

    def leave(self, context: ActionContext) -> None:
        sys.exit(1)

    def broken_transaction(self, context: ActionContext) -> None:
        with transaction.atomic():
            # The error is swallowed inside the block: what follows is refused by the database.
            with contextlib.suppress(IntegrityError):
                Audit(run=None, step="", key="").save(force_insert=True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")

    def nul(self, context: ActionContext) -> None:
        self._raw(context, "a\x00b")

    def surrogate(self, context: ActionContext) -> None:
        self._raw(context, "\ud800")

    def nan(self, context: ActionContext) -> None:
        self._raw(context, float("nan"))

    def cycle(self, context: ActionContext) -> None:
        ring: list[Any] = []
        ring.append(ring)
        self._raw(context, ring)

    def deep(self, context: ActionContext) -> None:
        value: Any = 1
        for _ in range(10_000):
            value = [value]
        self._raw(context, value)

    def _raw(self, context: ActionContext, value: Any) -> None:
        context.state["poison"] = value


KINDS = (
    "crash", "hang", "memory", "recursion", "leave", "broken_transaction", "nul", "surrogate", "nan", "cycle", "deep",
)  # fmt: skip
ALL = (Write, Note, Call, Fire, StartSelf, Grow, Poison)
