"""Loading plugins from real distributions: each behind a fence, each with a report, none half loaded."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.core.checks import Error, Info
from django.core.checks import Warning as Caution
from django.test import override_settings
from flowcontrol import __version__, checks, hookspecs, plugins, registry, schedulers
from flowcontrol.engine.polling import PollingScheduler
from flowcontrol.exceptions import PluginError
from flowcontrol.plugins.entry_points import scan
from flowcontrol.plugins.loaded import LoadedPlugins
from flowcontrol.plugins.loader import enforce, isolated_plugins
from flowcontrol.plugins.policy import Policy, policy_of
from flowcontrol.plugins.report import Problem, State
from flowcontrol.signals import RunInfo

GOOD = """
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, FilterSpec, SchedulerSpec, TriggerSpec

@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0", label="{name}")

@hookimpl
def flowcontrol_register_actions():
    return [ActionSpec("{name}.act", "{name}_actions:Act", "Act")]

@hookimpl
def flowcontrol_register_triggers():
    return [TriggerSpec("{name}.happened", model="auth.user")]

@hookimpl
def flowcontrol_register_filters():
    return [FilterSpec("{name}_shout", "builtins:str.upper")]

@hookimpl
def flowcontrol_register_schedulers():
    return [SchedulerSpec("{name}", "{name}_scheduler:Scheduler")]

@hookimpl
def flowcontrol_register_credential_kinds():
    return [CredentialKindSpec("{name}.key", "{name}_credentials:Key")]
"""

INFO = """
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec, CredentialKindSpec, FilterSpec, SchedulerSpec, TriggerSpec

