"""Rules about actions: their configuration, what they promise, and what they do when they are run."""

from __future__ import annotations

import copy
import json
import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from django import forms

from .. import conf
from ..base import BaseAction, Effect
from ..documents import validate
from ..documents.configuration import check_config, json_types, migrated
from ..exceptions import DocumentError
from ..forms import CredentialField
from ..masking import MASK
from .rules import SECRET_NAMES, NotApplicable, Subject, rule
from .rules_of_credentials import save_samples
from .running import FlowResult, crash_at, run_flow
from .watching import Interruption, keys_read, touched_by

#: Of each sample so many lines are tried for what happens when the time is up there.
_LINES = 30
#: What forms are tried with.
_ODD: Sequence[Any] = (None, "", "x", "{{", "\x00", -1, 10**30, 1.5, True, [], [None], {}, {"a": {"b": []}})
#: A value of each JSON type that fields may have.
_OTHERS: Mapping[str, Any] = {"object": {"a": 1}, "array": [1], "string": "x", "integer": 7, "boolean": True}

Samples = Iterator[tuple[str, BaseAction, dict[str, Any]]]


@rule(
    "A1",
    "Its forms explain themselves",
    why="Staff are no programmers: a field's label and help text are all they have.",
    fix="Give every field a label (in gettext_lazy) and a help_text.",
    is_must=False,
)
def explained(subject: Subject) -> Iterator[str]:
    for name, action in _actions(subject).items():
        for key, form_field in action.Config().fields.items():
            if not form_field.label:
                yield f"{name}: the field {key} has no label."
            if not form_field.help_text:
                yield f"{name}: the field {key} has no help text."


@rule(
    "A2",
    "Configurations that are right are accepted",
    why="A form that refuses what its author thinks is right has a mistake, or has no sample.",
    fix="Give samples for every action with a required field, and correct the form.",
)
def accepted(subject: Subject) -> Iterator[str]:
    for name in sorted(set(subject.samples) - set(_actions(subject))):
        yield f"There are samples of {name}, which the pack does not have."
    for name, action in _actions(subject).items():
        problems = check_config(action, {}).problems
        if problems and not subject.samples.get(name):
            yield f"{name} has no sample, and needs a configuration: {problems[0].message}"
    for name, action, config in _samples(subject):
        for problem in check_config(action, config).problems:
            yield f"{name}: {problem.path}: {problem.message} ({config})"


@rule(
    "A3",
    "Configurations that are wrong are refused, naming the field",
    why="What a form lets through fails in the middle of a run.",
    fix="Use a field that fits: IntegerField, ChoiceField, ExpressionField …",
)
def refused(subject: Subject) -> Iterator[str]:
    for name, action, config in _samples(subject):
        for key, value in _mutations(action, config):
            wrong = {**copy.deepcopy(config), key: value}
            paths = {problem.path for problem in check_config(action, wrong).problems}
            if not any(path == f"config.{key}" for path in paths):
                yield f"{name}: the field {key} takes {value!r} without a word."


