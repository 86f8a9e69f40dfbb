"""Every rule of the conformance kit is broken by a pack made for it, which breaks no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flowcontrol
import pytest
from flowcontrol.exceptions import ConfigurationError
from flowcontrol.plugins.entry_points import Installed
from flowcontrol.plugins.loader import isolated_plugins
from flowcontrol.testing import RULES, PackConformance, Subject
from flowcontrol.testing.examination import hold

pytestmark = pytest.mark.own_database

PLUGIN = """
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, FilterSpec, TriggerSpec

@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0", label="Acme", description="Sends things to Acme.")

@hookimpl
def flowcontrol_register_actions():
    return [ActionSpec("acme.send", "acme_pack.actions:Send", "Send")]

@hookimpl
def flowcontrol_register_triggers():
    return [TriggerSpec("acme.came", model="acme_pack.thing")]

@hookimpl
def flowcontrol_register_filters():
    return [FilterSpec("acme_shout", "acme_pack.actions:shout")]

@hookimpl
def flowcontrol_register_credential_kinds():
    return [CredentialKindSpec("acme.key", "acme_pack.credentials:Key", "Key")]
"""

ACTIONS = """
from django import forms
from flowcontrol.base import ActionForm, BaseAction, Effect
from flowcontrol.forms import CredentialField

def shout(value):
    return str(value).upper()

class Send(BaseAction):
    '''Sends something to Acme.'''

    name = "acme.send"
    effect = Effect.EXTERNAL

    class Config(ActionForm):
        to = forms.CharField(label="To", help_text="Who gets it.")
        password = forms.CharField(label="Password", help_text="Of the account.", required=False)
        account = CredentialField(kinds=["acme.key"], label="Key", help_text="Who sends.", required=False)

    def run(self, context):
        self.deliver(context.idempotency_key)
        context.state["sent"] = context.config["to"]
        key = context.credential(context.config["account"]).values["key"] if context.config["account"] else ""

    def deliver(self, key):
        pass

    def summary(self, config):
        return f"Send to {config['to']}"
"""

CREDENTIALS = """
from django import forms
from flowcontrol.credentials import CredentialForm, CredentialKind, SecretField

class Key(CredentialKind):
    name = "acme.key"
    label = "Key"
    description = "As Acme shows it."

    class Form(CredentialForm):
        user = forms.CharField(label="User", help_text="Whose.")
        key = SecretField(label="Key", help_text="The long one.")
"""

APPS = """
from flowcontrol.packs import PackConfig

class AcmeConfig(PackConfig):
    name = "acme_pack"
"""

MODELS = """
from django.db import models

class Thing(models.Model):
    name = models.CharField(max_length=10)
    run = models.ForeignKey("flowcontrol.FlowRun", models.CASCADE, db_constraint=False, related_name="+")
"""

MIGRATION = """
from django.db import migrations, models

class Migration(migrations.Migration):
    initial = True
    dependencies = [("flowcontrol", "0001_initial")]
    operations = [
        migrations.CreateModel("Thing", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("name", models.CharField(max_length=10)),
            ("run", models.ForeignKey(
                db_constraint=False, on_delete=models.CASCADE, related_name="+", to="flowcontrol.flowrun")),
        ]),
    ]
"""

METADATA = """\
Metadata-Version: 2.4
Name: flowcontrol-actions-acme
Version: 1.0
License-Expression: MIT
Project-URL: Source, https://example.org/acme
Requires-Dist: flowcontrol-core<0.2,>=0.1

# Acme

```yaml
flowcontrol: 1
slug: example
name: An example
steps:
  - {id: it, action: acme.send, config: {to: ada}}
```

