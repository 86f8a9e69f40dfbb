"""Writes the pages that are made from the code: ``python3 dev.py docs``

With ``--check`` nothing is written, and the exit code is 1 when a page is out of date. A test holds the same.
"""  # noqa: INP001  # a script beside its pages, and no package

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management.base import CommandParser
from flowcontrol import conf
from flowcontrol.management.command_line import SUBCOMMANDS, Subcommand
from flowcontrol.management.reference import action_lines, action_table, kind_lines, markdown_table
from flowcontrol.plugins import plugin_apps

HERE = Path(__file__).resolve().parent
MADE = "<!-- Made by docs/generate.py. Change what it reads, or that file, and run: python3 dev.py docs -->"

#: What packs may import, with what it is for. A module of the core that is not here is the core's own.
FOR_PACKS = {
    "flowcontrol.base": "Write actions.",
    "flowcontrol.forms": "Fields for their configuration.",
    "flowcontrol.credentials": "Kinds of credentials, and their use.",
    "flowcontrol.hookspecs": "Declare what a pack brings.",
    "flowcontrol.registry": "The declarations, and registering from a project's own app.",
    "flowcontrol.engine": "Start flows, fire triggers, and work with runs.",
    "flowcontrol.expressions": "Compile expressions, and register filters.",
    "flowcontrol.state": "The values that a state can hold.",
    "flowcontrol.schedulers": "Write schedulers.",
    "flowcontrol.packs": "The AppConfig of a pack with models.",
    "flowcontrol.translations": "Texts of a pack that is in no INSTALLED_APPS.",
    "flowcontrol.signals": "Be told of runs that start and end.",
    "flowcontrol.exceptions": "What all of these raise.",
}

#: What projects use beside it, and the tests of packs.
FOR_PROJECTS = {
    "flowcontrol.plugins": "For settings: `plugin_apps`.",
    "flowcontrol.documents": "Import, export and check flows.",
    "flowcontrol.models": "Read flows and runs; the engine alone writes runs.",
    "flowcontrol.tasks": "For Celery's schedule.",
    "flowcontrol.testing": "Tests of packs and projects.",
}

