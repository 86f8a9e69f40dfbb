"""Rules about what actions do when they are run."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from typing import Any, Self

from .. import conf
from ..base import BaseAction, Effect
from ..documents.configuration import check_config
from ..exceptions import DocumentError
from .rules import NotApplicable, Subject, rule
from .running import crash_at
from .samples import run_sample, to_run
from .watching import Interruption, keys_read, touched_by

#: Parts of field names whose values nobody may find anywhere.
_SECRET = ("password", "secret", "token", "api_key", "private_key")
#: Of each sample so many lines are tried for what happens when the time is up there.
_LINES = 30
_MISSING = object()


@rule(
    "A7",
    "It runs, and what it puts into the state can be stored",
    why="A sample that its author thinks right has to come through a run.",
    fix="Read the run below; put into the state what JSON has, dates, Decimals and saved objects.",
    needs_database=True,
)
def runs(subject: Subject) -> Iterator[str]:
    for name, config in to_run(subject):
        try:
            result = run_sample(name, config)
        except DocumentError as error:
            yield f"{name}: its sample {config} makes no flow: {error}"
            continue
        if result.status in ("failed", "discarded", "blocked"):
            yield f"{name}: its sample {config} ends as {result.status}.\n{result}"
        elif len(result.run.state_json) > conf.get("STATE_WARN_BYTES"):
            yield f"{name}: its sample makes a state of {len(result.run.state_json)} bytes."


@rule(
    "A8",
    "It keeps nothing on itself",
    why="One instance serves all steps of all runs, in several threads at once.",
    fix="Keep what a step remembers in context.locals, and what the run remembers in context.state.",
    needs_database=True,
)
def stateless(subject: Subject) -> Iterator[str]:
    for name, config in to_run(subject):
        action = subject.actions[name]
        before = dict(vars(action))
        run_sample(name, config)
        changed = sorted(key for key, value in vars(action).items() if before.get(key, _MISSING) is not value)
        if changed:
            yield f"{name}: a run changed {', '.join(changed)} of the action."


@rule(
    "A9",
    "After a crash it is asked again under the same idempotency key, and repeats no effect",
    why="An EXTERNAL action is called at least once: only the key lets the outside world tell a repetition.",
    fix="Send context.idempotency_key along, or look whether it was done; count_effects lets the kit see.",
    needs_database=True,
)
def repeats(subject: Subject) -> Iterator[str]:
    external = [
        (name, config) for name, config in to_run(subject) if subject.actions[name].effect is Effect.EXTERNAL
    ]
    if not external:
        raise NotApplicable("none of its actions that are run here touches the world")
    if subject.count_effects is None:
        raise NotApplicable("nobody counts its effects: define count_effects")
    for name, config in external:
        before = subject.count_effects(name)
        with crash_at("effect.after"):
            run_sample(name, config)
        count = subject.count_effects(name) - before
        if count > 1:
            yield f"{name}: a crash after its effect made it happen {count} times."


@rule(
    "A10",
    "Secrets in its configuration are told to nobody",
    why="State, history, errors and logs are read by people who may not know them.",
    fix="Do not put them into the state, errors or logs; refer to them by name.",
    needs_database=True,
)
def secretive(subject: Subject) -> Iterator[str]:
    secret = [
        (name, config, key)
        for name, config in to_run(subject)
        for key in subject.actions[name].Config().fields
        if any(part in key.lower() for part in _SECRET) and isinstance(config.get(key, ""), str)
    ]
    if not secret:
        raise NotApplicable("no field of the actions that are run here has the name of a secret")
    for name, config, key in secret:
        canary = f"canary{secrets.token_hex(8)}"
        with _heard() as heard:
            result = run_sample(name, {**config, key: canary})
        places = {
            "its summary": _summary(subject.actions[name], {**config, key: canary}),
            "the state": result.run.state_json,
            "the history": str(result),
            "the reason or the traceback": result.reason + result.run.traceback,
            "the log": "\n".join(heard.lines),
        }
        for place, text in places.items():
            if canary in text:
                yield f"{name}: the value of {key} is found in {place}."


@rule(
    "A11",
    "It touches what its effect says, and nothing else",
    why="The effect decides what a crash repeats: what a PURE action writes is written twice, unseen by anybody.",
    fix="Declare Effect.DATABASE for what writes through Django, and Effect.EXTERNAL for what leaves the process.",
    needs_database=True,
)
def honest(subject: Subject) -> Iterator[str]:
    for name, config in to_run(subject):
        action = subject.actions[name]
        with touched_by(action) as touches:
            run_sample(name, config)
        if action.effect is Effect.DATABASE:
            touches = [touch for touch in touches if not touch.startswith("writes")]
        if action.effect is not Effect.EXTERNAL and touches:
            yield f"{name} is declared {action.effect.name}, and {touches[0]}."


@rule(
    "A12",
    "A time limit ends it",
    why="The limit of a step is raised inside the action, as StepTimeout; who catches it holds up a worker.",
    fix="Catch the exceptions that you expect, not Exception; raise what you cannot deal with again.",
    needs_database=True,
)
def ends(subject: Subject) -> Iterator[str]:
    for name, config in to_run(subject):
        for number in range(1, _LINES + 1):
            interruption = Interruption(subject.actions[name], number)
            with interruption.armed():
                run_sample(name, config)
            if interruption.is_swallowed:
                yield f"{name} went on although its time was up in {interruption.where}."
                break
            if not interruption.where:
                break


@rule(
    "A15",
    "An action that touches the world sends its idempotency key along",
    why="Between the call and its checkpoint a worker can die: then it is called again, and only the key tells.",
    fix="Send context.idempotency_key, or look by it whether it was done; name in repeatable what does no harm twice.",
    is_must=False,
    needs_database=True,
)
def keyed(subject: Subject) -> Iterator[str]:
    if subject.count_effects is not None:
        raise NotApplicable("its effects are counted, see A9")
    external = [
        (name, config)
        for name, config in to_run(subject)
        if subject.actions[name].effect is Effect.EXTERNAL and name not in subject.repeatable
    ]
    if not external:
        raise NotApplicable("none of its actions that are run here touches the world, or may do so but once")
    asks = dict.fromkeys((name for name, _ in external), False)
    for name, config in external:
        with keys_read() as read:
            run_sample(name, config)
        asks[name] = asks[name] or bool(read)
    yield from (f"{name} never asks for its idempotency key." for name, does in asks.items() if not does)


def _summary(action: BaseAction, config: dict[str, Any]) -> str:
    """Empty when it raises, about which there is a rule of its own."""
    try:
        return str(action.summary(check_config(action, config).cleaned))
    except Exception:  # noqa: BLE001  a pack's code
        return ""


class _heard(logging.Handler):  # noqa: N801  reads as a context manager
    """Everything that is logged meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {vars(record)}")

    def __enter__(self) -> Self:
        root = logging.getLogger()
        self.level_before = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self.level_before)