def _mutations(action: BaseAction, config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "no_such_field", 1
    for key, form_field in action.Config().fields.items():
        types = json_types(form_field)
        wrong = next((value for kind, value in _OTHERS.items() if types and kind not in types), None)
        if wrong is not None:
            yield key, wrong
        if (
            form_field.required
            and form_field.initial is None
            and not isinstance(form_field, forms.BooleanField)
        ):
            yield key, None


@rule(
    "A4",
    "It says what it touches",
    why="The effect decides what a crash repeats; the default, EXTERNAL, costs a checkpoint before and after.",
    fix="Write effect = Effect.PURE, DATABASE or EXTERNAL in the class.",
)
def declared(subject: Subject) -> Iterator[str]:
    for name, action in _actions(subject).items():
        classes = type(action).__mro__[: type(action).__mro__.index(BaseAction)]
        if not any("effect" in vars(one) for one in classes):
            yield f"{name} does not say which effect it has."


@rule(
    "A5",
    "Its summary tells a configured step in words",
    why="A tree of steps is read by their summaries.",
    fix="Let summary() answer with text for every right configuration.",
)
def summed_up(subject: Subject) -> Iterator[str]:
    for name, action, config in _samples(subject):
        checked = check_config(action, config)
        if checked.problems:
            continue
        try:
            told: object = action.summary(checked.cleaned)
        except Exception as error:  # noqa: BLE001  a pack's code
            yield f"{name}: summary() raised {type(error).__name__}: {error} ({config})"
        else:
            if not isinstance(told, str):
                yield f"{name}: summary() answered {told!r}, which is no text."


@rule(
    "A6",
    "Configurations of older versions are understood",
    why="Published versions of flows keep their configurations for years.",
    fix="Give old_configs for every earlier config_version, and define migrate_config.",
)
def migrates(subject: Subject) -> Iterator[str]:
    newer = {name: one for name, one in _actions(subject).items() if one.config_version > 1}
    if not newer:
        raise NotApplicable("every configuration has its first version")
    for name, action in newer.items():
        olds = subject.old_configs.get(name, ())
        for version in range(1, action.config_version):
            if version not in {known for known, _ in olds}:
                yield f"{name}: there is no sample of version {version} of its configuration."
        for version, config in olds:
            try:
                now = migrated(action, copy.deepcopy(dict(config)), version)
            except ValueError as error:
                yield f"{name}: {error}"
                continue
            for problem in check_config(action, now).problems:
                yield f"{name}: version {version} becomes {now}, of which {problem.path}: {problem.message}"


@rule(
    "A7",
    "It runs, and what it puts into the state can be stored",
    why="A sample that its author thinks right has to come through a run.",
    fix="Read the run below; put into the state what JSON has, dates, Decimals and saved objects.",
    needs_database=True,
)
def runs(subject: Subject) -> Iterator[str]:
    for name, config in _to_be_run(subject):
        try:
            result = _run(name, config)
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
    for name, config in _to_run(subject):
        action = subject.actions[name]
        before = dict(vars(action))
        _run(name, config)
        changed = sorted(key for key, value in vars(action).items() if before.get(key, _run) is not value)
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
        (name, config) for name, config in _to_run(subject) if subject.actions[name].effect is Effect.EXTERNAL
    ]
    if not external:
        raise NotApplicable("none of its actions that are run here touches the world")
    if subject.count_effects is None:
        raise NotApplicable("nobody counts its effects: define count_effects")
    for name, config in external:
        before = subject.count_effects(name)
        with crash_at("effect.after"):
            _run(name, config)
        count = subject.count_effects(name) - before
        if count > 1:
            yield f"{name}: a crash after its effect made it happen {count} times."


@rule(
    "A10",
    "Secrets of its configuration and credentials are told to nobody",
    why="State, history, errors and logs are read by people who may not know them.",
    fix="Do not put them into the state, errors or logs; refer to them by name. The engine masks those of credentials, "
    "which a run is worse for: keep what it needs of an answer.",
    needs_database=True,
)
def secretive(subject: Subject) -> Iterator[str]:
    secret = [
        (name, config, key)
        for name, config in _to_run(subject)
        for key in subject.actions[name].Config().fields
        if any(part in key.lower() for part in SECRET_NAMES) and isinstance(config.get(key, ""), str)
    ]
    confided = [
        (name, config)
        for name, config in _to_run(subject)
        for key, one in subject.actions[name].Config().fields.items()
        if isinstance(one, CredentialField) and config.get(key)
    ]
    if not secret and not confided:
        raise NotApplicable("nothing that is run here has a field with the name of a secret, or a credential")
    for name, config, key in secret:
        canary = f"canary{secrets.token_hex(8)}"
        with _heard() as heard:
            result = _run(name, {**config, key: canary})
        summary = _summary(subject.actions[name], {**config, key: canary})
        places = {"its summary": summary, **_places(result), "the log": "\n".join(heard.lines)}
        for place, text in places.items():
            if canary in text:
                yield f"{name}: the value of {key} is found in {place}."
    for name, config in confided:
        with _heard() as heard:
            result = _run(name, config)
        for place, text in {**_places(result), "the log": "\n".join(heard.own())}.items():
            if MASK in text:
                yield f"{name}: a secret of its credential had to be masked in {place}."


def _places(result: FlowResult) -> dict[str, str]:
    """Where people read of a run."""
    return {
        "the state": str(result.state),
        "the history": str(result),
        "the reason or the traceback": result.reason + result.run.traceback,
    }


@rule(
    "A11",
    "It touches what its effect says, and nothing else",
    why="The effect decides what a crash repeats: what a PURE action writes is written twice, unseen by anybody.",
    fix="Declare Effect.DATABASE for what writes through Django, and Effect.EXTERNAL for what leaves the process.",
    needs_database=True,
)
def honest(subject: Subject) -> Iterator[str]:
    for name, config in _to_run(subject):
        action = subject.actions[name]
        with touched_by(action) as touches:
            _run(name, config)
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
    for name, config in _to_run(subject):
        for number in range(1, _LINES + 1):
            interruption = Interruption(subject.actions[name], number)
            with interruption.armed():
                _run(name, config)
            if interruption.is_swallowed:
                yield f"{name} went on although its time was up in {interruption.where}."
                break
            if not interruption.where:
                break