@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0")
"""

Install = Callable[..., None]
Load = Callable[..., LoadedPlugins]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions; what is imported from it is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    with registry.preserved():
        yield folder
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def install(site: Path) -> Install:
    def install(
        name: str, code: str = GOOD, *, distribution: str = "", version: str = "1.0", app: str = ""
    ) -> None:
        distribution = distribution or f"flowcontrol-actions-{name}"
        module = f"{distribution.replace('-', '_')}_hooks"
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = ["[flowcontrol]", f"{name} = {module}"]
        if app:
            lines += ["[flowcontrol.apps]", f"{name} = {app}"]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        (site / f"{module}.py").write_text(code.replace("{name}", name))

    return install


@pytest.fixture
def load(site: Path) -> Iterator[Load]:
    with ExitStack() as stack:

        def load(*entries: str) -> LoadedPlugins:
            return stack.enter_context(isolated_plugins(scan([str(site)]), entries or ("*",)))

        yield load


def report_of(loaded: LoadedPlugins, name: str) -> plugins.PluginReport:
    report = loaded.report(name)
    assert report is not None
    return report


def messages(*, deploy: bool = False) -> dict[str, str]:
    found = [message for check in checks.CHECKS for message in check()]
    if deploy:
        found += checks.check_deployment()
    return {str(message.id): f"{message.msg} {message.hint or ''}" for message in found}


def test_a_good_plugin_is_active_with_everything_it_declares(install: Install, load: Load) -> None:
    install("acme")
    report = report_of(load(), "acme")
    assert (report.state, report.distribution, report.version) == (
        State.ACTIVE,
        "flowcontrol-actions-acme",
        "1.0",
    )
    assert (report.actions, report.triggers, report.filters, report.schedulers) == (
        ("acme.act",),
        ("acme.happened",),
        ("acme_shout",),
        ("acme",),
    )
    assert report.credential_kinds == ("acme.key",)
    assert registry.credential_kinds.provider("acme.key") == 'plugin "acme" (flowcontrol-actions-acme 1.0)'
    assert (report.source, report.api, report.label, report.warnings) == ("wheel", "1.0", "acme", ())
    assert registry.actions.provider("acme.act") == 'plugin "acme" (flowcontrol-actions-acme 1.0)'
    assert "acme_actions" not in sys.modules


def test_after_isolation_nothing_of_the_plugins_is_left(install: Install, site: Path) -> None:
    install("acme")
    kinds = registry.credential_kinds.names()
    before = (registry.actions.names(), registry.triggers.names(), plugins.reports())
    with isolated_plugins(scan([str(site)])):
        assert "acme.act" in registry.actions
    assert (registry.actions.names(), registry.triggers.names(), plugins.reports()) == before
    assert registry.credential_kinds.names() == kinds


def test_a_plugin_that_is_switched_off_is_not_imported_and_its_actions_say_so(
    install: Install, load: Load
) -> None:
    install("acme", "raise RuntimeError('must not be imported')")
    loaded = load("*", "-acme")
    assert report_of(loaded, "acme").state is State.DISABLED
    assert loaded.problems == ()
    missing = registry.actions.resolve("acme.act")
    assert isinstance(missing, registry.MissingAction)
    assert 'is installed, but FLOWCONTROL["PLUGINS"] leaves it out' in missing.reason
    assert missing.hint == 'Take "-acme" off the list and restart.'


def test_a_plugin_that_is_not_named_is_to_be_added_to_the_list(install: Install, load: Load) -> None:
    install("acme")
    assert report_of(load("zebra"), "acme").hint == 'Add "acme" to the list and restart.'


BROKEN: list[tuple[str, str, str]] = [
    ("syntax", "def broken(:", "SyntaxError"),
    ("import", "import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
    ("exit", "import sys; sys.exit(3)", "SystemExit: 3"),
    ("empty", "", "has no hook flowcontrol_plugin_info"),
    ("unmarked", "def flowcontrol_plugin_info(): pass", "has no hook flowcontrol_plugin_info"),
    ("info", INFO.replace('PluginInfo(api="1.0")', '{"api": "1.0"}'), "it has to be a PluginInfo"),
    ("info raises", INFO.replace('PluginInfo(api="1.0")', "1 / 0"), "ZeroDivisionError"),
    ("api", INFO.replace('"1.0"', "1.0"), "asks for the API 1.0; that has to be text"),
    (
        "argument",
        INFO + "@hookimpl\ndef flowcontrol_run_started(run, extra): pass\n",
        "flowcontrol_run_started",
    ),
    (
        "wrapper",
        INFO + "@hookimpl(wrapper=True)\ndef flowcontrol_run_started(run):\n    yield\n",
        "wrappers are not supported",
    ),
    ("none", INFO + "@hookimpl\ndef flowcontrol_register_actions(): pass\n", "returned None"),
    (
        "generator",
        INFO + "@hookimpl\ndef flowcontrol_register_actions():\n    yield 1 / 0\n",
        "flowcontrol_register_actions raised ZeroDivisionError",
    ),
    (
        "type",
        INFO + "@hookimpl\ndef flowcontrol_register_actions(): return ['acme.act']\n",
        "'acme.act', which is no ActionSpec",
    ),
    (
        "prefix",
        INFO + "@hookimpl\ndef flowcontrol_register_actions(): return [ActionSpec('http.act', 'a:B')]\n",
        "declares the name 'http.act', but names of this plugin begin with \"acme.\"",
    ),
    (
        "letters",
        INFO + "@hookimpl\ndef flowcontrol_register_triggers(): return [TriggerSpec('acme.Act')]\n",
        "declares the name 'acme.Act'",
    ),
    (
        "path",
        INFO + "@hookimpl\ndef flowcontrol_register_actions(): return [ActionSpec('acme.act', 'a.b')]\n",
        'a path is written "package.module:Name"',
    ),
    (
        "class",
        INFO + "@hookimpl\ndef flowcontrol_register_actions(): return [ActionSpec('acme.act', int)]\n",
        "inherits flowcontrol.base.BaseAction",
    ),
    (
        "model",
        INFO + "@hookimpl\ndef flowcontrol_register_triggers(): return [TriggerSpec('acme.x', model='u')]\n",
        'a model is "app.model"',
    ),
    (
        "scheduler",
        INFO + "@hookimpl\ndef flowcontrol_register_schedulers(): return [SchedulerSpec('polling', 'a:B')]\n",
        "declares the name 'polling', but a scheduler of this plugin is named",
    ),
    (
        "kind",
        INFO
        + "@hookimpl\ndef flowcontrol_register_credential_kinds(): return [CredentialKindSpec('x.y', 'a:B')]\n",
        "declares the name 'x.y', but names of this plugin begin with \"acme.\"",
    ),
    (
        "kind's class",
        INFO
        + "@hookimpl\ndef flowcontrol_register_credential_kinds(): return [CredentialKindSpec('acme.k', int)]\n",
        "inherits flowcontrol.credentials.CredentialKind",
    ),
    (
        "twice",
        INFO + "@hookimpl\ndef flowcontrol_register_actions():\n"
        "    return [ActionSpec('acme.act', 'a:B'), ActionSpec('acme.act', 'a:C')]\n",
        "has this name",
    ),
]


@pytest.mark.parametrize(("code", "says"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_broken_plugin_is_quarantined_with_its_error_and_the_others_load(
    code: str, says: str, install: Install, load: Load
) -> None:
    install("acme", code)
    install("zebra")
    loaded = load()
    report = report_of(loaded, "acme")
    assert (report.state, report.problem) == (State.QUARANTINED, Problem.BROKEN)
    assert says in report.reason
    assert report.hint.endswith('To go on without it: FLOWCONTROL_PLUGINS="*,-acme"')
    assert report_of(loaded, "zebra").is_active
    assert [name for name in registry.actions.names() if name.startswith("acme")] == []
    missing = registry.actions.resolve("acme.act")
    assert isinstance(missing, registry.MissingAction)
    assert missing.reason == report.reason
    assert says in messages()["flowcontrol.E002"]


def test_a_plugin_whose_last_declaration_is_bad_registers_nothing_at_all(
    install: Install, load: Load
) -> None:
    install("acme", GOOD.replace('"{name}_scheduler:Scheduler"', '"not a path"'))
    assert report_of(load(), "acme").state is State.QUARANTINED
    assert "acme.key" not in registry.credential_kinds
    assert "acme.act" not in registry.actions
    assert "acme.happened" not in registry.triggers


def test_a_plugin_that_takes_a_name_of_the_project_is_quarantined_and_both_are_named(
    install: Install, load: Load
) -> None:
    registry.register_trigger("acme.happened")
    install("acme")
    report = report_of(load(), "acme")
    assert 'trigger type "acme.happened" of plugin "acme" (flowcontrol-actions-acme 1.0)' in report.reason
    assert f"{__name__} has this name" in report.reason
    assert "acme.act" not in registry.actions


@pytest.mark.parametrize(
    ("asked", "state", "way_out"),
    [
        ("1.0", State.ACTIVE, ""),
        ("1.99", State.QUARANTINED, "pip install --upgrade flowcontrol-core"),
        ("2.0", State.QUARANTINED, "pip install --upgrade flowcontrol-core"),
        ("0.9", State.QUARANTINED, "pip install --upgrade flowcontrol-actions-acme"),
    ],
)
def test_a_plugin_names_the_least_api_it_needs(
    asked: str, state: State, way_out: str, install: Install, load: Load
) -> None:
    install("acme", GOOD.replace('"1.0"', f'"{asked}"'))
    report = report_of(load(), "acme")
    assert report.state is state
    assert report.hint.startswith(way_out)
    if state is State.QUARANTINED:
        assert (
            report.reason == f"It needs the plugin API {asked}, and the installed flowcontrol-core has 1.0."
        )
        assert asked in messages()["flowcontrol.E004"]


HEARS = """
heard = []