#: What staff ask about an action beside its fields, and a step to copy.
NOTES: dict[str, tuple[str, str]] = {
    "builtin.if": (
        "Either branch may be empty or absent. After the branch the next step follows.",
        """\
- id: is_large
  action: builtin.if
  config: {condition: total >= 100}
  steps:
    - {id: large, action: builtin.update_state, config: {state: {kind: large}}}
  branches:
    else:
      - {id: small, action: builtin.update_state, config: {state: {kind: small}}}""",
    ),
    "builtin.while": (
        (
            "The condition is asked before each round, the first included. `builtin.return` inside goes on with the "
            "next round; `builtin.leave_branch` directly inside ends the loop. A loop that never ends fails its run at "
            '`FLOWCONTROL["MAX_STEPS"]` steps.'
        ),
        """\
- id: until_paid
  action: builtin.while
  config: {condition: not object.is_paid}
  steps:
    - {id: a_day, action: builtin.delay, config: {seconds: 86400}}""",
    ),
    "builtin.for": (
        (
            "`start`, `end` and `step` are evaluated once, when the loop is reached. The end is not counted, as in "
            "Python's `range`. A step of 0 is refused: a literal one when the flow is saved, one that an expression "
            "gives in the run, which fails. The counter is the step's own memory and never in the state; the steps "
            "inside read it under the name in `variable`."
        ),
        """\
- id: rounds
  action: builtin.for
  config: {start: 10, end: 0, step: -2, variable: left}
  steps:
    - {id: note, action: builtin.update_state, config: {evaluate: true, state: {seen: left}}}""",
    ),
    "builtin.return": (
        (
            "The parent action is asked again: a loop goes on with its next round, an If with the step after it. With "
            "a condition that is not true, the next step follows."
        ),
        "- {id: skip_the_rest, action: builtin.return, config: {condition: object.is_paid}}",
    ),
    "builtin.leave_branch": (
        (
            "The parent action is not asked again: its next sibling follows. So directly inside a loop it ends the "
            "loop; inside an If that stands in a loop it leaves only the If. With a condition that is not true, the "
            "next step follows."
        ),
        "- {id: enough, action: builtin.leave_branch, config: {condition: reminders >= 2}}",
    ),
    "builtin.stop": (
        "The run ends as *stopped*, from any depth. With a condition that is not true, the next step follows.",
        "- {id: no_deal, action: builtin.stop}",
    ),
    "builtin.set_state": (
        (
            "All is evaluated against the old state before anything is written. The keys `state`, `run`, `now` and "
            "`object` are refused, since expressions could not read them."
        ),
        """\
- id: begin
  action: builtin.set_state
  config: {evaluate: true, state: {customer: object.email, tries: 0}}""",
    ),
    "builtin.update_state": (
        "A nested mapping is replaced, not merged. All is evaluated before anything is written.",
        """\
- id: count
  action: builtin.update_state
  config: {evaluate: true, state: {tries: "tries|default:0|add:1", last: {at: now}}}""",
    ),
    "builtin.start_flow": (
        (
            "This run neither waits for the new one nor fails with it. The new run is written together with this step, "
            "so a crash makes neither two of it nor none; a worker takes it up after that commit. A limit of the other "
            "flow that refuses the start is logged and recorded as an event, and this run goes on. A flow that is "
            "missing, inactive, unpublished or about another model fails this run. How deep and how often runs may "
            "start runs is bounded by `MAX_ANCESTORS` and `MAX_CHILDREN`."
        ),
        """\
- id: ask_later
  action: builtin.start_flow
  config: {flow: feedback, at: "now|add_days:7", pass_state: true}""",
    ),
    "builtin.delay": (
        (
            "Counted from the base date, in this order: months on the calendar, seconds as elapsed time, then on to "
            "the next weekday and time of day. Without a base date it counts from now, and a weekday whose time is "
            "past means next week. At least one of base date, months, seconds, weekday and time has to be given. "
            'Shorter waits than `FLOWCONTROL["MIN_WAIT_SECONDS"]` are made that long. The wait is kept in the '
            "database: no worker is held up, and it may last for months."
        ),
        """\
- id: saturday
  action: builtin.delay
  config: {weekday: saturday, time: "18:00", time_zone: Europe/Berlin}
- id: week_before
  action: builtin.delay
  config: {base_date: object.due_date, seconds: -604800, if_past: stop}""",
    ),
    "builtin.try": (
        (
            "A failure counts once the tries of its step are used up ([`retry`](documents.md#retry)). The steps of "
            "`error` can read it as `error`: `error.step` and `error.name` are id and name of the step that failed, "
            "`error.type` is the kind of error (`Fail`, when the action said so itself), `error.message` its text, "
            "`error.attempt` the number of tries. When they come to their end, the failure is dealt with, and the next "
            "step follows. Without steps in `error`, or when one of these fails, it goes on to the next `builtin.try` "
            "outwards, and without one the run fails. The steps of `finally` run before that, and after every other "
            "way out of the other two branches: their end, `builtin.return` and `builtin.leave_branch`. "
            "`builtin.stop` is none: it ends the run at once. So do a cancellation from outside, a condition of the "
            "flow that is no longer true, and the bound `MAX_STEPS`. The state stays as the last step that went well "
            "left it."
        ),
        """\
- id: charge
  action: builtin.try
  steps:
    - {id: ask_bank, action: builtin.call_flow, config: {flow: feedback, save_as: receipt}}
  branches:
    error:
      - {id: why, action: builtin.update_state, config: {evaluate: true, state: {failed: error.message}}}
    finally:
      - {id: seen, action: builtin.update_state, config: {evaluate: true, state: {charged_at: now}}}""",
    ),
    "builtin.wait_for_trigger": (
        (
            "A trigger that fired since the run began, and that the run did not wait for yet, counts at once, so none "
            "is missed that fires just before the run comes here. What it brought is the state given to "
            "`fire_trigger`, a mapping. With *match object* only a trigger about the object of this run counts; a run "
            "about none waits for one about none. After the steps of `timeout`, as after the trigger, the next step "
            "follows."
        ),
        """\
- id: payment
  action: builtin.wait_for_trigger
  config: {trigger: docs.order_paid, save_as: payment, timeout_seconds: 1209600}
  branches:
    timeout:
      - {id: too_late, action: builtin.stop}""",
    ),
    "builtin.call_flow": (
        (
            "The new run is written together with this step, and its end together with the event that wakes this run, "
            "so a crash loses neither. A run that ends as *completed* or *stopped* has a result: the state it ended "
            "with. One that fails, is cancelled or is discarded fails this step, naming the run and its reason, and so "
            "does a flow that does not start, be it for a limit; a `builtin.try` around deals with that. The steps of "
            "`timeout` run when the time is up first; the other run goes on and is listened to no more. `retry` tries "
            "the start again; what may fail inside the other flow is better tried again there."
        ),
        """\
- id: check
  action: builtin.call_flow
  config: {flow: feedback, pass_state: true, save_as: answer, timeout_seconds: 604800}
  branches:
    timeout:
      - {id: no_answer, action: builtin.update_state, config: {state: {answer: null}}}""",
    ),
}


