"""Who may do what in the admin: every URL of it, by every role, against one table."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from admin_world import flow, registered, rows_of_everything, run_with, world
from django.contrib import admin
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from flowcontrol.documents import to_yaml
from flowcontrol.models import Event, Flow, FlowRun, RunStatus, Trigger

pytestmark = pytest.mark.django_db

_VIEW = {"view_flow", "view_flowrun", "view_trigger", "view_event"}

#: Roles, by the rights that they have in this app. Superusers and who is nobody are seen to by name.
ROLES = {
    "anonymous": set(),
    "staff": set(),
    "viewer": _VIEW,
    "editor": _VIEW | {"add_flow", "change_flow", "add_trigger", "change_trigger"},
    "publisher": _VIEW | {"publish_flow"},
    "starter": _VIEW | {"start_flow"},
    "operator": _VIEW | {"operate_flowrun"},
    "superuser": set(),
}  # fmt: skip

_READERS = "viewer editor publisher starter operator superuser"
_NOBODY = ""
_SUPERUSER = "superuser"
_EDITORS = "editor superuser"


class Rule(NamedTuple):
    """Who gets an answer to GET, and to POST; None: the method is answered with 405."""

    get: str | None
    post: str | None


#: A URL that is not in here fails the test, as does an entry without a URL.
RULES = {
    "flow_changelist": Rule(_READERS, _READERS),  # a bulk action asks for its own right: see below
    "flow_add": Rule(_EDITORS, _EDITORS),
    "flow_import": Rule(_EDITORS, _EDITORS),
    "flow_change": Rule(_READERS, _EDITORS),
    "flow_history": Rule(_READERS, _READERS),
    "flow_export": Rule(_READERS, None),
    "flow_versions": Rule(_READERS, None),
    "flow_delete": Rule(_SUPERUSER, _SUPERUSER),
    "flow_publish": Rule(None, "publisher superuser"),
    "flow_activate": Rule(None, "publisher superuser"),
    "flow_deactivate": Rule(None, "publisher superuser"),
    "flow_start": Rule("starter superuser", "starter superuser"),
    "flowrun_changelist": Rule(_READERS, _READERS),
    "flowrun_add": Rule(_NOBODY, _NOBODY),
    "flowrun_change": Rule(_READERS, None),
    "flowrun_history": Rule(_READERS, _READERS),
    "flowrun_delete": Rule(_SUPERUSER, _SUPERUSER),
    "flowrun_cancel": Rule(None, "operator superuser"),
    "flowrun_pause": Rule(None, "operator superuser"),
    "flowrun_resume": Rule(None, "operator superuser"),
    "flowrun_restart": Rule(None, "operator superuser"),
    "trigger_changelist": Rule(_READERS, _READERS),
    "trigger_add": Rule(_EDITORS, _EDITORS),
    "trigger_change": Rule(_READERS, _EDITORS),
    "trigger_history": Rule(_READERS, _READERS),
    "trigger_delete": Rule(_SUPERUSER, _SUPERUSER),
    "event_changelist": Rule(_READERS, _READERS),
    "event_add": Rule(_NOBODY, _NOBODY),
    "event_change": Rule(_READERS, _NOBODY),
    "event_history": Rule(_READERS, _READERS),
    "event_delete": Rule(_NOBODY, _NOBODY),
}

DRAFT = {"flowcontrol": 1, "slug": "hello", "name": "Changed", "steps": []}


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registered():
        yield


def user(role: str) -> User | AnonymousUser:
    if role == "anonymous":
        return AnonymousUser()
    made = User.objects.create(username=role, password="!", is_staff=True, is_superuser=role == "superuser")
    rights = Permission.objects.filter(content_type__app_label="flowcontrol", codename__in=ROLES[role])
    assert rights.count() == len(ROLES[role])
    made.user_permissions.set(rights)
    return made


def browser(role: str) -> Client:
    client = Client()
    somebody = user(role)
    if isinstance(somebody, User):
        client.force_login(somebody)
    return client


def objects() -> dict[str, Any]:
    """A row of each model, such that everything could be done to it."""
    pause = {"id": "rest", "action": "test.pause", "config": {"seconds": 60}}
    waiting = run_with(flow("busy", [pause]))
    hello = flow("hello", [pause], triggers=[{"on": "test.ping"}])
    return {
        "flow": hello,
        "trigger": Trigger.objects.get(),
        "event": Event.objects.create(name="x", created_at=timezone.now()),
        "waiting": waiting,
        "ended": run_with(flow("empty")),
    }


def data(name: str, rows: dict[str, Any]) -> dict[str, Any]:
    """A form that would change something, if it were let."""
    trigger = {"flow": rows["flow"].pk, "on": "test.ping", "does": "start", "condition": "1"}
    return {
        "flow_import": {"text": to_yaml({**DRAFT, "slug": "new"}), "publish": "on"},
        "flow_change": {
            "document": to_yaml(DRAFT),
            "revision": rows["flow"].draft_revision,
            **trigger_inline(rows["trigger"]),
        },
        "flow_publish": {"revision": rows["flow"].draft_revision},
        "flow_start": {"key": str(uuid.uuid4())},
        "trigger_add": trigger,
        "trigger_change": trigger,
        "flowrun_resume": {},
    }.get(name, {"post": "yes"})


def trigger_inline(row: Trigger, **changed: str) -> dict[str, Any]:
    """The triggers of a flow as its page sends them: one that is there, and an empty line."""
    return {
        "triggers-TOTAL_FORMS": "2",
        "triggers-INITIAL_FORMS": "1",
        "triggers-0-id": row.pk,
        "triggers-0-flow": row.flow_id,
        "triggers-0-on": row.on,
        "triggers-0-does": row.does,
        "triggers-0-is_active": "on",
        "triggers-1-flow": row.flow_id,
        "triggers-1-does": "start",
        "triggers-1-is_active": "on",
        **changed,
    }


def url(name: str, rows: dict[str, Any]) -> str:
    model, what = name.split("_")
    if what in {"changelist", "add", "import"}:
        return reverse(f"admin:flowcontrol_{name}")
    row = rows[{"flowrun": "ended" if what == "delete" else "waiting"}.get(model, model)]
    return reverse(f"admin:flowcontrol_{name}", args=[row.pk])


def test_every_url_of_the_admin_has_its_rule() -> None:
    names = {
        pattern.name.removeprefix("flowcontrol_")
        for model in (Flow, FlowRun, Trigger, Event)
        for pattern in admin.site._registry[model].get_urls()
        # Without a name: an old address, which redirects to the page of the object.
        if pattern.name
    }
    assert names == set(RULES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", RULES)
def test_a_url_answers_who_may_and_changes_nothing_for_others(name: str, role: str) -> None:
    rows = objects()
    client = browser(role)
    before = rows_of_everything()
    page = url(name, rows)

    is_let_in(client.get(page), RULES[name].get, role)
    assert rows_of_everything() == before
    if not is_let_in(client.post(page, data(name, rows)), RULES[name].post, role) or role == "viewer":
        assert rows_of_everything() == before


def is_let_in(response: Any, allowed: str | None, role: str) -> bool:
    """Whether the role was, having seen to it that the answer is what the rule says."""
    if role == "anonymous":
        assert response["Location"].startswith("/admin/login/")
        return False
    if allowed is None:
        assert response.status_code == 405
        return False
    if role in allowed.split():
        assert response.status_code in {200, 302}
        assert not response.get("Location", "").startswith("/admin/login/")
        return True
    assert response.status_code == 403
    return False


#: Which role a bulk action works for, beside the superuser.
BULK = {
    ("flow", "activate_flows"): "publisher",
    ("flow", "deactivate_flows"): "publisher",
    ("flow", "delete_selected"): None,
    ("flowrun", "cancel_runs"): "operator",
    ("flowrun", "pause_runs"): "operator",
    ("flowrun", "resume_runs"): "operator",
    ("trigger", "delete_selected"): None,
}


def test_every_bulk_action_has_its_rule(rf: Any) -> None:
    request = rf.get("/")
    request.user = user("superuser")
    found = {
        (model._meta.model_name, name)
        for model in (Flow, FlowRun, Trigger, Event)
        for name in admin.site._registry[model].get_actions(request)
    }
    assert found == set(BULK)


@pytest.mark.parametrize("role", [role for role in ROLES if role != "anonymous"])
@pytest.mark.parametrize(("model", "action"), BULK)
def test_a_bulk_action_that_is_posted_by_hand_works_for_who_may_only(
    model: str, action: str, role: str
) -> None:
    rows = objects()
    flow("off", active=False)
    FlowRun.objects.filter(pk=run_with(rows["flow"]).pk).update(status="paused")
    client = browser(role)
    before = rows_of_everything()
    row_model = {"flow": Flow, "flowrun": FlowRun, "trigger": Trigger}[model]
    selected = [row.pk for row in row_model.objects.all()]
    if action == "delete_selected" and model == "flow":
        selected = [Flow.objects.get(slug="off").pk]

    client.post(
        f"/admin/flowcontrol/{model}/", {"action": action, "_selected_action": selected, "post": "yes"}
    )

    is_changed = rows_of_everything() != before
    assert is_changed == (role in {"superuser", BULK[model, action]})


def test_a_flow_is_not_deleted_with_its_triggers_by_who_may_delete_flows_only() -> None:
    rows = objects()
    client = browser("viewer")
    User.objects.get().user_permissions.add(Permission.objects.get(codename="delete_flow"))

    response = client.post(url("flow_delete", rows), {"post": "yes"})

    assert response.status_code == 403
    assert Trigger.objects.exists()


def test_what_a_run_holds_is_shown_only_with_the_right_to_see_it() -> None:
    runs = world()
    pages = [
        f"/admin/flowcontrol/flowrun/{runs[RunStatus.WAITING].pk}/change/",
        f"/admin/flowcontrol/flowrun/{runs[RunStatus.FAILED].pk}/change/",
        f"/admin/flowcontrol/event/{Event.objects.get(name='test.ping').pk}/change/",
    ]
    secrets = ["fc-state", "secret-traceback", "secret-payload"]
    client = browser("viewer")

    for page, secret in zip(pages, secrets, strict=True):
        assert secret not in client.get(page).content.decode()
        assert '<th scope="col">Changes</th>' not in client.get(page).content.decode()
    User.objects.get().user_permissions.add(Permission.objects.get(codename="view_flowrun_data"))
    for page, secret in zip(pages, secrets, strict=True):
        assert secret in client.get(page).content.decode()


@pytest.mark.parametrize(("role", "offered"), [("viewer", set()), ("editor", set()),
    ("publisher", {"publish", "deactivate"}), ("starter", {"start"}),
    ("operator", set()), ("superuser", {"publish", "deactivate", "start"})])  # fmt: skip
def test_buttons_of_a_flow_are_drawn_only_for_who_may_use_them(role: str, offered: set[str]) -> None:
    rows = objects()
    page = browser(role).get(url("flow_change", rows)).content.decode()
    found = {
        what
        for what in ("publish", "activate", "deactivate", "start")
        if f'"{url(f"flow_{what}", rows)}"' in page
    }
    assert found == offered


def test_who_may_only_look_sees_the_draft_as_text() -> None:
    rows = objects()
    page = browser("viewer").get(url("flow_change", rows)).content.decode()
    assert "slug: hello" in page
    assert "<textarea" not in page


_NEW_LINE = {"triggers-1-on": "test.ping", "triggers-1-condition": "new"}
_ALL_RIGHTS = {"view_trigger", "add_trigger", "change_trigger", "delete_trigger"}


@pytest.mark.parametrize(
    ("rights", "changed", "conditions"),
    [
        (_ALL_RIGHTS, {"triggers-0-condition": "edited"}, ["edited"]),
        (_ALL_RIGHTS, _NEW_LINE, ["", "new"]),
        (_ALL_RIGHTS, {"triggers-0-DELETE": "on"}, []),
        (_ALL_RIGHTS - {"change_trigger"}, {"triggers-0-condition": "edited"}, [""]),
        (_ALL_RIGHTS - {"add_trigger"}, _NEW_LINE, [""]),
        (_ALL_RIGHTS - {"delete_trigger"}, {"triggers-0-DELETE": "on"}, [""]),
        ({"view_trigger"}, {"triggers-0-condition": "edited", **_NEW_LINE, "triggers-0-DELETE": "on"}, [""]),
        (set(), {"triggers-0-condition": "edited", **_NEW_LINE, "triggers-0-DELETE": "on"}, [""]),
    ],
)
def test_triggers_are_changed_at_their_flow_by_who_may_change_triggers(
    rights: set[str], changed: dict[str, str], conditions: list[str]
) -> None:
    rows = objects()
    client = browser("staff")
    rights = {*rights, "view_flow", "change_flow"}
    User.objects.get().user_permissions.set(Permission.objects.filter(codename__in=rights))
    draft = {"document": to_yaml(DRAFT), "revision": rows["flow"].draft_revision}

    page = client.get(url("flow_change", rows)).content.decode()
    response = client.post(url("flow_change", rows), {**draft, **trigger_inline(rows["trigger"], **changed)})

    assert ("test.ping" in page) == ("view_trigger" in rights)
    assert response.status_code == 302
    assert [row.condition for row in Trigger.objects.order_by("pk")] == conditions
    assert Flow.objects.get(slug="hello").draft["name"] == "Changed"


def test_who_may_change_triggers_but_no_flows_reads_them_at_the_flow() -> None:
    rows = objects()
    client = browser("staff")
    rights = _ALL_RIGHTS | {"view_flow"}
    User.objects.get().user_permissions.set(Permission.objects.filter(codename__in=rights))

    page = client.get(url("flow_change", rows)).content.decode()

    assert "test.ping" in page
    assert 'name="triggers-0-on"' not in page
    assert 'name="triggers-1-on"' not in page


def test_buttons_of_a_run_are_drawn_only_for_operators() -> None:
    rows = objects()
    for role in ("viewer", "editor", "publisher", "starter"):
        page = browser(role).get(url("flowrun_change", rows)).content.decode()
        assert "/cancel/" not in page
        assert "/restart/" not in page
    assert "/cancel/" in browser("operator").get(url("flowrun_change", rows)).content.decode()


def test_an_import_without_the_right_to_publish_leaves_what_is_live_as_it_is() -> None:
    rows = objects()
    client = browser("editor")

    response = client.post(url("flow_import", rows), {"text": to_yaml(DRAFT), "publish": "on"})

    assert [str(message) for message in get_messages(response.wsgi_request)] == ["1 flow was imported."]
    hello = Flow.objects.get(slug="hello")
    assert hello.is_active
    assert hello.versions.count() == 1
    assert hello.triggers.count() == 1
    assert hello.draft["name"] == "Changed"


@pytest.mark.parametrize(
    ("role", "key", "told"),
    [
        ("editor", {"active": False}, "switch flows on or off"),
        ("publisher", {"triggers": []}, "replace triggers"),
    ],
)
def test_an_import_of_more_than_its_user_may_do_is_refused_and_stores_nothing(
    role: str, key: dict[str, Any], told: str
) -> None:
    rows = objects()
    client = browser(role)
    client_user = User.objects.get(username=role)
    for name in ("add_flow", "change_flow", "view_flow"):
        client_user.user_permissions.add(Permission.objects.get(codename=name))
    before = Flow.objects.get(slug="hello").draft

    response = client.post(url("flow_import", rows), {"text": to_yaml({**DRAFT, **key}), "publish": "on"})

    assert told in response.content.decode()
    assert Flow.objects.get(slug="hello").draft == before
