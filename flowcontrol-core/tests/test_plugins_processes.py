"""What a broken, clashing, too new or missing plugin does to whole processes: commands, servers, settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import flowcontrol
import pytest

pytestmark = pytest.mark.own_database

SETTINGS = """
from flowcontrol.plugins import plugin_apps

SECRET_KEY = "test"
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
FLOWCONTROL = {"PLUGINS": ["acme*", "zebra*"]}
INSTALLED_APPS = [
    "django.contrib.contenttypes", "django.contrib.auth", "shop", "flowcontrol", *plugin_apps(FLOWCONTROL)
]
"""

MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

#: Plugins of this repository, which are installed beside those of the test where all distributions are.
OURS = {"builtin", "celery", "django_tasks", "http"}

SERVER = f"""
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
import django
django.setup()
from flowcontrol import plugins, registry
print(*sorted(f"{{report.name}}:{{report.state}}" for report in plugins.reports() if report.name not in {OURS}))
print(*registry.actions.names())
"""

#: A command of the project's own, which has nothing to do with workflows.
NEWSLETTER = """
from django.core.management.base import BaseCommand

class Command(BaseCommand):
    def handle(self, **options):
        self.stdout.write("newsletter sent")
"""

FLOW_ACTIONS = """
from flowcontrol.base import BaseAction
from flowcontrol.registry import register_action

@register_action
class Pack(BaseAction):
    name = "shop.pack"
"""

GOOD = """
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec

@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0")

@hookimpl
def flowcontrol_register_actions():
    return [ActionSpec("{name}.act", "{name}_actions:Act")]
