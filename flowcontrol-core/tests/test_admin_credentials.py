"""Credentials in the admin: secrets are written and never shown, and go nowhere else than who entered them meant."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from admin_world import flow, registered
from credential_kinds import KEYS, Basic, in_use, saved
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.signals import got_request_exception
from django.test import Client, override_settings
from django.views.debug import ExceptionReporter
from flowcontrol import registry
from flowcontrol.credentials import get_credential, save_credential
from flowcontrol.models import Credential as Row
from flowcontrol.vault import seals

pytestmark = pytest.mark.django_db

LIST = "/admin/flowcontrol/credential/"
ADD = f"{LIST}add/?kind=test.basic"
VARIABLE = "FLOWCONTROL_SECRET_SHOP"


@pytest.fixture(autouse=True)
def _kinds() -> Iterator[None]:
    with registered(), in_use():
        yield


def browser(*rights: str) -> Client:
    user = User.objects.create(username="staff", password="!", is_staff=True, is_superuser=not rights)
    found = Permission.objects.filter(content_type__app_label="flowcontrol", codename__in=rights)
    assert found.count() == len(rights)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


def posted(**changes: str) -> dict[str, str]:
    """What a browser sends of the form of a credential ``test.basic`` about which nothing is changed."""
    return {
        "name": "shop",
        "note": "",
        "hosts": "api.example.org",
        "value_user": "ada",
        "value_password": "",
        "variable_password": "",
        "value_pin": "",
        "variable_pin": "",
        "value_days": "",
        **changes,
    }


def change_url() -> str:
    return f"{LIST}{Row.objects.get().pk}/change/"


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return {name: list(told) for name, told in answer.context["adminform"].form.errors.items()}


# -- add ---------------------------------------------------------------------------------------------------------


def test_one_begins_with_the_choice_of_a_kind() -> None:
    page = browser().get(f"{LIST}add/").content.decode()
    assert 'href="?kind=test.basic"' in page
    assert "What a server asks for." in page
    assert 'href="?kind=test.hook"' in page


def test_a_kind_that_nobody_has_leads_to_the_choice() -> None:
    assert "choose a kind" in browser().get(f"{LIST}add/?kind=acme.gone").content.decode()


def test_what_is_added_can_be_used() -> None:
    answer = browser().post(
        ADD,
        posted(value_password="correct horse", hosts="API.example.org\r\n*.example.com", value_days="2.50"),
    )
    assert answer.status_code == 302, errors(answer)
    found = get_credential("shop")
    assert found.hosts == ("api.example.org", "*.example.com")
    assert (found.values["password"], str(found.values["days"])) == ("correct horse", "2.50")
    assert "correct horse" not in LogEntry.objects.get().change_message


def test_a_kind_without_hosts_asks_for_none() -> None:
    client = browser()
    page = client.get(f"{LIST}add/?kind=test.hook").content.decode()
    assert 'name="hosts"' not in page
    fields = {"name": "hook", "note": "", "value_secret": "of the hook", "variable_secret": ""}
    assert client.post(f"{LIST}add/?kind=test.hook", fields).status_code == 302
    assert not get_credential("hook").allows_host("api.example.org")


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({}, "value_password", "This field is required."),
        ({"value_password": "abc"}, "value_password", "at least 4 characters"),
        ({"value_password": "correct horse", "value_user": ""}, "value_user", "This field is required."),
        ({"value_password": "correct horse", "hosts": ""}, "hosts", "This field is required."),
        (
            {"value_password": "correct horse", "hosts": "https://a.org"},
            "hosts",
            "“https://a.org” is no host",
        ),
        ({"value_password": "correct horse", "name": "a b"}, "name", "valid “slug”"),
        ({"variable_password": "SECRET_KEY"}, "variable_password", "Credentials may not read SECRET_KEY"),
        ({"value_password": "correct horse", "variable_password": VARIABLE}, "variable_password", "not both"),
        ({"value_password": "same", "value_user": "same"}, "__all__", "“•••” is the user as well"),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_secrets_are_not_sent_back(
    changes: dict[str, str], field: str, says: str
) -> None:
    answer = browser().post(ADD, posted(**changes))
    assert says in " ".join(errors(answer)[field])
    assert "correct horse" not in answer.content.decode()
    assert not Row.objects.exists()


@pytest.mark.parametrize("wrong", [[], ["hunter2"]])
def test_without_keys_a_secret_is_not_stored_and_the_way_out_is_told(wrong: list[str]) -> None:
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": wrong}):
        client = browser()
        answer = client.post(ADD, posted(value_password="correct horse"))
        assert "credentials new-key" in " ".join(errors(answer)["__all__"])
        assert client.post(ADD, posted(variable_password=VARIABLE)).status_code == 302
    assert Row.objects.get().variables == {"password": VARIABLE}


# -- change ------------------------------------------------------------------------------------------------------


def test_no_page_has_a_secret_in_it() -> None:
    saved(pin="9876-5432")
    client = browser()
    for path in (
        LIST,
        change_url(),
        change_url().replace("change", "delete"),
        change_url().replace("change", "history"),
    ):
        page = client.get(path).content.decode()
        assert "correct horse" not in page
        assert "9876-5432" not in page
        assert Row.objects.get().sealed not in page


def test_what_is_left_empty_is_kept_and_what_is_typed_replaces() -> None:
    saved(pin="9876-5432")
    answer = browser().post(change_url(), posted(value_pin="1111-1111", note="Of Ada"))
    assert answer.status_code == 302, errors(answer)
    found = get_credential("shop")
    assert (found.values["password"], found.values["pin"]) == ("correct horse", "1111-1111")
    assert Row.objects.get().note == "Of Ada"
    [entry] = LogEntry.objects.all()
    assert "1111" not in entry.change_message


def test_one_that_need_not_be_there_can_be_removed() -> None:
    saved(pin="9876-5432")
    client = browser()
    page = client.get(change_url()).content.decode()
    assert 'name="clear_pin"' in page
    assert 'name="clear_password"' not in page, "which is required"
    assert client.post(change_url(), posted(clear_pin="on")).status_code == 302
    assert dict(get_credential("shop").values)["pin"] == ""
    assert get_credential("shop").values["password"] == "correct horse"
    assert re.search(r'name="clear_pin"[^>]* disabled', client.get(change_url()).content.decode())


def test_its_name_and_kind_stay_whatever_is_posted() -> None:
    saved()
    answer = browser().post(f"{change_url()}?kind=test.hook", posted(name="other", kind="test.hook"))
    assert answer.status_code == 302
    assert (Row.objects.get().name, Row.objects.get().kind) == ("shop", "test.basic")


@pytest.mark.parametrize(
    "change", [{"hosts": "api.example.org evil.example"}, {"hosts": "*"}, {"value_user": "eve"}]
)
def test_who_changes_where_a_secret_goes_has_to_know_it(change: dict[str, str]) -> None:
    """Otherwise whoever may change a credential could have it sent to themselves."""
    saved()
    client = browser()
    answer = client.post(change_url(), posted(**change))
    assert "Enter it anew" in " ".join(errors(answer)["value_password"])
    assert get_credential("shop").hosts == ("api.example.org",)
    assert client.post(change_url(), posted(**change, value_password="another one")).status_code == 302
    assert get_credential("shop").values["password"] == "another one"


def test_fewer_hosts_need_no_secret() -> None:
    saved(hosts=["api.example.org", "old.example.org"])
    assert browser().post(change_url(), posted()).status_code == 302
    assert get_credential("shop").hosts == ("api.example.org",)


def test_a_variable_takes_the_place_of_what_was_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    saved()
    client = browser()
    assert client.post(change_url(), posted(variable_password=VARIABLE)).status_code == 302
    assert Row.objects.get().source == "environment"
    monkeypatch.setenv(VARIABLE, "from outside")
    assert get_credential("shop").values["password"] == "from outside"
    assert VARIABLE in client.get(change_url()).content.decode()
    assert "from outside" not in client.get(change_url()).content.decode()


def test_what_no_key_opens_is_said_and_can_be_entered_anew() -> None:
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS[1:]}):
        saved()
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS[:1]}):
        client = browser()
        assert "cannot be decrypted. None of the 1 keys" in client.get(change_url()).content.decode()
        assert errors(client.post(change_url(), posted()))["value_password"] == ["This field is required."]
        assert client.post(change_url(), posted(value_password="another one")).status_code == 302
        assert get_credential("shop").values["password"] == "another one"


def test_without_its_kind_it_can_be_looked_at_and_deleted() -> None:
    saved()
    client = browser()
    registry.credential_kinds.unregister("test.basic")
    page = client.get(change_url()).content.decode()
    assert "test.basic (not installed)" in page
    assert (
        "The kind of credential “test.basic” is missing".replace("“", "&quot;").replace("”", "&quot;") in page
    )
    assert 'name="_save"' not in page
    assert client.post(change_url(), posted(value_password="another one")).status_code == 403
    assert client.post(change_url().replace("change", "delete"), {"post": "yes"}).status_code == 302
    assert not Row.objects.exists()


# -- who may -----------------------------------------------------------------------------------------------------


def test_who_may_look_sees_facts_and_no_form() -> None:
    saved(pin="9876-5432")
    flow("mail", [{"id": "use", "action": "test.use", "config": {"credential": "shop"}}])
    client = browser("view_credential")
    page = client.get(change_url()).content.decode()
    for fact in (
        "shop",
        "User and password (test.basic)",
        "api.example.org",
        "user: ada",
        "stored: •••",
        "1 flow",
    ):
        assert fact in page
    assert "/flow/" not in page
    assert "correct horse" not in page
    assert 'name="value_password"' not in page
    assert client.post(change_url(), posted(value_password="another one")).status_code == 403
    assert client.get(ADD).status_code == 403


def test_the_permission_to_use_opens_no_page() -> None:
    saved()
    client = browser("use_credential")
    for path in (LIST, change_url(), ADD, change_url().replace("change", "delete")):
        assert client.get(path).status_code == 403


def test_the_list_tells_facts_in_few_queries(django_assert_max_num_queries: Any) -> None:
    for name in ("one", "two", "three"):
        saved(name)
    save_credential("hook", "test.hook", {}, variables={"secret": VARIABLE})
    flow("mail", [{"id": "use", "action": "test.use", "config": {"credential": "two"}}])
    client = browser()
    with django_assert_max_num_queries(8):
        page = client.get(LIST).content.decode()
    for fact in (
        "api.example.org",
        "stored",
        "environment",
        "1 flow",
        "0 flows",
        "Secret of a webhook (test.hook)",
    ):
        assert fact in page
    assert "two" not in client.get(f"{LIST}?kind=test.hook").content.decode()


@pytest.mark.parametrize("broken", ["store", "clean", "seal"])
def test_the_report_of_an_error_has_no_secret_in_it(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what was posted, nor the variables of our own functions, which error trackers collect."""

    def fail(*arguments: Any, **named: Any) -> None:
        raise ValueError("broken")

    where = {"store": (Row, "save"), "clean": (Basic.Form, "clean"), "seal": (seals, "_fernets")}
    monkeypatch.setattr(*where[broken], fail)
    reports: list[str] = []

    def report(request: Any, **named: Any) -> None:
        reports.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())

    client = browser()
    client.raise_request_exception = False
    got_request_exception.connect(report)
    try:
        assert client.post(ADD, posted(value_password="correct horse")).status_code == 500
    finally:
        got_request_exception.disconnect(report)
    [text] = reports
    assert "ValueError" in text
    assert "correct horse" not in text


def test_deleting_tells_which_flows_use_it() -> None:
    saved()
    flow("mail", [{"id": "use", "action": "test.use", "config": {"credential": "shop"}}])
    client = browser()
    page = client.get(change_url().replace("change", "delete")).content.decode()
    assert "1 flow uses this credential; the steps that do will fail without it." in page
    assert ">Mail</a>" in page
    assert "delete_selected" not in client.get(LIST).content.decode()
