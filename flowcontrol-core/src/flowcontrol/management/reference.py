"""The reference of plugins, in Markdown: made from what they declare and from the forms of their actions."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django import forms

from .. import registry
from ..base import BaseAction
from ..exceptions import CredentialKindMissing
from ..expressions.filters import find_filter
from ..plugins import PluginReport
from ..registry import ActionSpec, CredentialKindSpec, MissingAction, import_path

__all__ = ["action_lines", "action_table", "described", "kind_lines", "markdown_table", "plugin_lines"]

#: What the promise of each effect means for whoever uses the action.
EFFECTS: Mapping[str, str] = {
    "pure": "`PURE`: changes only state and position; after a crash repeated with the same result, unseen",
    "database": "`DATABASE`: written in one transaction with the run's checkpoint; happens exactly once",
    "external": "`EXTERNAL`: touches the world; after a crash at least once, with the same idempotency key",
}

#: In words, unless the field says it itself in ``takes``; the first class that fits counts.
KINDS: Sequence[tuple[type[forms.Field], str]] = (
    (forms.NullBooleanField, "`true`, `false` or nothing"),
    (forms.BooleanField, "`true` or `false`"),
    (forms.DecimalField, "number"),
    (forms.FloatField, "number"),
    (forms.IntegerField, "whole number"),
    (forms.DateTimeField, "date and time"),
    (forms.DateField, "date"),
    (forms.TimeField, "time of day, `18:00`"),
    (forms.DurationField, "length of time"),
    (forms.EmailField, "e-mail address"),
    (forms.URLField, "URL"),
    (forms.UUIDField, "UUID"),
    (forms.SlugField, "letters, digits, `-` and `_`"),
    (forms.JSONField, "any JSON"),
    (forms.MultipleChoiceField, "list of some of a list"),
    (forms.ChoiceField, "one of a list"),
    (forms.CharField, "text"),
)


def plugin_lines(report: PluginReport) -> Iterator[str]:
    """All about a plugin that its users need: how to get it, and what it brings."""
    yield f"# {report.label or report.name}"
    if report.description:
        yield from ("", report.description)
    if report.distribution:
        yield from ("", f"`pip install {report.distribution}` (this is version {report.version})")
    if report.app:
        yield from (
            "",
            f"It has an app, `{report.app}`: `plugin_apps` finds it, and `manage.py migrate` makes tables.",
        )
    for part in (_actions, _triggers, _filters, _schedulers, _credential_kinds, _pages):
        lines = list(part(report))
        if lines:
            yield from ("", *lines)


def _actions(report: PluginReport) -> Iterator[str]:
    specs = [spec for spec in map(registry.actions.get_spec, report.actions) if spec]
    if specs:
        yield from ("## Actions", "", *action_table(specs))
    for spec in specs:
        yield from ("", f"### {spec.name}", "", f"**{spec.label}.** {described(spec)}".rstrip(), "")
        yield from action_lines(spec)


def action_table(specs: Iterable[ActionSpec]) -> Iterator[str]:
    """What there is, at a glance, with links to headings that are the actions' names."""
    return markdown_table(
        ["action", "label", "does"],
        ([f"[`{one.name}`](#{one.name.replace('.', '')})", one.label, described(one)] for one in specs),
    )


def described(spec: ActionSpec) -> str:
    """What the action does, in the words of its declaration or of its class; or else of the class's docstring."""
    action = registry.actions.resolve(spec.name)
    if isinstance(action, MissingAction):
        return str(spec.description)
    written = spec.description or action.description
    return str(
        written or (inspect.cleandoc(type(action).__doc__ or "").partition("\n\n")[0].replace("\n", " "))
    )


def action_lines(spec: ActionSpec) -> Iterator[str]:
    """Effect, branches and configuration of an action; why it cannot be used when that is so."""
    action = registry.actions.resolve(spec.name)
    if isinstance(action, MissingAction):
        yield f"It cannot be used: {action.reason} {action.hint}".rstrip()
        return
    yield f"Effect: {EFFECTS[action.effect.value]}."
    yield f"Branches: {', '.join(f'`{name}`' for name in action.branches) or 'none'}."
    yield from ("", *_configuration(action))


