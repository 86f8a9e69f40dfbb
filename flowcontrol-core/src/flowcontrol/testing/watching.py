"""Watching actions while they are called: what they touch, and whether they let a time limit end them."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any
from unittest import mock

from django.db import connections

from ..base import BaseAction
from ..engine.claims import database
from ..engine.context import StepContext
from ..engine.timelimit import StepTimeout

__all__ = ["Interruption", "keys_read", "touched_by"]

_METHODS = ("run", "after_branch", "after_wait", "after_failure")
#: Events of ``sys.addaudithook`` by which something leaves this process.
_WORLD = {
    "socket.connect": "connects to",
    "subprocess.Popen": "starts the process",
    "os.system": "starts the process",
}
_READING = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK")

_watchers: list[Callable[[str, tuple[Any, ...]], None]] = []
_hooks: list[object] = []


@contextmanager
def touched_by(action: BaseAction) -> Iterator[list[str]]:
    """Lists what the action does, while one of its methods is called, beside computing: ``connects to …``."""
    touches: list[str] = []
    calls = 0

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            try:
                return method(*arguments)
            finally:
                calls -= 1

        return call

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if calls:
            what = arguments[-1] if event == "socket.connect" else arguments[0]
            touches.append(f"{_WORLD[event]} {what!r}")

    def execute(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if calls and not sql.lstrip(" (").upper().startswith(_READING):
            touches.append(f"writes to the database: {sql[:60]}")
        return run(sql, params, many, context)

    if not _hooks:
        # One for the life of the process, which is what an audit hook has.
        sys.addaudithook(_audit)
        _hooks.append(_audit)
    with ExitStack() as stack:
        for name in _METHODS:
            stack.enter_context(mock.patch.object(action, name, counted(getattr(action, name))))
        stack.enter_context(connections[database()].execute_wrapper(execute))
        _watchers.append(hear)
        stack.callback(_watchers.remove, hear)
        yield touches


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _WORLD:
        for watcher in [*_watchers]:
            watcher(event, arguments)


@contextmanager
def keys_read() -> Iterator[list[str]]:
    """Lists the idempotency keys for which actions ask meanwhile."""
    read: list[str] = []
    tell: Callable[[StepContext], str] = vars(StepContext)["idempotency_key"].fget

    def ask(context: StepContext) -> str:
        read.append(tell(context))
        return read[-1]

    with mock.patch.object(StepContext, "idempotency_key", property(ask)):
        yield read


class Interruption:
    """Raises ``StepTimeout``, as a time limit does, in the ``number``-th line that an action's own code executes."""

    def __init__(self, action: BaseAction, number: int) -> None:
        self.action = action
        self.number = number
        self._package = type(action).__module__.partition(".")[0]
        self._lines = 0
        #: File, line and code where it was raised; empty when there are fewer lines.
        self.where = ""
        #: Whether the action went on and answered as if nothing had been.
        self.is_swallowed = False

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Inside, calls of the action's ``run`` are interrupted, once."""
        with mock.patch.object(self.action, "run", self._interrupted(self.action.run)):
            yield

    def _interrupted(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def call(context: Any) -> Any:
            before = sys.gettrace()
            sys.settrace(self._trace)
            try:
                decision = run(context)
            finally:
                sys.settrace(before)
            self.is_swallowed = bool(self.where)
            return decision

        return call

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] != self._package:
            return None
        if event == "line" and not self.where:
            self._lines += 1
            if self._lines == self.number:
                at = traceback.extract_stack(frame, 1)[0]
                self.where = f"{at.filename.rpartition('/')[2]}:{at.lineno} ({(at.line or '').strip()})"
                raise StepTimeout
        return self._trace