@hookimpl
def flowcontrol_run_finished():
    heard.append("finished")
"""


def test_an_old_plugin_goes_on_working_with_a_newer_core(
    install: Install, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for the API of its time, takes fewer arguments, and knows nothing of the hooks that came since."""
    monkeypatch.setattr("flowcontrol.plugins.declared.API_VERSION", "1.7")
    install("acme", GOOD + HEARS)
    report = report_of(load(), "acme")
    assert (report.state, report.api, report.warnings) == (State.ACTIVE, "1.0", ())
    assert report.actions == ("acme.act",)
    plugins.notify("flowcontrol_run_finished", run=RUN)
    assert sys.modules["flowcontrol_actions_acme_hooks"].heard == ["finished"]


def test_a_plugin_of_an_older_major_api_is_left_out_with_where_to_look(
    install: Install, load: Load, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowcontrol.plugins.declared.API_VERSION", "2.0")
    install("acme")
    with (site / "flowcontrol_actions_acme-1.0.dist-info" / "METADATA").open("a") as metadata:
        metadata.write("Project-URL: Source, https://example.org/acme\n")
    report = report_of(load(), "acme")
    assert (report.state, report.problem) == (State.QUARANTINED, Problem.API)
    assert report.reason == "It needs the plugin API 1.0, and the installed flowcontrol-core has 2.0."
    assert report.hint.startswith(
        "pip install --upgrade flowcontrol-actions-acme, or see https://example.org/acme. "
    )
    assert "acme.act" not in registry.actions


@pytest.mark.parametrize(
    "of_the_future",
    [
        "@hookimpl\ndef flowcontrol_run_started(run, weather): pass\n",
        "@hookimpl(wrapper=True)\ndef flowcontrol_run_started(run): yield\n",
        "@hookimpl\ndef flowcontrol_register_actions(): return [object()]\n",
    ],
)
def test_a_plugin_that_is_too_new_is_told_so_whatever_else_is_new_about_it(
    of_the_future: str, install: Install, load: Load
) -> None:
    install("acme", GOOD.replace('"1.0"', '"1.4"') + of_the_future)
    report = report_of(load(), "acme")
    assert (report.problem, report.phase) == (Problem.API, "api")
    assert report.hint.startswith("pip install --upgrade flowcontrol-core")


def test_a_plugin_that_imports_what_the_core_does_not_have_is_made_for_another_one(
    install: Install, load: Load
) -> None:
    install("acme", "from flowcontrol.hookspecs import Forecast\n" + GOOD)
    report = report_of(load(), "acme")
    assert report.state is State.QUARANTINED
    assert "cannot import name 'Forecast' from 'flowcontrol.hookspecs'" in report.reason
    assert report.hint.startswith(f"It is made for another flowcontrol-core than {__version__}: pip check")


@pytest.mark.parametrize("name", ["flow", "core", "flowcontrol", "Acme", "acme-mail", "9lives"])
def test_a_plugin_name_that_cannot_begin_an_action_name_is_refused_before_import(
    name: str, install: Install, load: Load
) -> None:
    install(name, "raise RuntimeError('must not be imported')", distribution="acme-dist")
    report = report_of(load(), name)
    assert (report.state, report.phase) == (State.QUARANTINED, "name")


def test_rivals_for_one_name_are_reported_by_a_check_that_names_both(install: Install, load: Load) -> None:
    install("acme", distribution="acme-one")
    install("acme", distribution="acme-two")
    assert [report.state for report in load().reports] == [State.QUARANTINED, State.QUARANTINED]
    assert "acme-one 1.0 and acme-two 1.0" in messages()["flowcontrol.E003"]
    assert 'FLOWCONTROL_PLUGINS="*,-acme-' in messages()["flowcontrol.E003"]


def test_the_preferred_rivals_actions_are_there_though_the_other_is_disabled(
    install: Install, load: Load
) -> None:
    install("acme", distribution="acme-one")
    install("acme", distribution="acme-two")
    loaded = load("acme-two", "*")
    assert [(report.distribution, report.state) for report in loaded.reports] == [
        ("acme-two", State.ACTIVE),
        ("acme-one", State.DISABLED),
    ]
    unknown = registry.actions.resolve("acme.atc")
    assert isinstance(unknown, registry.MissingAction)
    assert unknown.hint == "Did you mean “acme.act”?"


def test_an_older_copy_further_down_the_path_is_not_a_rival(install: Install, site: Path) -> None:
    install("acme", version="1.0")
    other = site.parent / "older"
    other.mkdir()
    stale = other / "flowcontrol_actions_acme-0.5.dist-info"
    stale.mkdir()
    (stale / "METADATA").write_text("Metadata-Version: 2.1\nName: flowcontrol-actions-acme\nVersion: 0.5\n")
    (stale / "entry_points.txt").write_text("[flowcontrol]\nacme = other\n")
    assert [one.version for one in scan([str(site), str(other)])] == ["1.0"]


def test_damaged_metadata_of_one_distribution_hides_no_other(
    install: Install, site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install("acme")
    damaged = site / "damaged-1.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_bytes(b"[flowcontrol]\nbad = \xff\xfe\n")
    (damaged / "METADATA").write_text("Name: damaged\n")
    assert [one.name for one in scan([str(site)])] == ["acme"]
    assert "metadata cannot be read" in caplog.text


def test_an_editable_install_shows_its_folder(install: Install, site: Path) -> None:
    install("acme")
    (site / "flowcontrol_actions_acme-1.0.dist-info" / "direct_url.json").write_text(
        '{"url": "file:///home/ann/my%20pack", "dir_info": {"editable": true}}'
    )
    (plugin,) = scan([str(site)])
    assert plugin.source == "editable /home/ann/my pack"


def test_a_missing_plugin_is_an_error_with_the_line_to_install_it(load: Load) -> None:
    loaded = load("acme")
    assert report_of(loaded, "acme").state is State.MISSING
    text = messages()["flowcontrol.E001"]
    assert "pip install flowcontrol-actions-acme" in text
    assert 'FLOWCONTROL_PLUGINS="acme,-acme"' in text


def test_functions_that_look_like_hooks_and_are_none_are_pointed_out(install: Install, load: Load) -> None:
    install(
        "acme",
        INFO
        + "def flowcontrol_register_actions(): return []\n"
        + "@hookimpl\ndef flowcontrol_run_startet(run): pass\n"
        + "@hookimpl(optionalhook=True)\ndef flowcontrol_of_the_future(run): pass\n",
    )
    report = report_of(load(), "acme")
    assert report.is_active
    unmarked, unknown = (sentence.partition(".")[2] for sentence in report.warnings)
    assert unmarked == "flowcontrol_register_actions has no @hookimpl, so it is never called."
    assert unknown.startswith("flowcontrol_run_startet implements a hook that does not exist.")
    assert unknown.endswith("Did you mean “flowcontrol_run_started”?")
    assert "flowcontrol.W002" in messages()


def test_a_hook_module_of_the_project_needs_no_distribution(site: Path, load: Load) -> None:
    (site / "acmeproject").mkdir()
    (site / "acmeproject" / "__init__.py").touch()
    (site / "acmeproject" / "workflows.py").write_text(GOOD.replace("{name}", "acmeproject"))
    loaded = load("acmeproject.workflows")
    report = report_of(loaded, "acmeproject.workflows")
    assert (report.state, report.source, report.actions) == (State.ACTIVE, "project", ("acmeproject.act",))


def test_a_hook_module_of_the_project_may_choose_its_prefix(site: Path, load: Load) -> None:
    code = GOOD.replace("{name}", "sales").replace('api="1.0"', 'api="1.0", name="sales"')
    (site / "acme_single.py").write_text(code)
    (site / "acme").mkdir()
    (site / "acme" / "__init__.py").touch()
    (site / "acme" / "workflows.py").write_text(code)
    assert report_of(load("acme.workflows"), "acme.workflows").actions == ("sales.act",)


LISTENER = (
    INFO
    + """
heard = []

@hookimpl{mark}
def flowcontrol_run_finished(run):
    {body}
"""
)

RUN = RunInfo(id=1, flow="welcome", status="completed")


def listener(name: str, mark: str = "", body: str = "") -> str:
    noting = f"import builtins; builtins.flowcontrol_heard.append('{name}')"
    return LISTENER.replace("{mark}", mark).replace("{body}", body or noting)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr("builtins.flowcontrol_heard", names, raising=False)
    return names


def test_notifications_reach_plugins_in_the_order_of_the_list(
    install: Install, load: Load, heard: list[str]
) -> None:
    install("one", listener("one", "(trylast=True)"))
    install("two", listener("two"))
    install("three", listener("three"))
    install("four", listener("four", "(tryfirst=True)"))
    load("one", "three", "two", "four")
    plugins.notify("flowcontrol_run_finished", run=RUN)
    assert heard == ["four", "three", "two", "one"]


def test_a_listener_that_raises_stops_nobody_and_is_counted(
    install: Install, load: Load, heard: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    install("bad", listener("bad", body="1 / 0"))
    install("good", listener("good"))
    loaded = load("bad", "good")
    plugins.notify("flowcontrol_run_finished", run=RUN)
    plugins.notify("flowcontrol_run_finished", run=RUN)
    assert heard == ["good", "good"]
    assert dict(loaded.failures) == {"bad": 2}
    assert [record.message for record in caplog.records] == [
        "notification failed plugin=bad hook=flowcontrol_run_finished"
    ] * 2


def test_a_listener_may_leave_out_the_argument_and_nobody_needs_to_listen(
    install: Install, load: Load, heard: list[str]
) -> None:
    install("acme", listener("acme").replace("run_finished(run)", "run_finished()"))
    load()
    plugins.notify("flowcontrol_run_finished", run=RUN)
    plugins.notify("flowcontrol_run_started", run=RUN)
    assert heard == ["acme"]


def test_raising_names_plugin_distribution_phase_and_the_way_on(install: Install, load: Load) -> None:
    install("acme", "1 / 0")
    loaded = load("*")
    with pytest.raises(PluginError) as caught:
        enforce(loaded, Policy.RAISE)
    assert str(caught.value) == (
        'The plugin "acme" (flowcontrol-actions-acme 1.0) cannot be used (import). '
        "Importing flowcontrol_actions_acme_hooks raised ZeroDivisionError: division by zero "
        'Mend or update it. To go on without it: FLOWCONTROL_PLUGINS="*,-acme"'
    )
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_isolating_logs_each_problem_once_with_its_traceback(
    install: Install, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    install("acme", "1 / 0")
    enforce(load("*", "gone", "§"), Policy.ISOLATE)
    assert [(record.levelno, bool(record.exc_info)) for record in caplog.records] == [
        (logging.ERROR, False),
        (logging.ERROR, True),
        (logging.ERROR, False),
    ]
    assert "plugin=acme phase=import" in caplog.text


def test_reporting_leaves_it_to_the_checks(
    install: Install, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    install("acme", "1 / 0")
    enforce(load(), Policy.REPORT)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("command", "auto", "strict"),
    [
        ("manage.py check", Policy.REPORT, Policy.REPORT),
        ("manage.py", Policy.REPORT, Policy.REPORT),
        ("manage.py flowcontrol plugins", Policy.REPORT, Policy.REPORT),
        ("manage.py flowcontrol worker", Policy.ISOLATE, Policy.RAISE),
        ("/srv/site/manage.py migrate", Policy.RAISE, Policy.RAISE),
        ("django-admin makemigrations", Policy.RAISE, Policy.RAISE),
        ("/lib/django/__main__.py migrate", Policy.RAISE, Policy.RAISE),
        ("manage.py runserver", Policy.RAISE, Policy.RAISE),
        ("manage.py test", Policy.RAISE, Policy.RAISE),
        ("/venv/bin/pytest -q", Policy.RAISE, Policy.RAISE),
        ("/lib/pytest/__main__.py", Policy.RAISE, Policy.RAISE),
        ("manage.py send_newsletter", Policy.ISOLATE, Policy.RAISE),
        ("/venv/bin/gunicorn check", Policy.ISOLATE, Policy.RAISE),
        ("/venv/bin/celery worker", Policy.ISOLATE, Policy.RAISE),
        ("", Policy.ISOLATE, Policy.RAISE),
    ],
)
def test_the_kind_of_process_decides_what_a_broken_plugin_does(
    command: str, auto: Policy, strict: Policy
) -> None:
    argv: Sequence[str] = command.split()
    assert (policy_of(argv, "auto"), policy_of(argv, "raise")) == (auto, strict)
    assert policy_of(argv, "isolate") is (Policy.REPORT if auto is Policy.REPORT else Policy.ISOLATE)


def test_where_plugins_are_isolated_their_checks_warn_and_elsewhere_they_are_errors(
    install: Install, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme", "1 / 0")
    load()
    monkeypatch.setattr(sys, "argv", ["manage.py", "check"])
    (found,) = checks.check_plugins()
    assert isinstance(found, Error)
    monkeypatch.setattr(sys, "argv", ["manage.py", "send_newsletter"])
    (found,) = checks.check_plugins()
    assert isinstance(found, Caution)
    assert found.id == "flowcontrol.E002"


def test_the_environment_in_force_is_mentioned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWCONTROL_PLUGINS", "")
    with isolated_plugins([], None) as loaded:
        assert (loaded.entries, loaded.is_from_environment) == ((), True)
        (found,) = checks.check_plugins()
        assert isinstance(found, Info)
        assert found.msg.endswith("(nothing: core alone).")


@override_settings(FLOWCONTROL={"PLUGINS": "builtin", "SHEDULER": "celery", "SCHEDULER": "pollin"})
def test_settings_that_cannot_be_used_are_all_reported_at_once() -> None:
    with isolated_plugins([], None) as loaded:
        assert loaded.entries == ()
        found = messages()
    assert set(found) >= {"flowcontrol.E008", "flowcontrol.E009", "flowcontrol.W001"}
    assert "Did you mean “SCHEDULER”" in found["flowcontrol.W001"]
    assert "Did you mean “polling”" in found["flowcontrol.E009"]
    assert "flowcontrol.E006" not in found


def test_an_app_pack_whose_app_is_not_installed_is_pointed_out(install: Install, load: Load) -> None:
    install("acme", app="acme_pack.apps:AcmeConfig")
    load()
    assert "acme_pack.apps.AcmeConfig, which is not in INSTALLED_APPS" in messages()["flowcontrol.W003"]


def test_a_name_that_leads_to_nobody_is_pointed_out(load: Load) -> None:
    load()
    registry.register_trigger("nobody.happened")
    assert 'trigger type "nobody.happened"' in messages()["flowcontrol.W004"]


def test_for_production_the_list_to_write_is_given(install: Install, load: Load) -> None:
    install("acme")
    install("zebra")
    load("*")
    assert 'FLOWCONTROL = {"PLUGINS": ["acme", "zebra"]}' in messages(deploy=True)["flowcontrol.W005"]
    load("acme", "zebra")
    assert "flowcontrol.W005" not in messages(deploy=True)


def test_every_check_has_a_documented_id_and_the_tag() -> None:
    assert all(sentence.endswith(".") for sentence in checks.CHECK_IDS.values())
    assert list(checks.CHECK_IDS) == list(dict.fromkeys(checks.CHECK_IDS))


def test_every_hook_is_documented_and_exported() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("flowcontrol_")]
    assert sorted(hooks) == sorted(name for name in hookspecs.__all__ if name.startswith("flowcontrol_"))
    assert [name for name in hooks if not getattr(hookspecs, name).__doc__] == []


def test_the_polling_scheduler_is_there_without_any_plugin(load: Load) -> None:
    load("-*")
    scheduler = schedulers.get_scheduler()
    assert isinstance(scheduler, PollingScheduler)
    scheduler.runs_ready([1, 2])
    assert schedulers.get_scheduler() is scheduler


@pytest.mark.timing
def test_ten_plugins_add_at_most_20_ms_beyond_their_own_imports(install: Install, site: Path) -> None:
    for number in range(10):
        install(f"acme{number}")
    found = scan([str(site)])

    def seconds(*entries: str) -> float:
        began = time.process_time()
        with isolated_plugins(found, entries) as loaded:
            spent = time.process_time() - began
            imports = sum(report.import_ms for report in loaded.reports if report.is_active)
            assert len([report for report in loaded.reports if report.is_active]) == len(entries) * 10
        return spent - imports / 1000

    # The first time pays for the imports; the least of some is what the machine's other work left alone.
    assert min(seconds("acme*") for _ in range(5)) - min(seconds() for _ in range(5)) < 0.02