"""


@dataclass(frozen=True)
class Project:
    """A project in a folder of its own, with distributions that only it sees."""

    folder: Path
    site: Path

    def install(
        self, name: str, code: str = GOOD, *, distribution: str = "", app: str = "", version: str = "1.0"
    ) -> None:
        distribution = distribution or f"flowcontrol-actions-{name}"
        module = f"{distribution.replace('-', '_')}_hooks"
        info = self.site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        apps = f"[flowcontrol.apps]\n{name} = {app}\n" if app else ""
        (info / "entry_points.txt").write_text(f"[flowcontrol]\n{name} = {module}\n{apps}")
        (self.site / f"{module}.py").write_text(code.replace("{name}", name))

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = [
            self.folder,
            self.site,
            Path(flowcontrol.__file__).parents[1],
            os.environ.get("PYTHONPATH", ""),
        ]
        inherited = {name: value for name, value in os.environ.items() if name != "FLOWCONTROL_PLUGINS"}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**inherited, "PYTHONPATH": os.pathsep.join(map(str, path)), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def manage(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("manage.py", *arguments, **environment)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "project", tmp_path / "site")
    project.site.mkdir()
    project.write("site_settings.py", SETTINGS)
    project.write("manage.py", MANAGE)
    project.write("server.py", SERVER)
    project.write("shop/__init__.py", "")
    project.write("shop/flow_actions.py", FLOW_ACTIONS)
    project.write("shop/management/commands/send_newsletter.py", NEWSLETTER)
    project.install("zebra")
    return project


def broken(project: Project) -> None:
    project.install("acme", "1 / 0")


def clashing(project: Project) -> None:
    project.install("acme", distribution="acme-one")
    project.install("acme", distribution="acme-two")


def too_new(project: Project) -> None:
    project.install("acme", GOOD.replace('"1.0"', '"1.7"'))


def missing(project: Project) -> None:
    project.write("site_settings.py", SETTINGS.replace('"acme*"', '"acme"'))


CASES = pytest.mark.parametrize(
    ("arrange", "check_id", "says"),
    [
        (broken, "flowcontrol.E002", "ZeroDivisionError: division by zero"),
        (clashing, "flowcontrol.E003", "acme-one 1.0 and acme-two 1.0"),
        (too_new, "flowcontrol.E004", "needs the plugin API 1.7"),
        (missing, "flowcontrol.E001", "pip install flowcontrol-actions-acme"),
    ],
)

Arrange = Callable[[Project], None]


@CASES
def test_a_server_goes_on_without_the_plugin_and_says_so_once(
    arrange: Arrange, check_id: str, says: str, project: Project
) -> None:
    arrange(project)
    result = project.run("server.py")
    assert check_id not in result.stderr, "a server runs no checks"
    assert result.returncode == 0, result.stderr
    assert "zebra:active" in result.stdout
    assert "acme:active" not in result.stdout
    assert result.stdout.splitlines()[1] == "shop.pack zebra.act"
    assert says in result.stderr
    assert "plugin not used plugin=acme" in result.stderr


@CASES
def test_check_reports_the_plugin_with_id_and_hint_and_fails(
    arrange: Arrange, check_id: str, says: str, project: Project
) -> None:
    arrange(project)
    result = project.manage("check")
    assert result.returncode == 1
    assert f"({check_id})" in result.stderr
    assert says in result.stderr
    assert "HINT: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("command", "arrange", "says"),
    [
        (("migrate",), broken, "ZeroDivisionError: division by zero"),
        (("migrate",), missing, "pip install flowcontrol-actions-acme"),
        (("makemigrations", "--check"), clashing, "acme-one 1.0 and acme-two 1.0"),
    ],
)
def test_schema_commands_refuse_to_guess(
    command: tuple[str, ...], arrange: Arrange, says: str, project: Project
) -> None:
    arrange(project)
    result = project.manage(*command)
    assert result.returncode != 0
    last_lines = result.stderr[result.stderr.index("flowcontrol.exceptions.PluginError") :]
    assert says in last_lines
    assert 'To go on without it: FLOWCONTROL_PLUGINS="' in last_lines
    assert not (project.folder / "db.sqlite3").exists()


def test_other_commands_of_the_project_still_run(project: Project) -> None:
    broken(project)
    result = project.manage("send_newsletter")
    assert (result.returncode, result.stdout) == (0, "newsletter sent\n"), result.stderr
    assert "ZeroDivisionError: division by zero" in result.stderr


def test_the_line_that_the_error_gives_is_the_way_on(project: Project) -> None:
    broken(project)
    refused = project.manage("makemigrations", "--check")
    line = refused.stderr.rpartition('FLOWCONTROL_PLUGINS="')[2].partition('"')[0]
    assert line == "acme*,zebra*,-acme"
    result = project.manage("check", FLOWCONTROL_PLUGINS=line)
    assert result.returncode == 0, result.stderr
    assert "flowcontrol.I001" not in result.stdout, "infos are shown only when there is something worse"


def test_plugins_that_are_switched_off_cannot_break_anything(project: Project) -> None:
    broken(project)
    result = project.run("server.py", FLOWCONTROL_PLUGINS="")
    assert result.returncode == 0
    assert result.stdout.splitlines() == ["acme:disabled zebra:disabled", "shop.pack"]
    assert result.stderr == ""


def test_isolation_can_be_forced_on_schema_commands_and_strictness_on_servers(project: Project) -> None:
    broken(project)
    project.write("site_settings.py", SETTINGS + 'FLOWCONTROL["PLUGIN_ERRORS"] = "isolate"\n')
    assert project.manage("showmigrations").returncode == 0
    project.write("site_settings.py", SETTINGS + 'FLOWCONTROL["PLUGIN_ERRORS"] = "raise"\n')
    result = project.run("server.py")
    assert result.returncode != 0
    assert "PluginError" in result.stderr


def test_the_command_line_lists_plugins_whatever_is_broken(project: Project) -> None:
    broken(project)
    project.write("shop/flow_actions.py", "1 / 0")
    project.write("site_settings.py", SETTINGS + 'FLOWCONTROL["PLUGIN_ERRORS"] = "raise"\n')
    result = project.manage("flowcontrol", "plugins", "--json")
    assert result.returncode == 1
    states = {plugin["name"]: plugin["state"] for plugin in json.loads(result.stdout)["plugins"]}
    assert {name: state for name, state in states.items() if name not in OURS} == {
        "acme": "quarantined",
        "zebra": "active",
        "shop": "quarantined",
    }


def test_a_broken_flow_actions_module_is_isolated_with_all_it_registered(project: Project) -> None:
    project.write("shop/flow_actions.py", FLOW_ACTIONS + "\n1 / 0\n")
    result = project.run("server.py")
    assert result.returncode == 0
    assert result.stdout.splitlines()[1] == "zebra.act"
    checked = project.manage("check")
    assert checked.returncode == 1
    assert "(flowcontrol.E007)" in checked.stderr
    assert "Importing shop.flow_actions raised ZeroDivisionError" in checked.stderr


def test_apps_of_plugins_come_from_metadata_in_the_order_of_the_list(project: Project) -> None:
    project.install("acme", "1 / 0", app="acme_pack.apps:AcmeConfig")
    project.install("acme_zoo", "1 / 0", app="acme_zoo.apps:ZooConfig")
    code = (
        "import sys; from flowcontrol.plugins import plugin_apps;"
        "print(plugin_apps({'PLUGINS': ['acme_zoo', 'acme*']}), plugin_apps({'PLUGINS': ['acme*', '-acme-*']}));"
        "print([name for name in sys.modules if name.startswith('acme')],"
        " 'django.db.models' in sys.modules, 'django.template' in sys.modules)"
    )
    result = project.run("-c", code)
    assert result.stdout.splitlines() == [
        "['flowcontrol.guarded.acme_zoo', 'flowcontrol.guarded.acme'] ['flowcontrol.guarded.acme']",
        "[] False False",
    ], result.stderr
    switched_off = project.run("-c", code, FLOWCONTROL_PLUGINS="")
    assert switched_off.stdout.splitlines()[0] == "[] []"


def test_the_apps_of_rivals_stay_out(project: Project) -> None:
    project.install("acme", distribution="acme-one", app="acme_one.apps:Config")
    project.install("acme", distribution="acme-two", app="acme_two.apps:Config")
    code = (
        "from flowcontrol.plugins import plugin_apps;"
        "print(plugin_apps({'PLUGINS': ['acme*']}), plugin_apps({'PLUGINS': ['acme*', 'acme-two']}));"
        "from flowcontrol.plugins.installed_apps import plugin_with_app; print(plugin_with_app('acme').app)"
    )
    assert project.run("-c", code).stdout == "[] ['flowcontrol.guarded.acme']\nacme_two.apps.Config\n"


@pytest.mark.parametrize("value", ["'*'", "None", "3", "[3, None]", "['§']"])
def test_a_list_that_cannot_be_read_does_not_stop_settings_from_loading(value: str, project: Project) -> None:
    result = project.run(
        "-c", f"from flowcontrol.plugins import plugin_apps; print(plugin_apps({{'PLUGINS': {value}}}))"
    )
    assert (result.stdout, result.returncode) == ("[]\n", 0), result.stderr
    project.write("site_settings.py", SETTINGS.replace('["acme*", "zebra*"]', value))
    checked = project.manage("check")
    assert checked.returncode == 1
    assert "(flowcontrol.E008)" in checked.stderr or "(flowcontrol.E006)" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_a_hook_module_imports_without_django_set_up(project: Project) -> None:
    result = project.run(
        "-c", "import flowcontrol_actions_zebra_hooks as hooks; print(hooks.flowcontrol_plugin_info().api)"
    )
    assert result.stdout == "1.0\n", result.stderr


def test_a_start_imports_neither_the_engine_nor_what_reads_documents_and_expressions(
    project: Project,
) -> None:
    code = (
        "import sys, django; from django.conf import settings;"
        "contrib = ['admin', 'auth', 'contenttypes', 'messages', 'sessions'];"
        "settings.configure(USE_TZ=True, INSTALLED_APPS=['flowcontrol', *(f'django.contrib.{n}' for n in contrib)]);"
        "django.setup();"
        "late = ('flowcontrol.engine.', 'flowcontrol.expressions.', 'flowcontrol.documents.', 'yaml',"
        " 'cryptography', 'flowcontrol.vault.',"
        " 'django.db.models.sql.compiler');"
        "print([name for name in sys.modules if name.startswith(late)], 'flowcontrol.admin.flows' in sys.modules)"
    )
    result = project.run("-c", code)
    assert result.stdout == "['flowcontrol.documents.paths'] True\n", result.stderr


APPS = """
from flowcontrol.packs import PackConfig

