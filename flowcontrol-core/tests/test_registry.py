"""Actions and trigger types by name: the missing has a reason, the taken stays, the kept stays alive."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.test.utils import isolate_apps
from flowcontrol import registry
from flowcontrol.base import BaseAction
from flowcontrol.exceptions import ActionNotInstalled, ConfigurationError, RegistrationError
from flowcontrol.registry import ActionSpec, MissingAction, SchedulerSpec

Fired = list[tuple[str, Any, Any]]


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    with registry.preserved():
        yield


@pytest.fixture
def fired(monkeypatch: pytest.MonkeyPatch) -> Fired:
    calls: Fired = []
    monkeypatch.setattr(registry.triggers, "_fire", lambda name, obj, state: calls.append((name, obj, state)))
    return calls


class Greet(BaseAction):
    name = "auth.greet"
    label = "Say hello"


def missing(name: str) -> MissingAction:
    found = registry.actions.resolve(name)
    assert isinstance(found, MissingAction)
    return found


def test_a_registered_action_is_one_instance_for_everybody() -> None:
    registry.register_action(Greet)
    assert isinstance(registry.actions.resolve("auth.greet"), Greet)
    assert registry.actions.get("auth.greet") is registry.actions.get("auth.greet")
    assert registry.actions.get_spec("auth.greet") == ActionSpec("auth.greet", Greet, label="Say hello")


def test_registering_the_same_class_again_changes_nothing() -> None:
    assert registry.register_action(registry.register_action(Greet)) is Greet


def test_nobody_overrides_an_action_and_both_sides_are_named() -> None:
    registry.register_action(Greet)
    other = type("Other", (BaseAction,), {"name": "auth.greet"})
    with pytest.raises(RegistrationError, match=r"\S+:Other cannot be registered: \S+:Greet has this name"):
        registry.register_action(other)
    assert type(registry.actions.get("auth.greet")) is Greet


@pytest.mark.parametrize("name", ["", "greet", "Auth.greet", "auth.", "auth.greet!", "auth greet", "1.a"])
def test_a_malformed_name_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(RegistrationError, match=r"shop\.send_invoice"):
        registry.register_action(type("Bad", (BaseAction,), {"name": name}))


def test_only_actions_can_be_registered_as_such() -> None:
    with pytest.raises(RegistrationError, match=r"inherits flowcontrol\.base\.BaseAction"):
        registry.register_action(int)  # type: ignore[type-var]


def test_a_declared_action_is_imported_on_first_use_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lazy_pack.py").write_text(
        "from flowcontrol.base import BaseAction\nclass Slow(BaseAction):\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry.actions.register(ActionSpec("lazy.slow", "lazy_pack:Slow"), "a test")
    assert "lazy_pack" not in sys.modules
    assert registry.actions.specs()[-1].label == "Slow"
    assert registry.actions.get("lazy.slow").name == "lazy.slow"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("class Other: pass", "has no attribute 'Act'"),
        ("class Act: pass", "inherits flowcontrol.base.BaseAction"),
        (
            "from flowcontrol.base import BaseAction\nclass Act(BaseAction): name = 'x.y'",
            'its class says "x.y"',
        ),
    ],
)
def test_an_action_that_cannot_be_imported_is_missing_with_its_error_logged_once(
    code: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = f"broken_pack_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    registry.actions.register(ActionSpec("broken.act", f"{module}:Act"), "the test pack")
    first = missing("broken.act")
    assert says in first.reason
    assert "the test pack declares it" in first.reason
    assert registry.actions.resolve("broken.act") is first
    assert [record.message for record in caplog.records] == [
        f"action cannot be imported action=broken.act path={module}:Act"
    ]
    with pytest.raises(ActionNotInstalled, match=r"broken\.act"):
        registry.actions.get("broken.act")


def test_an_action_of_nobody_names_the_plugin_to_install() -> None:
    assert str(missing("acme_mail.send")) == (
        'The action "acme_mail.send" is missing. No plugin "acme_mail" is installed. '
        "Try: pip install flowcontrol-actions-acme-mail, and restart."
    )


def test_a_mistyped_action_is_answered_with_the_one_that_was_meant() -> None:
    registry.register_action(Greet)
    assert missing("auth.gret").hint == "Did you mean “auth.greet”?"


def test_an_action_of_an_installed_app_names_where_it_would_be_registered() -> None:
    absent = missing("contenttypes.polish")
    assert absent.reason == 'The app "contenttypes" registers no such action.'
    assert "flow_actions" in absent.hint


def test_actions_of_a_plugin_that_is_out_of_use_say_why() -> None:
    registry.actions.mark_unavailable("fax", "The plugin is broken.", "Mend it.")
    assert missing("fax.request") == MissingAction("fax.request", "The plugin is broken.", "Mend it.")


@pytest.mark.parametrize("name", ["", "nonsense", "a.b.c", "ünïcode.x", "x" * 500])
def test_resolving_never_raises(name: str) -> None:
    assert missing(name).reason


def test_many_threads_asking_at_once_get_one_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "threaded_pack.py").write_text(
        "from flowcontrol.base import BaseAction\nclass Act(BaseAction):\n    pass\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry.actions.register(ActionSpec("threaded.act", "threaded_pack:Act"), "a test")
    barrier = threading.Barrier(8)
    found: list[object] = []

    def ask() -> None:
        barrier.wait()
        found.append(registry.actions.resolve("threaded.act"))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in found}) == 1


def test_a_class_declared_as_text_may_register_itself_when_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "both_ways.py").write_text(
        "from flowcontrol.base import BaseAction\nfrom flowcontrol.registry import register_action\n"
        "@register_action\nclass Act(BaseAction):\n    name = 'both.act'\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    registry.actions.register(ActionSpec("both.act", "both_ways:Act"), "a test")
    assert registry.actions.get("both.act").name == "both.act"


def test_what_registers_half_and_then_fails_registers_nothing() -> None:
    def register_half() -> None:
        with registry.undone_on_error():
            registry.register_action(Greet)
            registry.register_trigger("auth.half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        register_half()
    assert "auth.greet" not in registry.actions
    assert "auth.half" not in registry.triggers


def test_a_trigger_fires_its_object_and_state(fired: Fired) -> None:
    trigger = registry.register_trigger("auth.joined", model="auth.User", label="Joined")
    trigger("somebody", {"via": "web"})  # type: ignore[arg-type]
    assert fired == [("auth.joined", "somebody", {"via": "web"})]
    spec = registry.triggers.get("auth.joined")
    assert spec is not None
    assert (spec.label, spec.model) == ("Joined", "auth.user")


def test_a_trigger_type_may_be_repeated_but_not_changed() -> None:
    registry.register_trigger("auth.joined", model=User)
    registry.register_trigger("auth.joined", model="auth.user")
    with pytest.raises(RegistrationError, match=r'"auth\.joined".*has this name'):
        registry.register_trigger("auth.joined", model=Group)


def test_a_trigger_fired_before_the_engine_is_there_hurts_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(registry.triggers, "_fire", None)
    registry.register_trigger("auth.joined")()
    assert "is it in INSTALLED_APPS? trigger=auth.joined" in caplog.text


def test_a_handler_handed_straight_to_connect_survives_garbage_collection(fired: Fired) -> None:
    signal = Signal()
    signal.connect(registry.register_trigger_as_signal_handler("auth.user_saved", model=User))
    gc.collect()
    user = User(username="ann")
    signal.send(sender=User, instance=user, created=True, raw=False, using="default", update_fields=None)
    assert fired == [("auth.user_saved", user, None)]


def test_a_handler_can_be_connected_to_djangos_own_signals_and_disconnected(fired: Fired) -> None:
    handler = registry.register_trigger_as_signal_handler("auth.user_saved", model=User)
    post_save.connect(handler)
    try:
        post_save.send(sender=User, instance=(user := User(username="ann")), created=True, raw=False)
    finally:
        assert post_save.disconnect(handler)
    assert fired == [("auth.user_saved", user, None)]


def test_a_handler_passes_over_other_models_and_fixtures(fired: Fired) -> None:
    handler = registry.register_trigger_as_signal_handler("auth.user_saved", model="auth.User")
    handler(sender=Group, instance=Group(name="staff"), raw=False)
    handler(sender=User, instance=User(username="ann"), raw=True)
    handler(sender=None)
    assert fired == []


@isolate_apps("django.contrib.auth")
def test_proxies_and_children_of_the_model_count_as_it(fired: Fired) -> None:
    meta = type("Meta", (), {"proxy": True, "app_label": "auth"})
    proxy: Any = type("RegistryProxyUser", (User,), {"Meta": meta, "__module__": __name__})
    handler = registry.register_trigger_as_signal_handler("auth.user_saved", model=User)
    handler(sender=proxy, instance=(ann := proxy(username="ann")))
    assert fired == [("auth.user_saved", ann, None)]


def test_a_signal_may_call_its_object_something_else(fired: Fired) -> None:
    handler = registry.register_trigger_as_signal_handler("auth.login", argument="user")
    user = SimpleNamespace()
    handler(sender=User, request=None, user=user)
    assert fired == [("auth.login", user, None)]


def test_an_unknown_scheduler_is_answered_with_those_there_are() -> None:
    registry.schedulers.register(SchedulerSpec("cadence", "nothing_of_this_name:Scheduler"), "a test")
    with pytest.raises(ConfigurationError, match="Did you mean “cadence”"):
        registry.schedulers.load("cadense")
    with pytest.raises(ConfigurationError, match=r'of a test cannot be imported.*to "polling"'):
        registry.schedulers.load("cadence")
