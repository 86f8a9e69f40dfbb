"""Rules about actions as they are: their forms, and what they say of themselves."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms

from ..base import BaseAction
from ..documents.configuration import check_config, json_types, migrated
from .rules import NotApplicable, Subject, rule
from .samples import actions_of, samples_of

#: What forms are tried with.
_ODD: Sequence[Any] = (None, "", "x", "{{", "\x00", -1, 10**30, 1.5, True, [], [None], {}, {"a": {"b": []}})
#: A value of each JSON type that fields may have.
_OTHERS: Mapping[str, Any] = {"object": {"a": 1}, "array": [1], "string": "x", "integer": 7, "boolean": True}


@rule(
    "A1",
    "Its forms explain themselves",
    why="Staff are no programmers: a field's label and help text are all they have.",
    fix="Give every field a label (in gettext_lazy) and a help_text.",
    is_must=False,
)
def explained(subject: Subject) -> Iterator[str]:
    for name, action in actions_of(subject).items():
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
    for name in sorted(set(subject.samples) - set(actions_of(subject))):
        yield f"There are samples of {name}, which the pack does not have."
    for name, action in actions_of(subject).items():
        problems = check_config(action, {}).problems
        if problems and not subject.samples.get(name):
            yield f"{name} has no sample, and needs a configuration: {problems[0].message}"
    for name, action, config in samples_of(subject):
        for problem in check_config(action, config).problems:
            yield f"{name}: {problem.path}: {problem.message} ({config})"


@rule(
    "A3",
    "Configurations that are wrong are refused, naming the field",
    why="What a form lets through fails in the middle of a run.",
    fix="Use a field that fits: IntegerField, ChoiceField, ExpressionField …",
)
def refused(subject: Subject) -> Iterator[str]:
    for name, action, config in samples_of(subject):
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
    for name, action in actions_of(subject).items():
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
    for name, action, config in samples_of(subject):
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
    newer = {name: one for name, one in actions_of(subject).items() if one.config_version > 1}
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
    "A13",
    "The defaults of its fields are right",
    why="A step whose author changed nothing has them; what is stored of a step is JSON.",
    fix="Give the field an initial value that it accepts itself, of a type that JSON has.",
)
def right_by_default(subject: Subject) -> Iterator[str]:
    for name, action, config in samples_of(subject):
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
    for name, action, config in samples_of(subject):
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