class AcmeConfig(PackConfig):
    name = "acme_pack"
"""

MODELS = """
from django.db import models

class Thing(models.Model):
    name = models.CharField(max_length=10)
"""

ADMIN = """
from django.contrib import admin
from .models import Thing

admin.site.register(Thing)
"""


def app_pack(project: Project, *, apps: str = APPS, models: str = MODELS, package: str = "") -> None:
    """A pack with models, and its admin."""
    project.install("acme", app="acme_pack.apps:AcmeConfig")
    project.write("acme_pack/__init__.py", package)
    project.write("acme_pack/apps.py", apps)
    project.write("acme_pack/models.py", models)
    project.write("acme_pack/admin.py", ADMIN)
    contrib = "'django.contrib.admin', 'django.contrib.messages', 'django.contrib.sessions'"
    silenced = "SILENCED_SYSTEM_CHECKS = ['admin.E403', 'admin.E408', 'admin.E409', 'admin.E410']"
    project.write("site_settings.py", f"{SETTINGS}INSTALLED_APPS[:0] = [{contrib}]\n{silenced}\n")


BROKEN_APPS = pytest.mark.parametrize(
    ("pack", "phase", "says"),
    [
        ({"models": MODELS + "\n1 / 0\n"}, "models", "ZeroDivisionError: division by zero"),
        ({"apps": APPS + "    def ready(self):\n        1 / 0\n"}, "ready", "ZeroDivisionError"),
        (
            {"apps": APPS + "    requires_apps = ('django.contrib.sites',)\n"},
            "models",
            "It needs django.contrib.sites",
        ),
    ],
)


@BROKEN_APPS
def test_a_server_goes_on_without_a_pack_whose_app_is_broken(
    pack: dict[str, str], phase: str, says: str, project: Project
) -> None:
    app_pack(project, **pack)
    result = project.run("server.py")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["acme:quarantined zebra:active", "shop.pack zebra.act"]
    assert f"plugin not used plugin=acme phase={phase}" in result.stderr
    assert says in result.stderr


UNIMPORTABLE = {
    "module": ({"apps": "1 / 0\n" + APPS}, "ZeroDivisionError: division by zero"),
    "class": ({"apps": APPS.replace("AcmeConfig", "Other")}, 'does not define a "AcmeConfig"'),
    "package": ({"package": "import sys; sys.exit('no licence')\n"}, "SystemExit: no licence"),
    "kind": ({"apps": "AcmeConfig = 7\n"}, "acme_pack.apps.AcmeConfig is no AppConfig"),
    "name": ({"apps": APPS.replace('"acme_pack"', '"acme_gone"')}, "No module named 'acme_gone'"),
}


@pytest.fixture(params=UNIMPORTABLE)
def unimportable(request: pytest.FixtureRequest, project: Project) -> str:
    """A pack whose app Django could not even import; what is wrong with it."""
    pack, says = UNIMPORTABLE[request.param]
    app_pack(project, **pack)
    return says


def test_a_server_goes_on_without_a_pack_whose_app_cannot_even_be_imported(
    unimportable: str, project: Project
) -> None:
    result = project.run("server.py")
    assert result.stdout.splitlines() == ["acme:quarantined zebra:active", "shop.pack zebra.act"], (
        result.stderr
    )
    assert "plugin not used plugin=acme phase=app" in result.stderr
    assert unimportable in result.stderr


def test_the_commands_that_say_why_get_as_far_as_saying_it(unimportable: str, project: Project) -> None:
    for command in (["flowcontrol", "plugins"], ["flowcontrol", "plugins", "show", "acme"], ["check"]):
        told = project.manage(*command)
        assert told.returncode == 1
        said = told.stdout + told.stderr
        assert unimportable in said
        assert 'To go on without it: FLOWCONTROL_PLUGINS="acme*,zebra*,-acme"' in " ".join(said.split())
        assert "Traceback" not in said
    assert "quarantined_acme" not in project.manage("showmigrations", PLUGIN_ERRORS="isolate").stdout


def test_what_writes_the_schema_stops_at_it_and_says_how_to_go_on(
    unimportable: str, project: Project
) -> None:
    result = project.manage("makemigrations", "--check")
    last = result.stderr.strip().splitlines()[-1]
    assert result.returncode == 1
    assert last.startswith('flowcontrol.exceptions.PluginError: The plugin "acme"')
    assert unimportable in last
    assert 'To go on without it: FLOWCONTROL_PLUGINS="acme*,zebra*,-acme"' in last
    switched_off = project.manage(
        "makemigrations", "--check", "shop", FLOWCONTROL_PLUGINS="acme*,zebra*,-acme"
    )
    assert switched_off.returncode == 0, switched_off.stderr


@BROKEN_APPS
def test_schema_commands_refuse_to_go_on_without_a_packs_models(
    pack: dict[str, str], phase: str, says: str, project: Project
) -> None:
    app_pack(project, **pack)
    result = project.manage("makemigrations", "--check")
    assert result.returncode == 1
    last_lines = result.stderr[result.stderr.index("flowcontrol.exceptions.PluginError") :]
    assert says in last_lines
    assert 'To go on without it: FLOWCONTROL_PLUGINS="acme*,zebra*,-acme"' in last_lines


@BROKEN_APPS
def test_check_reports_a_pack_whose_app_is_broken(
    pack: dict[str, str], phase: str, says: str, project: Project
) -> None:
    app_pack(project, **pack)
    checked = project.manage("check")
    assert checked.returncode == 1
    assert "(flowcontrol.E002)" in checked.stderr
    assert says in checked.stderr


def test_a_pack_whose_app_is_well_is_an_app_like_any_other(project: Project) -> None:
    app_pack(project, apps=APPS + "    def ready(self):\n        print('ready')\n")
    result = project.run("server.py")
    assert result.stdout.splitlines() == [
        "ready",
        "acme:active zebra:active",
        "acme.act shop.pack zebra.act",
    ], result.stderr
    made = project.manage("makemigrations", "acme_pack", "--dry-run")
    assert "Create model Thing" in made.stdout, made.stderr


@pytest.mark.parametrize(("constraint", "code"), [("True", 1), ("False", 0)])
def test_a_foreign_key_that_would_outlive_its_pack_is_an_error(
    constraint: str, code: int, project: Project
) -> None:
    key = f"models.ForeignKey('flowcontrol.FlowRun', models.CASCADE, db_constraint={constraint}, related_name='+')"
    app_pack(project, models=f"{MODELS}    run = {key}\n")
    checked = project.manage("check")
    assert checked.returncode == code, checked.stderr
    assert ("(flowcontrol.E010)" in checked.stderr) is bool(code)
    assert ("acme_pack.Thing.run" in checked.stderr) is bool(code)


URLS_HOOK = """
@hookimpl
def flowcontrol_register_urls():
    return "acme_urls"