def pages() -> dict[str, str]:
    """Name and text of every page that is made. Django has to be set up, with the plugins ``builtin`` and ``http``."""
    return {
        "settings.md": _text(_settings()),
        "commands.md": _text(_commands()),
        "actions.md": _text(_actions()),
        "conformance.md": _text(_conformance()),
        "api.md": _text(_api()),
        "http-reference.md": _text(_http()),
    }


def _conformance() -> Iterator[str]:
    """Imported by its name: it needs models, which are there once Django is set up."""
    rules: Sequence[Any] = import_module("flowcontrol.testing.examination").RULES
    yield from ("# Rules for packs", MADE, "")
    yield "What [the conformance kit](testing.md#holding-a-pack-to-the-rules) holds a pack to. Rules with a star are"
    yield "what good packs do; the others are a must."
    for rule in rules:
        star = "" if rule.is_must else " *"
        yield from ("", f"## {rule.id}: {rule.title}{star}", "", f"{rule.why} **Mend it:** {rule.fix}")


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip() + "\n"


# -- settings ------------------------------------------------------------------------------------------------


def _settings() -> Iterator[str]:
    yield "# Settings"
    yield MADE
    yield ""
    yield "All settings of flowcontrol are keys of one dictionary, `FLOWCONTROL`, in the project's settings. Every key"
    yield "has a default, so the dictionary may be empty or absent."
    yield ""
    yield "```python"
    yield 'FLOWCONTROL = {"PLUGINS": ["builtin"], "LEASE_SECONDS": 120}'
    yield "```"
    yield ""
    yield "A key that does not exist is reported by the check [`flowcontrol.W001`](plugins.md#flowcontrolw001), a value"
    yield "that cannot be used by [`flowcontrol.E008`](plugins.md#flowcontrole008). Both say the way out."
    yield ""
    yield from markdown_table(
        ["key", "default", "unit"],
        (
            [f"[`{one.name}`](#{one.name.lower()})", f"`{_short(one.default)}`", one.unit or "-"]
            for one in conf.SETTINGS
        ),
    )
    for one in conf.SETTINGS:
        yield from ("", f"## {one.name}", "", one.help, "")
        yield f"Takes: {one.kind}{f' ({one.unit})' if one.unit else ''}. Default:"
        yield from ("", "```python", f"{_value(one.default)}", "```")


def _value(value: object) -> str:
    """As one would write it in settings: lists in brackets."""
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def _short(value: object) -> str:
    text = _value(value)
    return text if len(text) <= 40 else "[…]"


# -- commands ------------------------------------------------------------------------------------------------