And so on.
"""

SAMPLES = {"acme.send": [{"to": "ada", "password": "x", "account": "acme-key"}]}
KEY = {"acme.key": {"user": "ada", "key": "a long key"}}


class Pack:
    """A pack in a folder of its own, of which a test changes something."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples: dict[str, Any] = SAMPLES
        self.info = folder / "flowcontrol_actions_acme-1.0.dist-info"
        self.credentials: dict[str, Any] = KEY
        self.write("acme_pack/__init__.py", "")
        self.write("acme_pack/py.typed", "")
        self.write("acme_pack/plugin.py", PLUGIN)
        self.write("acme_pack/actions.py", ACTIONS)
        self.write("acme_pack/credentials.py", CREDENTIALS)
        self.write("acme_pack/apps.py", APPS)
        self.write("acme_pack/models.py", MODELS)
        self.write("acme_pack/migrations/__init__.py", "")
        self.write("acme_pack/migrations/0001_initial.py", MIGRATION)
        self.write("acme_pack/templates/acme_pack/thing.html", "a thing")
        self.metadata(METADATA)
        self.entry_points("acme", "acme_pack.plugin")
        self.recorded: list[str] | None = None

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def change(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def metadata(self, text: str) -> None:
        self.info.mkdir(exist_ok=True)
        (self.info / "METADATA").write_text(text)

    def entry_points(self, name: str, module: str) -> None:
        apps = f"[flowcontrol.apps]\n{name} = acme_pack.apps:AcmeConfig\n"
        (self.info / "entry_points.txt").write_text(f"[flowcontrol]\n{name} = {module}\n{apps}")

    def record(self, *, but: str = "") -> None:
        files = [
            path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()
        ]
        (self.info / "RECORD").write_text("".join(f"{file},,\n" for file in files if file != but))

    def examined(self, name: str = "acme", *rules: str) -> dict[str, Any]:
        """What the command line says, by rule; of all rules unless some are named."""
        if not (self.info / "RECORD").exists():
            self.record()
        path = [self.folder, Path(flowcontrol.__file__).parents[1], os.environ.get("PYTHONPATH", "")]
        unwanted = ("DJANGO_SETTINGS_MODULE", "FLOWCONTROL")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "flowcontrol.testing",
                name,
                "--json",
                "--samples",
                json.dumps(self.samples),
                "--credentials",
                json.dumps(self.credentials),
                *(["--rules", *rules] if rules else []),
            ],
            env={**inherited, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout, done.stderr
        told = json.loads(done.stdout)
        return {**{one["rule"]: one for one in told["rules"]}, "tier": told["tier"], "code": done.returncode}


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    return Pack(tmp_path / "site")


def failed(told: dict[str, Any]) -> list[str]:
    return [id_ for id_, one in told.items() if isinstance(one, dict) and one["outcome"] == "failed"]


def test_a_good_pack_breaks_no_rule(pack: Pack) -> None:
    told = pack.examined()
    assert (failed(told), told["tier"], told["code"]) == ([], "gold", 0)
    passed = {id_ for id_, one in told.items() if isinstance(one, dict) and one["outcome"] == "passed"}
    assert {rule.id for rule in RULES} - passed == {"A6", "A9"}, "which the tests below are about"


Break = Callable[[Pack], None]


def appended(path: str, text: str) -> Break:
    def breaks(pack: Pack) -> None:
        pack.write(path, (pack.folder / path).read_text() + text)

    return breaks


def changed(path: str, old: str, new: str) -> Break:
    return lambda pack: pack.change(path, old, new)


def metadata(old: str, new: str = "") -> Break:
    return lambda pack: pack.metadata(METADATA.replace(old, new))


CHECK = """
    @classmethod
    def check(cls, **kwargs):
        from django.core.checks import Error
        return [*super().check(**kwargs), Error("it is broken", obj=cls, id="acme.E001")]
"""


def pure(doing: str) -> Break:
    """An action that is said to touch nothing, and does."""

    def breaks(pack: Pack) -> None:
        pack.change(ACTIONS_FILE, "Effect.EXTERNAL", "Effect.PURE")
        pack.change(ACTIONS_FILE, "from django import forms", "import subprocess\nfrom django import forms")
        pack.change(ACTIONS_FILE, "class Send(", "from .models import Thing\n\nclass Send(")
        pack.change(ACTIONS_FILE, RUN, f"{RUN}        {doing}\n")

    return breaks


def lax(pack: Pack) -> None:
    pack.change(ACTIONS_FILE, "to = forms.CharField", "to = Lax")
    code = "class Lax(forms.CharField):\n    def clean(self, value):\n        return value\n\nclass Send("
    pack.change(ACTIONS_FILE, "class Send(", code)


PLUGIN_FILE, ACTIONS_FILE = "acme_pack/plugin.py", "acme_pack/actions.py"
SWALLOWING = """\
        try:
            context.state["sent"] = context.config["to"]
        except Exception:
            context.state["sent"] = ""
"""
#: Before it, a form can have more.
BEGIN_OF_RUN = "\n    def run("
DEFAULT = '        extra = forms.{} label="Extra", help_text="More.")\n'
RAISING = "\n        def clean_to(self):\n            return {'ada': 'ada'}[self.cleaned_data['to']]\n"
RUN = '        context.state["sent"] = context.config["to"]\n'
KEY_OF_RUN = (
    """context.credential(context.config["account"]).values["key"] if context.config["account"] else ""\n"""
)
CREDENTIALS_FILE = "acme_pack/credentials.py"
SECRET_IN_THE_OPEN = 'api_token = forms.CharField(label="Token", help_text="Its own.", required=False)\n'
SECRET_IN_THE_OPEN += "        user = forms.CharField("


def refused_default(pack: Pack) -> None:
    """A default that the form refuses; the samples give something else."""
    field = DEFAULT.format("IntegerField(min_value=1, initial=0,")
    pack.change(ACTIONS_FILE, BEGIN_OF_RUN, field + BEGIN_OF_RUN)
    pack.samples = {"acme.send": [{**SAMPLES["acme.send"][0], "extra": 1}]}
    pack.metadata(METADATA.replace("{to: ada}", "{to: ada, extra: 1}"))


TWICE = 'ActionSpec("acme.send", "acme_pack.actions:Send", "Send")'
BOUND = """
        migrations.RunSQL(
            "CREATE TABLE acme_note (run_id bigint NOT NULL REFERENCES flowcontrol_flowrun (id))",
            "DROP TABLE acme_note",
        ),
    ]
"""


def bound_by_sql(pack: Pack) -> None:
    """A table that no model knows refers to runs."""
    pack.change("acme_pack/migrations/0001_initial.py", "        ]),\n    ]\n", f"        ]),{BOUND}")
    note = "connection.cursor().execute('INSERT INTO acme_note VALUES (%s)', [context.run_id])"
    pack.change(ACTIONS_FILE, RUN, f"{RUN}        {note}\n")
    pack.change(
        ACTIONS_FILE, "from django import forms", "from django import forms\nfrom django.db import connection"
    )


def called_otherwise(pack: Pack) -> None:
    other = pack.folder / "acme_flow-1.0.dist-info"
    pack.info = pack.info.rename(other)
    pack.metadata(METADATA.replace("flowcontrol-actions-acme", "acme-flow"))


def without_any_sample(pack: Pack) -> None:
    """Nor a flow in the README, from which samples would be taken."""
    pack.samples = {}
    pack.metadata(METADATA.partition("```yaml")[0])


#: It takes as long as all others together; whether it finds what it is for is tried by itself.
DEAR = "D7"

BAD: list[tuple[str, Break, str]] = [
    ("P8", called_otherwise, "sent to flowcontrol-actions-acme"),
    ("I4", appended(PLUGIN_FILE, "open('/dev/null', 'w').close()\n"), "It writes the file /dev/null."),
    (
        "I4",
        appended(PLUGIN_FILE, "import subprocess; subprocess.run(['true'])\n"),
        "It starts the process true.",
    ),
    (
        "I4",
        appended(PLUGIN_FILE, "import socket; socket.socket().bind(('127.0.0.1', 0))\n"),
        "opens a connection",
    ),
    ("H7", changed(PLUGIN_FILE, TWICE, f"{TWICE}, {TWICE}"), "acme.send is declared 2 times"),
    (
        "H8",
        metadata("flowcontrol: 1\n", "flowcontrol: one\n"),
        "No flow in its README has one of its actions",
    ),
    (
        "H8",
        metadata("action: acme.send", "action: other.send"),
        "No flow in its README has one of its actions",
    ),
    ("H8", metadata("config: {to: ada}", "config: {two: ada}"), "A flow in its README: steps[0].config.two"),
    ("H8", metadata("{to: ada}}", "{to: ada}"), "A flow in its README cannot be read"),
    (
        "A15",
        changed(ACTIONS_FILE, "context.idempotency_key", "context.run_id"),
        "never asks for its idempotency key",
    ),
    ("P3", metadata("Requires-Dist: flowcontrol-core<0.2,>=0.1\n"), "does not depend on flowcontrol-core"),
    ("P3", metadata("<0.2,>=0.1", "==0.1.0"), "one version alone"),
    ("P3", metadata("<0.2,", ""), "no upper bound"),
    ("P3", metadata("<0.2,>=0.1", "<0.2"), "no lower bound"),
    ("P4", lambda pack: pack.record(but="acme_pack/templates/acme_pack/thing.html"), "thing.html lies there"),
    ("P5", metadata("License-Expression: MIT\n"), "names no licence"),
    ("P5", metadata("Project-URL: Source, https://example.org/acme\n"), "has no URL"),
    ("P6", lambda pack: (pack.folder / "acme_pack/py.typed").unlink(), "has no file py.typed"),
    ("I2", appended(PLUGIN_FILE, "import yaml\n"), "It imports yaml."),
    ("I2", appended(PLUGIN_FILE, "import time; time.sleep(0.1)\n"), "at most 50 are good"),
    ("I3", appended(PLUGIN_FILE, "import django.db.models\n"), "It imports django.db.models."),
    ("I4", appended(PLUGIN_FILE, "import os; os.environ['ACME'] = '1'\n"), "changes the environment: ACME"),
    (
        "I4",
        appended(
            PLUGIN_FILE,
            "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
        ),
        "starts 1 threads",
    ),
    ("H1", appended(PLUGIN_FILE, "def flowcontrol_run_started(run):\n    pass\n"), "has no @hookimpl"),
    (
        "H2",
        appended(PLUGIN_FILE, "@hookimpl\ndef flowcontrol_run_startet(run):\n    pass\n"),
        "does not exist",
    ),
    ("H3", changed(PLUGIN_FILE, "acme_pack.actions:shout", "acme_pack.actions:gone"), 'filter "acme_shout"'),
    ("H6", changed(PLUGIN_FILE, ', label="Acme"', ""), "has no label"),
    ("H6", changed(ACTIONS_FILE, "    '''Sends something to Acme.'''\n", ""), "neither a description nor"),
    ("A1", changed(ACTIONS_FILE, ', help_text="Who gets it."', ""), "field to has no help text"),
    ("A3", lax, "takes None"),
    ("A4", changed(ACTIONS_FILE, "    effect = Effect.EXTERNAL\n", ""), "does not say which effect"),
    ("A5", changed(ACTIONS_FILE, "config['to']}", "config['gone']}"), "summary() raised KeyError"),
    ("A5", changed(ACTIONS_FILE, """f"Send to {config['to']}\"""", "7"), "answered 7"),
    ("A7", changed(ACTIONS_FILE, RUN, '        context.state["sent"] = object()\n'), "cannot be kept"),
    ("A7", changed(ACTIONS_FILE, RUN, '        context.state["sent"] = "x" * 300_000\n'), "a state of 300"),
    ("A8", changed(ACTIONS_FILE, RUN, RUN + "        self.last = context.run_id\n"), "changed last"),
    (
        "A10",
        changed(ACTIONS_FILE, RUN, '        context.state["x"] = context.config["password"]\n'),
        "found in the state",
    ),
    (
        "A10",
        changed(ACTIONS_FILE, RUN, '        context.log.info("as %s", context.config["password"])\n'),
        "found in the log",
    ),
    ("A10", changed(ACTIONS_FILE, "config['to']}", "config['password']}"), "found in its summary"),
    (
        "A10",
        changed(ACTIONS_FILE, KEY_OF_RUN, KEY_OF_RUN + '        context.state["x"] = key\n'),
        "had to be masked in the state",
    ),
    (
        "A10",
        changed(ACTIONS_FILE, KEY_OF_RUN, KEY_OF_RUN + '        context.log.info("as %s", key)\n'),
        "had to be masked in the log",
    ),
    ("C1", changed(CREDENTIALS_FILE, '    description = "As Acme shows it."\n', ""), "neither a description"),
    ("C1", changed(CREDENTIALS_FILE, ', help_text="Whose."', ""), "field user has no help text"),
    (
        "C2",
        lambda pack: setattr(pack, "credentials", {**KEY, "acme.gone": {}}),
        "a sample of acme.gone",
    ),
    ("C3", changed(CREDENTIALS_FILE, "user = forms.CharField(", SECRET_IN_THE_OPEN), "no SecretField"),
    ("A11", pure("Thing.objects.filter(name='x').delete()"), "declared PURE, and writes to the database"),
    ("A11", pure("subprocess.run(['true'], check=True)"), "declared PURE, and starts the process"),
    ("A12", changed(ACTIONS_FILE, RUN, SWALLOWING), "went on although its time was up in actions.py"),
    (
        "A13",
        refused_default,
        "the field extra refuses its own default 0",
    ),
    (
        "A13",
        changed(ACTIONS_FILE, BEGIN_OF_RUN, DEFAULT.format("CharField(initial=1j,") + BEGIN_OF_RUN),
        "which JSON does not have",
    ),
    ("A14", changed(ACTIONS_FILE, BEGIN_OF_RUN, RAISING + BEGIN_OF_RUN), "cannot read this"),
    ("T2", changed(PLUGIN_FILE, '"acme.came"', f'"acme.{"x" * 200}"'), "has 205 characters; 200 are kept"),
    (
        "A2",
        lambda pack: setattr(pack, "samples", {**SAMPLES, "acme.gone": [{}]}),
        "samples of acme.gone",
    ),
    ("T1", changed(PLUGIN_FILE, "acme_pack.thing", "acme_pack.gone"), "about acme_pack.gone"),
    ("D1", changed("acme_pack/models.py", "max_length=10", "max_length=11"), "Migrations are missing"),
    (
        "D2",
        changed(
            "acme_pack/migrations/0001_initial.py",
            "operations = [",
            "operations = [migrations.RunPython(lambda apps, editor: None),",
        ),
        "IrreversibleError",
    ),
    (
        "D4",
        changed("acme_pack/apps.py", "flowcontrol.packs import", "django.apps import AppConfig as"),
        "does not inherit",
    ),
    (
        "D5",
        lambda pack: pack.write("acme_pack/templates/base.html", "mine"),
        "templates/base.html could be taken",
    ),
    (
        "D6",
        appended("acme_pack/models.py", CHECK),
        "acme.E001",
    ),
]


@pytest.mark.once
@pytest.mark.parametrize(("rule", "breaks", "says"), BAD, ids=[f"{one[0]}-{n}" for n, one in enumerate(BAD)])
def test_a_rule_finds_what_breaks_it_and_no_other_does(
    rule: str, breaks: Break, says: str, pack: Pack
) -> None:
    breaks(pack)
    told = pack.examined("acme", *(one.id for one in RULES if one.id != DEAR))
    assert says in "\n".join(told[rule]["problems"]), told[rule]
    assert failed(told) == [rule]
    is_must = next(one.is_must for one in RULES if one.id == rule)
    assert told["code"] == int(is_must)
    assert told["tier"] != "gold"


@pytest.mark.once
def test_what_stands_in_the_way_once_it_is_switched_off_is_found(pack: Pack) -> None:
    bound_by_sql(pack)
    told = pack.examined()
    assert "deleting flowcontrol.FlowRun ends in IntegrityError" in "\n".join(told[DEAR]["problems"])
    assert failed(told) == [DEAR]


def test_the_flows_of_the_readme_are_samples_on_the_command_line(pack: Pack) -> None:
    pack.samples = {}
    assert failed(pack.examined("acme", "A2", "A7")) == []


def test_a_rule_that_is_not_there_is_told(pack: Pack) -> None:
    with pytest.raises(AssertionError, match="There is no rule Z9. There are: P1, P2"):
        pack.examined("acme", "Z9")


#: These leave so little of a pack that other rules break with them, or say nothing.
FATAL: list[tuple[str, Break, str]] = [
    ("P1", lambda pack: (pack.info / "entry_points.txt").unlink(), "No installed distribution"),
    ("P2", lambda pack: pack.entry_points("flow", "acme_pack.plugin"), 'The name "flow" is reserved'),
    (
        "P7",
        lambda pack: (pack.info / "entry_points.txt").write_text(
            "[flowcontrol.apps]\nacme = acme_pack.apps:AcmeConfig\n"
        ),
        "Nothing but an app, acme_pack.apps.AcmeConfig",
    ),
    ("I1", appended(PLUGIN_FILE, "import django.contrib.auth.models\n"), "ImproperlyConfigured"),
    ("H3", changed(PLUGIN_FILE, "acme_pack.actions:Send", "acme_pack.actions:Gone"), "cannot be imported"),
    ("H4", changed(PLUGIN_FILE, '"acme.send"', '"other.send"'), 'names of this plugin begin with "acme."'),
    ("H5", changed(PLUGIN_FILE, 'api="1.0"', 'api="1.99"'), "needs the plugin API 1.99"),
    ("A2", without_any_sample, "acme.send has no sample"),
    ("A2", lambda pack: setattr(pack, "samples", {"acme.send": [{"to": ""}]}), "config.to"),
    ("H3", changed(PLUGIN_FILE, "acme_pack.credentials:Key", "acme_pack.credentials:Gone"), "acme.key"),
    ("C2", lambda pack: setattr(pack, "credentials", {}), "acme.key has no sample"),
    ("D3", changed("acme_pack/models.py", "db_constraint=False, ", ""), "Thing.run refers to"),
]


@pytest.mark.once
@pytest.mark.parametrize(
    ("rule", "breaks", "says"), FATAL, ids=[f"{one[0]}-{n}" for n, one in enumerate(FATAL)]
)
def test_a_rule_finds_what_breaks_much(rule: str, breaks: Break, says: str, pack: Pack) -> None:
    breaks(pack)
    name = "flow" if rule == "P2" else "acme"
    told = pack.examined(name, *(one.id for one in RULES if one.id != DEAR))
    assert says in "\n".join(told[rule]["problems"]), told
    assert told["code"] == 1


def test_every_rule_is_proven_on_a_bad_pack() -> None:
    assert {rule.id for rule in RULES} == {one[0] for one in [*BAD, *FATAL]} | {"A6", "A9", DEAR}
    assert all(rule.why and rule.fix and rule.title for rule in RULES)


# -- in this process -------------------------------------------------------------------------------------------


@contextmanager
def loaded(folder: Path, actions: str) -> Iterator[None]:
    """A light pack ``acme`` with this code, loaded here."""
    module = f"acme_{folder.name.replace('-', '_')}"
    plugin = PLUGIN.replace("acme_pack.", f"{module}_").replace(f', model="{module}_thing"', "")
    (folder / f"{module}_plugin.py").write_text(plugin)
    (folder / f"{module}_actions.py").write_text(actions)
    (folder / f"{module}_credentials.py").write_text(CREDENTIALS)
    sys.path.insert(0, str(folder))
    try:
        with isolated_plugins([Installed("acme", "acme-flow", "1.0", module=f"{module}_plugin")]):
            yield
    finally:
        sys.path.remove(str(folder))


def problems(rule: str, **told: Any) -> str:
    subject = Subject("acme", SAMPLES, credentials=KEY, **told)
    return "\n".join(hold(next(one for one in RULES if one.id == rule), subject).problems)


MIGRATING = ACTIONS.replace(
    "    def run(",
    """    config_version = 2

    @classmethod
    def migrate_config(cls, config, from_version):
        return {"to": config["recipient"]}

    def run(""",
)


def test_old_configurations_have_to_be_sampled_and_understood(tmp_path: Path) -> None:
    with loaded(tmp_path, MIGRATING):
        assert problems("A6", old_configs={"acme.send": [(1, {"recipient": "ada"})]}) == ""
        assert "no sample of version 1" in problems("A6")
        assert "cannot bring its configuration" in problems("A6", old_configs={"acme.send": [(1, {"x": 1})]})
        assert "of which config.to" in problems("A6", old_configs={"acme.send": [(1, {"recipient": ""})]})


EFFECTS = """
import pathlib
BOX = pathlib.Path(__file__).parent / "box"
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("uses_key", [True, False])
def test_an_effect_that_a_crash_repeats_is_found(uses_key: bool, tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    key = "context.idempotency_key" if uses_key else "str(context.attempt)"
    actions = EFFECTS + ACTIONS.replace(RUN, f"        (BOX / {key}).touch()\n")

    def count(action: str) -> int:
        assert action == "acme.send"
        return len(list(box.iterdir()))

    with loaded(tmp_path, actions):
        found = problems("A9", count_effects=count)
    assert bool(found) is not uses_key
    assert uses_key or "a crash after its effect made it happen 2 times" in found


# -- the class -------------------------------------------------------------------------------------------------


def test_the_tests_of_the_class_cannot_be_overridden() -> None:
    with pytest.raises(ConfigurationError, match="overrides test_rule"):

        class Sly(PackConformance):
            pack = "acme"

            def test_rule(self, rule: object) -> None:  # type: ignore[override]
                pass


@pytest.mark.parametrize("expected", [{"P5": " "}, {"Z9": "because"}])
def test_an_expected_failure_needs_a_rule_and_a_reason(expected: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="every rule needs a reason"):

        class Terse(PackConformance):
            pack = "acme"
            expected_failures = expected


def test_an_expected_failure_that_holds_is_a_failure(tmp_path: Path) -> None:
    class Outdated(PackConformance):
        pack = "acme"
        samples = SAMPLES
        expected_failures = {"A4": "was so once"}

    rule = next(one for one in RULES if one.id == "A4")
    with loaded(tmp_path, ACTIONS), pytest.raises(pytest.fail.Exception, match="A4 holds now"):
        Outdated()._hold(rule)


def test_core_without_the_extra_imports_no_pytest() -> None:
    code = "import sys, flowcontrol.testing, flowcontrol.hookspecs; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
