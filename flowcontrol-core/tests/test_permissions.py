"""Who may place a plugin's actions in flows, and who may not, at every door of the admin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from admin_world import NO_TRIGGERS, flow, registered
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from flowcontrol.documents import import_flow, to_yaml
from flowcontrol.models import Flow
from flowcontrol.permissions import create_permissions, permission_for
from flowcontrol.plugins.entry_points import Installed
from flowcontrol.plugins.loader import isolated_plugins

pytestmark = pytest.mark.django_db

HOOKS = """
from flowcontrol.base import BaseAction, Effect
from flowcontrol.hookspecs import PluginInfo, hookimpl
from flowcontrol.registry import ActionSpec

class Pay(BaseAction):
    name = "acme.pay"
    effect = Effect.PURE

class Ask(BaseAction):
    name = "acme.ask"
    effect = Effect.PURE

@hookimpl
def flowcontrol_plugin_info():
    return PluginInfo(api="1.0", label="Acme money")

@hookimpl
def flowcontrol_register_actions():
    return [ActionSpec("acme.pay", Pay), ActionSpec("acme.ask", Ask, needs_permission=False)]
"""

PAY = {"id": "pay", "action": "acme.pay"}
ASK = {"id": "ask", "action": "acme.ask"}
COUNT = {"id": "count", "action": "test.count"}
EDITOR = ("view_flow", "add_flow", "change_flow")


@pytest.fixture(autouse=True)
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plugin with one action, beside the project's own actions."""
    (tmp_path / "acme_permission_hooks.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(tmp_path)
    with (
        isolated_plugins([Installed("acme", "acme-flow", "1.0", module="acme_permission_hooks")]),
        registered(),
    ):
        create_permissions()
        yield
    del sys.modules["acme_permission_hooks"]


def browser(*rights: str) -> Client:
    user = User.objects.create(username="editor", password="!", is_staff=True)
    found = Permission.objects.filter(content_type__app_label="flowcontrol", codename__in=rights)
    assert found.count() == len(rights)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


def document(*steps: dict[str, Any], slug: str = "hello") -> str:
    return to_yaml({"flowcontrol": 1, "slug": slug, "name": "Hello", "steps": list(steps)})


def save(client: Client, *steps: dict[str, Any]) -> tuple[int, str]:
    """What saving the draft of "hello" is answered with."""
    stored = Flow.objects.get(slug="hello")
    response = client.post(
        reverse("admin:flowcontrol_flow_change", args=[stored.pk]),
        {"document": document(*steps), "revision": stored.draft_revision, **NO_TRIGGERS},
    )
    return response.status_code, response.content.decode()


def stored_steps(slug: str = "hello") -> list[dict[str, Any]]:
    return list(Flow.objects.get(slug=slug).draft["steps"])


REFUSED = "asks for the permission flowcontrol.use_acme"


def test_there_is_a_permission_for_each_plugin_that_brings_actions() -> None:
    create_permissions()
    found = Permission.objects.filter(codename__startswith="use_", name__contains="Acme")
    assert [(one.codename, one.name) for one in found] == [
        ("use_acme", "Can use actions of Acme money in flows")
    ]
    assert found.get().content_type.model_class() is Flow


def test_migrate_makes_them() -> None:
    Permission.objects.filter(codename="use_acme").delete()
    call_command("migrate", verbosity=0)
    assert Permission.objects.filter(codename="use_acme").exists()


@pytest.mark.parametrize(
    ("action", "permission"),
    [
        ("acme.pay", "flowcontrol.use_acme"),
        ("acme.ask", ""),
        ("test.count", ""),
        # Who could place it while its plugin is away would have it placed when it comes.
        ("acme.refund", "flowcontrol.use_acme"),
        ("later.installed", "flowcontrol.use_later"),
        ("test.counts", "flowcontrol.use_test"),
    ],
)
def test_actions_of_plugins_ask_for_a_permission_and_those_of_the_project_do_not(
    action: str, permission: str
) -> None:
    assert permission_for(action) == permission


def test_what_only_steers_the_run_is_for_every_editor() -> None:
    flow("hello", [COUNT])
    assert save(browser(*EDITOR), COUNT, ASK)[0] == 302
    assert [step["id"] for step in stored_steps()] == ["count", "ask"]


def test_a_plugin_whose_actions_only_steer_the_run_has_no_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = HOOKS.replace('ActionSpec("acme.pay", Pay), ', "").replace("acme.", "bare.")
    (tmp_path / "bare_permission_hooks.py").write_text(hooks)
    with isolated_plugins([Installed("bare", "bare-flow", "1.0", module="bare_permission_hooks")]):
        create_permissions()
    assert not Permission.objects.filter(codename="use_bare").exists()


def test_an_editor_without_the_permission_cannot_add_the_step_and_loses_nothing_typed() -> None:
    flow("hello", [COUNT])
    status, page = save(browser(*EDITOR), COUNT, PAY)
    assert status == 200
    assert REFUSED in page
    assert "action: acme.pay" in page
    assert [step["id"] for step in stored_steps()] == ["count"]


def test_a_misspelt_action_is_told_with_what_there_is() -> None:
    flow("hello", [COUNT])
    _, page = save(browser(*EDITOR), {"id": "count", "action": "test.counts"})
    assert "The app" in page or "has no such action" in page
    assert "test.count" in page


def test_an_editor_with_the_permission_can() -> None:
    flow("hello", [COUNT])
    status, _ = save(browser(*EDITOR, "use_acme"), COUNT, PAY)
    assert status == 302
    assert [step["id"] for step in stored_steps()] == ["count", "pay"]


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "pay", "action": "acme.pay", "config": {"amount": 9}},
        {"id": "pay", "action": "acme.pay", "enabled": False},
        {"id": "pay", "action": "acme.pay", "retry": {"attempts": 3}},
        {"id": "pay2", "action": "acme.pay"},
        {"id": "outer", "action": "test.rounds", "config": {"times": 2}, "steps": [{**PAY, "id": "pay2"}]},
        {"id": "outer", "action": "test.rounds", "branches": {"else": [{**PAY, "id": "pay2"}]}},
    ],
)
def test_a_step_that_is_there_cannot_be_changed_into_another_one(changed: dict[str, Any]) -> None:
    flow("hello", [PAY])
    status, page = save(browser(*EDITOR), changed)
    assert (status, REFUSED in page) == (200, True)
    assert stored_steps() == [PAY]


