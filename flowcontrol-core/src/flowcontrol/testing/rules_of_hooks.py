"""Rules about what the pack declares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import import_module

from django.apps import apps

from .. import API_VERSION, registry
from ..documents import parse_yaml, validate
from ..exceptions import CredentialKindMissing, DocumentError
from ..expressions.filters import find_filter
from ..models import Credential, FlowRun, Trigger
from ..plugins.report import Problem
from ..registry import MissingAction
from .examples import actions_in, flows_in, readme
from .rules import NotApplicable, Subject, rule


@rule(
    "H1",
    "Every function flowcontrol_… carries the marker",
    why="Without @hookimpl nobody calls it, and nobody says so.",
    fix="Write @hookimpl above it, or call it something else.",
)
def marked(subject: Subject) -> Iterator[str]:
    yield from (text for text in _warnings(subject) if "has no @hookimpl" in text)


@rule(
    "H2",
    "It implements no hook that does not exist",
    why="A hook that is misspelt is never called.",
    fix="Correct the name; write @hookimpl(optionalhook=True) for a hook of a later version.",
)
def known(subject: Subject) -> Iterator[str]:
    yield from (text for text in _warnings(subject) if "implements a hook that does not exist" in text)


@rule(
    "H3",
    "What it declares can be imported",
    why="Declarations are text; a path that leads nowhere shows when the first run gets there.",
    fix="Correct the path: package.module:Class.",
)
def resolved(subject: Subject) -> Iterator[str]:
    report = subject.report
    for name in report.actions if report else ():
        action = registry.actions.resolve(name)
        if isinstance(action, MissingAction):
            yield action.reason
    for name in report.filters if report else ():
        try:
            found = find_filter(name)
            assert found is not None, "the report says that it is registered"
            found.function  # noqa: B018  imports it
        except Exception as error:  # noqa: BLE001  a pack's code
            yield f'The filter "{name}" cannot be imported: {type(error).__name__}: {error}'
    for name in report.schedulers if report else ():
        try:
            registry.schedulers.load(name)
        except Exception as error:  # noqa: BLE001  a pack's code
            yield f'The scheduler "{name}" cannot be imported: {type(error).__name__}: {error}'
    for name in report.credential_kinds if report else ():
        try:
            registry.credential_kinds.load(name)
        except CredentialKindMissing as error:
            yield str(error)
    if report and report.urls:
        try:
            import_module(report.urls)
        except Exception as error:  # noqa: BLE001  a pack's code
            yield f"Its URLs cannot be imported: {type(error).__name__}: {error}"


@rule(
    "H4",
    "It is in use when it is on the list",
    why="A pack that raises at start-up, or wants a name that is taken, is quarantined as a whole.",
    fix="manage.py flowcontrol plugins --traceback shows where.",
)
def active(subject: Subject) -> Iterator[str]:
    report = subject.report
    if report is None:
        yield f'No plugin "{subject.name}" was loaded.'
    elif not report.is_active and report.problem is not Problem.API and report.phase not in ("name", "api"):
        yield report.reason or f"It is {report.state}."


@rule(
    "H5",
    "It asks for a version of the plugin API that this core has",
    why="Too new a one is quarantined; the oldest that suffices serves the most projects.",
    fix=f'Return PluginInfo(api="{API_VERSION}"), or the version that you tested with.',
)
def api(subject: Subject) -> Iterator[str]:
    report = subject.report
    if report is not None and (report.problem is Problem.API or report.phase == "api"):
        yield report.reason


@rule(
    "H6",
    "It tells people what it is",
    why="Staff choose from a list of labels, and read the description first.",
    fix="Give PluginInfo a label and a description, and every action a docstring or description.",
    is_must=False,
)
def told(subject: Subject) -> Iterator[str]:
    report = subject.report
    if report is None or not report.is_active:
        raise NotApplicable("it is not in use, see H4")
    if not report.label:
        yield "PluginInfo has no label."
    if not report.description:
        yield "PluginInfo has no description."
    for name, action in subject.actions.items():
        if not (action.description or type(action).__doc__):
            yield f"{name} has neither a description nor a docstring."


@rule(
    "H7",
    "It declares each name once",
    why="Of two declarations of one name nobody knows which counts, the next reader of the code least of all.",
    fix="Delete one of them.",
)
def once(subject: Subject) -> Iterator[str]:
    for kind in ("actions", "triggers", "filters", "schedulers"):
        declared = Counter(getattr(subject.report, kind, ()))
        yield from (f"{name} is declared {count} times." for name, count in declared.items() if count > 1)


@rule(
    "H8",
    "Its README shows a flow with one of its actions, and the flow is right",
    why="An example is what people copy first; one that nothing reads is wrong after the next change.",
    fix="Put a whole flow (flowcontrol: 1 …) into the README that pyproject.toml names.",
    is_must=False,
    needs_database=True,
)
def shown(subject: Subject) -> Iterator[str]:
    if not subject.actions:
        raise NotApplicable("it brings no actions")
    found = False
    for text in flows_in(readme(subject)):
        try:
            documents = parse_yaml(text)
        except DocumentError as error:
            yield f"A flow in its README cannot be read: {error}"
            continue
        for document in documents:
            found = found or not subject.actions.keys().isdisjoint(actions_in(document))
            yield from (
                f"A flow in its README: {problem.path}: {problem.message}"
                for problem in validate(document)
                # What it is about, and what starts it, are things of the reader's project.
                if problem.level == "error"
                and problem.path.startswith(("steps", "flowcontrol", "slug", "name"))
            )
    if not found:
        yield "No flow in its README has one of its actions."


@rule(
    "T1",
    "The models of its trigger types exist",
    why="A trigger about objects of a model that is not there can never fire.",
    fix='Write the model as "app.model", and say which app it needs (PackConfig.requires_apps).',
)
def triggers(subject: Subject) -> Iterator[str]:
    names = subject.report.triggers if subject.report else ()
    if not names:
        raise NotApplicable("the pack has no triggers")
    for name in names:
        spec = registry.triggers.get(name)
        if spec is not None and spec.model:
            try:
                apps.get_model(spec.model)
            except LookupError:
                yield f"{name} is about {spec.model}, which no installed app has."


@rule(
    "T2",
    "Its names fit where they are kept",
    why="The database refuses a longer one, in the middle of a run or of whoever fires the trigger.",
    fix="Choose a shorter name.",
)
def short_enough(subject: Subject) -> Iterator[str]:
    columns = {
        "triggers": Trigger._meta.get_field("on"),
        "actions": FlowRun._meta.get_field("needs"),
        "credential_kinds": Credential._meta.get_field("kind"),
    }
    for kind, column in columns.items():
        longest = column.max_length
        assert longest is not None, "all are CharFields"
        for name in getattr(subject.report, kind, ()):
            if len(name) > longest:
                yield f"{name[:40]}… has {len(name)} characters; {longest} are kept."


def _warnings(subject: Subject) -> tuple[str, ...]:
    return subject.report.warnings if subject.report else ()
