"""``flowcontrol docs PACK``: the reference of an installed plugin, made from what it declares."""

from __future__ import annotations

from test_plugins_processes import Project
from test_plugins_processes import project as project  # noqa: PLC0414  # a fixture

HOOKS = """
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, FilterSpec, SchedulerSpec, TriggerSpec

@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0", label="Acme & more", description="For tests.")

@hookimpl
def flowcontrol_register_actions():
    return [
        ActionSpec("acme.send", "acme_things:Send", "Send", "Sends | and waits."),
        ActionSpec("acme.gone", "acme_things:Gone", "Gone"),
    ]

@hookimpl
def flowcontrol_register_triggers():
    return [TriggerSpec("acme.received", "Received", model="auth.user", description="Something came in.")]

@hookimpl
def flowcontrol_register_filters():
    return [FilterSpec("acme_loud", "acme_things:loud")]

@hookimpl
def flowcontrol_register_schedulers():
    return [SchedulerSpec("acme", "acme_things:Scheduler", "Acme's own")]

@hookimpl
def flowcontrol_register_credential_kinds():
    return [
        CredentialKindSpec("acme.key", "acme_things:Key", "Key of Acme"),
        CredentialKindSpec("acme.lost", "acme_things:Lost"),
    ]

@hookimpl
def flowcontrol_register_urls():
    return "acme_urls"
"""

THINGS = '''
from django import forms
from flowcontrol.base import ActionForm, BaseAction, Effect
from flowcontrol.credentials import CredentialForm, CredentialKind, SecretField
from flowcontrol.forms import CredentialField, ExpressionField

class Key(CredentialKind):
    name = "acme.key"
    description = "They send it by mail."
    has_hosts = False

    class Form(CredentialForm):
        user = forms.CharField(help_text="Whose.")
        key = SecretField(label="Key", required=False)

class Special(forms.CharField):
    takes = "a very special text"

class Send(BaseAction):
    name = "acme.send"
    label = "Send"
    effect = Effect.DATABASE
    branches = ("steps",)

    class Config(ActionForm):
        to = ExpressionField(help_text="To whom.")
        how = forms.ChoiceField(choices=[("fast", "Fast"), ("slow", "Slow")], initial="fast", required=False)
        again = forms.BooleanField(required=False, label="Send again")
        times = forms.IntegerField(required=False)
        special = Special(initial="x", required=False)
        key = CredentialField(kinds=["acme.key", "http.basic"], required=False)

def loud(value):
    """In capital letters.

    Nobody needs to know more.
    """
'''

PAGE = """\
# Acme & more

For tests.

`pip install flowcontrol-actions-acme` (this is version 2.5)

## Actions

| action | label | does |
| --- | --- | --- |
| [`acme.send`](#acmesend) | Send | Sends \\| and waits. |
| [`acme.gone`](#acmegone) | Gone |  |

### acme.send

**Send.** Sends | and waits.

Effect: `DATABASE`: written in one transaction with the run's checkpoint; happens exactly once.
Branches: `steps`.

| key | takes | default | meaning |
| --- | --- | --- | --- |
| `to` | expression | required | To whom. |
| `how` | `fast`, `slow` | `fast` |  |
| `again` | `true` or `false` | `false` | Send again |
| `times` | whole number | - |  |
| `special` | a very special text | `x` |  |
| `key` | name of a credential, `acme.key` or `http.basic` | - |  |

### acme.gone

**Gone.**

It cannot be used: """

REST = """\
## Triggers

To stand under `triggers:` of a flow, as `{on: NAME}`.

| trigger | label | about | when |
| --- | --- | --- | --- |
| `acme.received` | Received | `auth.user` | Something came in. |

## Filters

For expressions: `value|NAME`, or `value|NAME:argument`.

| filter | does |
| --- | --- |
| `acme_loud` | In capital letters. |

## Schedulers

To be named in `FLOWCONTROL["SCHEDULER"]`.

| scheduler | label |
| --- | --- |
| `acme` | Acme's own |

## Kinds of credentials

To be added in the admin; steps refer to them by their names.

### acme.key

**Key of Acme.** They send it by mail.
It is sent nowhere, so it has no hosts.

| field | takes | default | meaning |
| --- | --- | --- | --- |
| `user` | text | required | Whose. |
| `key` | secret text | - | Key |

### acme.lost

The kind of credential "acme.lost" of plugin "acme" (flowcontrol-actions-acme 2.5) cannot be imported from \
acme_things:Lost: AttributeError: module 'acme_things' has no attribute 'Lost'. \
Mend or update what provides it and restart.

## Pages

Below `packs/acme/` of where the project includes `flowcontrol.urls`, named
`flowcontrol:acme:…`.
"""


def test_the_reference_has_everything_that_a_plugin_brings(project: Project) -> None:
    project.install("acme", HOOKS, version="2.5")
    project.write("acme_things.py", THINGS)
    for name in ("acme", "flowcontrol-actions-acme"):
        done = project.manage("flowcontrol", "docs", name)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(PAGE)
        assert done.stdout.endswith(REST)


def test_a_plugin_that_is_not_in_use_has_no_reference_but_a_reason(project: Project) -> None:
    project.install("acme", "1 / 0")
    done = project.manage("flowcontrol", "docs", "acme")
    assert (done.returncode, done.stdout) == (1, "")
    assert "ZeroDivisionError" in done.stderr


def test_a_plugin_that_is_not_installed_gets_a_suggestion(project: Project) -> None:
    done = project.manage("flowcontrol", "docs", "zebr")
    assert done.returncode == 1
    assert "zebra" in done.stderr