def _commands() -> Iterator[str]:
    yield "# Commands"
    yield MADE
    yield ""
    yield "`manage.py flowcontrol COMMAND`. Every listing takes `--json`; the keys of the JSON stay as they are in"
    yield "later versions, and new ones may come. What a person may want to know beside it goes to standard error."
    yield ""
    yield "Exit codes: 0 done; 1 a negative answer (refused, not found, problems or differences found); 2 wrong usage,"
    yield "or a file that cannot be read. Django's own options (`--settings`, `--verbosity` …) work behind it, too."
    yield ""
    yield from markdown_table(
        ["command", "does"],
        ([f"[`{name}`](#{name})", one.help] for name, one in SUBCOMMANDS.items()),
    )
    for name, one in SUBCOMMANDS.items():
        yield from _command(name, one)


def _command(name: str, one: Subcommand) -> Iterator[str]:
    parser = CommandParser()
    one.add_arguments(parser)
    # No public way leads to the arguments of a parser.
    arguments = [each for each in parser._actions if not isinstance(each, argparse._HelpAction)]
    yield from ("", f"## {name}", "", one.help, "")
    usage = " ".join(map(_usage, arguments))
    json_option = " [--json]" if one.keys else ""
    yield from ("```text", f"manage.py flowcontrol {name}{json_option}{' ' + usage if usage else ''}", "```")
    if arguments:
        rows = [
            [f"`{' '.join([*each.option_strings[:1], _metavar(each)]).strip()}`", each.help]
            for each in arguments
        ]
        yield ""
        yield from markdown_table(["argument", "meaning"], rows)
    if one.codes:
        yield from ("", f"Exit codes: {'; '.join(f'{code} {text}' for code, text in one.codes.items())}.")
    if one.keys:
        what = one.json_help or "a list of objects"
        yield from (
            "",
            f"`--json` writes {_quoted(what)} with the keys {', '.join(f'`{key}`' for key in one.keys)}.",
        )


def _quoted(text: str) -> str:
    """Keys between braces, as code."""
    return f"`{text.partition('}')[0]}}}`{text.partition('}')[2]}" if text.startswith("{") else text