"""

ACME_URLS = """
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("hello/", lambda request: HttpResponse("hello"), name="hello")]
"""

ROOT_URLS = """
from django.urls import include, path
urlpatterns = [path("flow/", include("flowcontrol.urls"))]
"""

VISIT = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
import django
django.setup()
from django.test import Client
for path in ("/flow/packs/acme/hello/", "/flow/packs/zebra/", "/flow/packs/unknown/"):
    answer = Client().post(path)
    print(answer.status_code, answer.headers.get("Retry-After"), answer.content[:5])
"""


def pages(project: Project, code: str = ACME_URLS, *, root: str = ROOT_URLS) -> None:
    project.install("acme", GOOD + URLS_HOOK)
    project.write("acme_urls.py", code)
    project.write("root_urls.py", root)
    more = "ROOT_URLCONF = 'root_urls'\nALLOWED_HOSTS = ['*']\n"
    project.write("site_settings.py", SETTINGS + more)
    project.write("visit.py", VISIT)


def test_the_pages_of_a_plugin_are_below_its_name(project: Project) -> None:
    pages(project)
    result = project.run("visit.py")
    assert result.stdout.splitlines()[0] == "200 None b'hello'", result.stderr
    reverse = "from django.urls import reverse; print(reverse('flowcontrol:acme:hello'))"
    assert project.manage("shell", "-c", reverse).stdout.endswith("/flow/packs/acme/hello/\n")