def _summary(action: BaseAction, config: dict[str, Any]) -> str:
    """Empty when it raises, about which there is a rule of its own."""
    try:
        return str(action.summary(check_config(action, config).cleaned))
    except Exception:  # noqa: BLE001  a pack's code
        return ""


@rule(
    "A13",
    "The defaults of its fields are right",
    why="A step whose author changed nothing has them; what is stored of a step is JSON.",
    fix="Give the field an initial value that it accepts itself, of a type that JSON has.",
)
def right_by_default(subject: Subject) -> Iterator[str]:
    for name, action, config in _samples(subject):
        form = action.Config(config)
        for key, form_field in form.fields.items():
            initial = form.get_initial_for_field(form_field, key)
            if initial is None:
                continue
            try:
                json.dumps(initial)
            except (TypeError, ValueError) as error:
                yield f"{name}: the default of {key} is {initial!r}, which JSON does not have: {error}."
                continue
            for problem in check_config(action, {**config, key: initial}).problems:
                if problem.path.startswith(f"config.{key}"):
                    yield f"{name}: the field {key} refuses its own default {initial!r}: {problem.message}"


@rule(
    "A14",
    "Its forms answer, whatever they are given",
    why="Documents come from files and other systems; an exception names no field and no way out.",
    fix="Raise ValidationError in clean methods, and expect that another field was refused and has no value.",
)
def answering(subject: Subject) -> Iterator[str]:
    for name, action, config in _samples(subject):
        for key in action.Config().fields:
            for value in _ODD:
                raised = [
                    problem.message
                    for problem in check_config(action, {**config, key: value}).problems
                    if problem.path == "config" and "cannot read this" in problem.message
                ]
                if raised:
                    yield f"{name}: with {value!r} as {key}: {raised[0]}"
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
        for name, config in _to_run(subject)
        if subject.actions[name].effect is Effect.EXTERNAL and name not in subject.repeatable
    ]
    if not external:
        raise NotApplicable("none of its actions that are run here touches the world, or may do so but once")
    asks = dict.fromkeys((name for name, _ in external), False)
    for name, config in external:
        with keys_read() as read:
            _run(name, config)
        asks[name] = asks[name] or bool(read)
    yield from (f"{name} never asks for its idempotency key." for name, does in asks.items() if not does)


class _heard(logging.Handler):  # noqa: N801  reads as a context manager
    """Everything that is logged meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.loggers: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {vars(record)}")
        self.loggers.append(record.name)

    def own(self) -> list[str]:
        """What actions logged, and not what a library did, which is masked as well and no fault of theirs."""
        return [
            line
            for line, name in zip(self.lines, self.loggers, strict=True)
            if name.startswith("flowcontrol") and name != "flowcontrol.engine"
        ]

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


def _actions(subject: Subject) -> dict[str, BaseAction]:
    actions = subject.actions
    if not actions:
        raise NotApplicable("the pack has no actions that can be imported")
    return actions


def _samples(subject: Subject) -> Samples:
    """Of each action its samples, and the empty configuration of one that needs none."""
    for name, action in _actions(subject).items():
        samples = subject.samples.get(name)
        if samples is None:
            samples = [] if check_config(action, {}).problems else [{}]
        for sample in samples:
            yield name, action, copy.deepcopy(dict(sample))


def _to_run(subject: Subject) -> list[tuple[str, dict[str, Any]]]:
    """Of those below the ones that make a flow; about the others there is a rule of its own."""
    found = [
        (name, config)
        for name, config in _to_be_run(subject)
        if not any(problem.level == "error" for problem in validate(_flow_of(name, config)))
    ]
    if not found:
        raise NotApplicable("no sample makes a flow, see A7")
    return found


def _to_be_run(subject: Subject) -> list[tuple[str, dict[str, Any]]]:
    found = [
        (name, config)
        for name, action, config in _samples(subject)
        if name not in subject.not_run and not check_config(action, config).problems
    ]
    save_samples(subject)
    if subject.prepare is not None:
        subject.prepare()
    if not found:
        reasons = "; ".join(f"{name}: {why}" for name, why in subject.not_run.items())
        raise NotApplicable(f"nothing of it is run here ({reasons or 'there are no samples'})")
    return found


def _flow_of(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"flowcontrol": 1, "slug": "it", "name": "It", "steps": [_step(name, config)]}


def _step(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "it", "action": name, "config": dict(config)}


def _run(name: str, config: Mapping[str, Any]) -> FlowResult:
    return run_flow(_step(name, config), status=None)