@pytest.mark.parametrize(
    "steps",
    [
        [PAY, COUNT],
        [],
        [{**PAY, "name": "Pay", "note": "Ask Ada"}],
        [{"id": "outer", "action": "test.rounds", "config": {"times": 2}, "steps": [PAY]}],
    ],
)
def test_what_stands_in_a_flow_keeps_nobody_from_editing_the_rest(steps: list[dict[str, Any]]) -> None:
    flow("hello", [PAY])
    status, page = save(browser(*EDITOR), *steps)
    assert status == 302, page
    assert stored_steps() == steps


def test_a_step_of_the_published_version_can_be_brought_back() -> None:
    flow("hello", [PAY])
    client = browser(*EDITOR)
    assert save(client)[0] == 302
    assert save(client, PAY)[0] == 302


@pytest.mark.parametrize(("rights", "slugs"), [((), []), (("use_acme",), ["hello", "other"])])
def test_an_import_is_all_or_nothing_for_who_may_place_all_it_has(
    rights: tuple[str, ...], slugs: list[str]
) -> None:
    client = browser(*EDITOR, *rights)
    text = f"{document(COUNT)}---\n{document(PAY, slug='other')}"
    response = client.post(reverse("admin:flowcontrol_flow_import"), {"text": text})
    assert (REFUSED in response.content.decode()) is not bool(rights)
    assert list(Flow.objects.order_by("slug").values_list("slug", flat=True)) == slugs


def test_an_import_of_what_is_there_already_is_no_placing() -> None:
    flow("hello", [PAY])
    text = document(PAY, COUNT)
    response = browser(*EDITOR).post(reverse("admin:flowcontrol_flow_import"), {"text": text})
    assert response.status_code == 302
    assert len(stored_steps()) == 2


def test_an_import_that_is_no_document_is_told_as_such() -> None:
    response = browser(*EDITOR).post(reverse("admin:flowcontrol_flow_import"), {"text": "steps: 3"})
    page = response.content.decode()
    assert response.status_code == 200
    assert "steps" in page
    assert REFUSED not in page


def test_a_superuser_and_code_are_not_asked() -> None:
    import_flow({"flowcontrol": 1, "slug": "hello", "name": "Hello", "steps": [PAY]})
    client = browser(*EDITOR)
    User.objects.update(is_superuser=True)
    assert save(client, {**PAY, "id": "pay2"})[0] == 302