def test_the_pages_of_a_plugin_that_is_not_in_use_say_to_come_back(project: Project) -> None:
    pages(project)
    result = project.run("visit.py", FLOWCONTROL_PLUGINS="zebra")
    answers = [line.split()[:2] for line in result.stdout.splitlines()]
    assert answers == [["503", "60"], ["404", "None"], ["404", "None"]], result.stderr


def test_pages_that_cannot_be_imported_leave_the_other_pages_alone(project: Project) -> None:
    pages(project, "1 / 0")
    result = project.run("visit.py")
    assert result.stdout.splitlines()[0].startswith("503 60"), result.stderr
    assert "pages cannot be used plugin=acme urls=acme_urls" in result.stderr


def test_a_check_tells_that_pages_are_not_included(project: Project) -> None:
    pages(project, root="urlpatterns = []")
    checked = project.manage("check")
    assert checked.returncode == 0
    assert "(flowcontrol.W007)" in checked.stderr
    pages_included = project.folder / "root_urls.py"
    pages_included.write_text(ROOT_URLS)
    assert "flowcontrol.W007" not in project.manage("check").stderr


def test_an_answer_that_names_no_module_quarantines_the_plugin(project: Project) -> None:
    project.install("acme", GOOD + URLS_HOOK.replace('"acme_urls"', "['acme_urls']"))
    checked = project.manage("check")
    assert checked.returncode == 1
    assert "it has to return the path of a module" in checked.stderr