def _configuration(action: BaseAction) -> Iterator[str]:
    fields = action.Config.base_fields
    if not fields:
        yield "There is nothing to configure."
        return
    yield from markdown_table(
        ["key", "takes", "default", "meaning"], (_field(name, field) for name, field in fields.items())
    )


def _field(name: str, field: forms.Field) -> list[str]:
    return [f"`{name}`", _takes(field), _default(field), str(field.help_text or field.label or "")]


def _takes(field: forms.Field) -> str:
    said = getattr(field, "takes", "")
    if said:
        return str(said)
    kind = next((words for field_class, words in KINDS if isinstance(field, field_class)), "anything")
    if isinstance(field, forms.ChoiceField) and kind == "one of a list":
        choices: Any = field.choices
        return ", ".join(f"`{value}`" for value, _label in choices)
    return kind


def _default(field: forms.Field) -> str:
    if field.required:
        return "required"
    initial = field.initial() if callable(field.initial) else field.initial
    if initial is None:
        return "`false`" if isinstance(field, forms.BooleanField) else "-"
    return f"`{str(initial).lower() if isinstance(initial, bool) else initial}`"


def _triggers(report: PluginReport) -> Iterator[str]:
    specs = [spec for spec in map(registry.triggers.get_spec, report.triggers) if spec]
    if specs:
        yield from ("## Triggers", "", "To stand under `triggers:` of a flow, as `{on: NAME}`.", "")
        rows = (
            [f"`{one.name}`", one.label, one.model and f"`{one.model}`", one.description] for one in specs
        )
        yield from markdown_table(["trigger", "label", "about", "when"], rows)


def _filters(report: PluginReport) -> Iterator[str]:
    if report.filters:
        yield from ("## Filters", "", "For expressions: `value|NAME`, or `value|NAME:argument`.", "")
        yield from markdown_table(
            ["filter", "does"], ([f"`{name}`", _said_of(name)] for name in report.filters)
        )


def _said_of(name: str) -> str:
    """The first line of the docstring of a filter; "" without one."""
    found = find_filter(name)
    assert found is not None, "the plugin that declares it is loaded"
    function = import_path(found.path) if isinstance(found.path, str) else found.path
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _schedulers(report: PluginReport) -> Iterator[str]:
    specs = [spec for spec in map(registry.schedulers.get_spec, report.schedulers) if spec]
    if specs:
        yield from ("## Schedulers", "", 'To be named in `FLOWCONTROL["SCHEDULER"]`.', "")
        yield from markdown_table(["scheduler", "label"], ([f"`{one.name}`", one.label] for one in specs))


def _credential_kinds(report: PluginReport) -> Iterator[str]:
    specs = [spec for spec in map(registry.credential_kinds.get_spec, report.credential_kinds) if spec]
    if specs:
        yield from (
            "## Kinds of credentials",
            "",
            "To be added in the admin; steps refer to them by their names.",
        )
    for spec in specs:
        yield from ("", f"### {spec.name}", "", *kind_lines(spec))


def kind_lines(spec: CredentialKindSpec) -> Iterator[str]:
    """What a kind of credential is, and its fields; why it cannot be used when that is so."""
    try:
        kind = registry.credential_kinds.load(spec.name)
    except CredentialKindMissing as error:
        yield str(error)
        return
    yield f"**{spec.label}.** {kind.description}".rstrip()
    if not kind.has_hosts:
        yield "It is sent nowhere, so it has no hosts."
    yield ""
    yield from markdown_table(
        ["field", "takes", "default", "meaning"],
        (_field(name, field) for name, field in kind.Form.base_fields.items()),
    )


def _pages(report: PluginReport) -> Iterator[str]:
    if report.urls:
        yield from ("## Pages", "")
        yield f"Below `packs/{report.name}/` of where the project includes `flowcontrol.urls`, named"
        yield f"`flowcontrol:{report.name}:…`."


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")