def _metavar(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def _usage(action: argparse.Action) -> str:
    value = _metavar(action)
    if not action.option_strings:
        return {"+": f"{value} [{value} …]", "*": f"[{value} …]"}.get(str(action.nargs), value)
    if action.choices:
        value = action.dest.upper()
    return f"[{' '.join([action.option_strings[0], value]).strip()}]"


# -- actions -------------------------------------------------------------------------------------------------


def _actions() -> Iterator[str]:
    # Apps have to be ready for it.
    from flowcontrol.registry import actions  # noqa: PLC0415

    specs = [one for one in actions.specs() if one.name.startswith("builtin.")]
    specs.sort(key=lambda one: list(NOTES).index(one.name))
    yield "# The built-in actions"
    yield MADE
    yield ""
    yield "The actions of the pack `flowcontrol-actions-builtin`. What they mean for the course of a run is told in"
    yield "[concepts](concepts.md#actions), expressions in [expressions](expressions.md). A key under `config` that is"
    yield "not listed here is refused when the flow is saved. `manage.py flowcontrol actions` lists what is installed."
    yield ""
    yield from action_table(specs)
    for one in specs:
        note, example = NOTES[one.name]
        yield from ("", f"## {one.name}", "", f"**{one.label}.** {one.description}", "", note, "")
        yield from action_lines(one)
        yield from ("", "```yaml", example, "```")


# -- the pack for HTTP ------------------------------------------------------------------------------------------


def _http() -> Iterator[str]:
    # Apps have to be ready for them.
    from flowcontrol.registry import actions, credential_kinds  # noqa: PLC0415

    settings_of_http: Sequence[Any] = import_module("flowcontrol_actions_http.conf").SETTINGS
    specs = [one for one in actions.specs() if one.name.startswith("http.")]
    yield from ("# HTTP: reference", MADE, "")
    yield "Of the pack `flowcontrol-actions-http`: its actions, the kinds of credentials that it brings, and its"
    yield "settings. What they are for is told in [HTTP](http.md)."
    yield from ("", "## Actions", "")
    yield from action_table(specs)
    for one in specs:
        yield from ("", f"### {one.name}", "", f"**{one.label}.** {one.description}", "")
        yield from action_lines(one)
    yield from ("", "## Kinds of credentials")
    for kind in credential_kinds.specs():
        if kind.name.startswith("http."):
            yield from ("", f"### {kind.name}", "", *kind_lines(kind))
    yield from ("", "## Settings", "")
    yield "Keys of a dictionary of the pack's own, `FLOWCONTROL_HTTP`. Every key has a default."
    for setting in settings_of_http:
        yield from ("", f"### {setting.name}", "", setting.help, "", f"Default: `{_value(setting.default)}`")


# -- public names ----------------------------------------------------------------------------------------------


def _api() -> Iterator[str]:
    yield from ("# Public API", MADE, "")
    yield "What is listed here can be relied on; everything else in the core may change without notice. A pack imports"
    yield "the modules of the first part only, and in its tests those of the second. `flowcontrol.API_VERSION` is the"
    yield f"version of the contract with packs, now {import_module('flowcontrol').API_VERSION}."
    yield from ("", *_PROMISE.splitlines())
    yield from ("", "## For packs")
    for module, purpose in FOR_PACKS.items():
        yield from _module(module, purpose)
    yield from ("", "## For projects and tests")
    for module, purpose in FOR_PROJECTS.items():
        yield from _module(module, purpose)


_PROMISE = """\
## What may change, and how

- **With a minor version** of the API (1.0 to 1.1) names, hooks, members of the context and keys of JSON are added.
  None is taken away, and no hook gets another argument: what is new comes as a member of what is there.
- **Deprecated first.** What is to go raises a `DeprecationWarning` that names what to use instead, stands in the
  changelog under “Deprecated”, and works for at least one more minor version of the core, and for six months. A hook
  that is to go warns as long when a plugin implements it.
- **Gone** only with another major version of the API. The core then refuses packs that ask for the old one and
  says so: they are quarantined, their flows are kept, and their runs wait.
- **Documents, configurations and the database** are not part of this: flows that are stored go on working. The format
  of documents has a number of its own, and migrations bring tables up to date.
- **A security fix** may break any of it, and the changelog says so first."""


def _module(path: str, purpose: str) -> Iterator[str]:
    module = import_module(path)
    yield from ("", f"### {path}", "", purpose, "")
    rows = ([f"`{name}`", *_told(getattr(module, name))] for name in module.__all__)
    yield from markdown_table(["name", "is", "for"], rows)


def _told(thing: object) -> tuple[str, str]:
    """What kind of thing it is, and the first sentence that it says of itself."""
    sentence = (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ").replace("``", "`")
    if inspect.isclass(thing):
        return ("exception" if issubclass(thing, BaseException) else "class"), _own(thing, sentence)
    if inspect.isroutine(thing):
        return "function", sentence
    return "value", ""


def _own(thing: type, sentence: str) -> str:
    """Not what a dataclass says when its author says nothing."""
    return "" if not thing.__doc__ or sentence.startswith(f"{thing.__name__}(") else sentence


# -- script --------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description="Write the pages of the documentation that are made from the code."
    )
    parser.add_argument(
        "--check", action="store_true", help="Write nothing; say which pages are out of date."
    )
    options = parser.parse_args(arguments)
    chosen = {"PLUGINS": ["builtin", "http"], "PLUGIN_ERRORS": "raise"}
    apps = ["django.contrib.auth", "django.contrib.contenttypes", "flowcontrol", *plugin_apps(chosen)]
    settings.configure(
        INSTALLED_APPS=apps,
        FLOWCONTROL=chosen,
        USE_TZ=True,
    )
    django.setup()
    out_of_date = [name for name, text in pages().items() if _written(name) != text]
    for name in out_of_date:
        if not options.check:
            (HERE / name).write_text(pages()[name], encoding="utf-8")
        sys.stdout.write(f"docs/{name} {'is out of date' if options.check else 'written'}\n")
    return 1 if options.check and out_of_date else 0


def _written(name: str) -> str:
    page = HERE / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
