"""Steps name credentials: what is checked when a flow is published, who may, what a run gets, and who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from admin_world import NO_TRIGGERS, flow, registered
from credential_kinds import KEYS, Use, in_use, saved
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client, override_settings
from flowcontrol import registry
from flowcontrol.credentials import save_credential
from flowcontrol.documents import (
    credentials_of_step,
    export_flow,
    flows_by_credential,
    import_flow,
    to_yaml,
    validate,
)
from flowcontrol.engine import Started, execute_run, start_flow
from flowcontrol.management.command_line import SUBCOMMANDS
from flowcontrol.management.diagnosis import diagnose
from flowcontrol.models import Credential as Row
from flowcontrol.models import Flow, FlowRun
from flowcontrol.permissions import usable_credentials

pytestmark = pytest.mark.django_db

EDITOR = ("view_flow", "add_flow", "change_flow")


@pytest.fixture(autouse=True)
def _kinds() -> Iterator[None]:
    with registered(), in_use():
        yield


def step(credential: str = "shop", **config: Any) -> dict[str, Any]:
    return {"id": "use", "action": "test.use", "config": {"credential": credential, **config}}


def document(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"flowcontrol": 1, "slug": "mail", "name": "Mail", "steps": list(steps)}


def run(of: Flow) -> FlowRun:
    started = start_flow(of)
    assert isinstance(started, Started)
    return execute_run(started.run)


# -- documents ---------------------------------------------------------------------------------------------------


def test_a_step_that_names_a_credential_of_its_kind_is_right(django_assert_num_queries: Any) -> None:
    saved()
    with django_assert_num_queries(1):
        assert validate(document(step(), {**step(), "id": "again"}), known_flows=()) == []
    with django_assert_num_queries(0):
        assert validate(document({"id": "one", "action": "test.count"}), known_flows=()) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shopp", "There is no credential “shopp”. Did you mean “shop”?"),
        ("hook", "The credential “hook” is of the kind test.hook; this takes test.basic. There are: shop."),
        ("not a slug", "Enter a valid “slug”"),
        ("", "This field is required."),
    ],
)
def test_one_that_is_not_there_or_of_another_kind_is_a_problem_with_the_way_out(name: str, says: str) -> None:
    saved()
    save_credential("hook", "test.hook", {"secret": "of the hook"})
    [problem] = validate(document(step(name)))
    assert problem.path == "steps[0].config.credential"
    assert says.replace("“", '"').replace("”", '"') in problem.message.replace("“", '"').replace("”", '"')
    assert problem.level == "error"


def test_an_export_carries_the_name_alone() -> None:
    saved()
    text = to_yaml(export_flow(import_flow(document(step()))))
    assert "credential: shop" in text
    assert "correct horse" not in text
    assert "api.example.org" not in text


def test_it_is_known_which_flows_name_a_credential(django_assert_num_queries: Any) -> None:
    saved()
    published = import_flow(document(step()))
    drafted = flow("drafted", [step()], publish=False)
    flow("other", [{"id": "one", "action": "test.count"}])
    with django_assert_num_queries(1):
        assert flows_by_credential(["shop", "none"]) == {"shop": [drafted, published]}
    registry.actions.unregister("test.use")
    assert flows_by_credential(["shop"]) == {"shop": [drafted, published]}, "nobody knows the form any more"
    assert credentials_of_step(step("nothing")) == set()


# -- runs --------------------------------------------------------------------------------------------------------


def test_an_action_gets_the_credential_that_its_step_names() -> None:
    got: list[Any] = []
    Use.does["use"] = lambda context, credential: got.append(dict(credential.values))
    saved()
    assert run(import_flow(document(step()))).status == "completed"
    assert got == [{"user": "ada", "password": "correct horse", "pin": "", "days": None}]


def test_a_step_whose_credential_is_gone_fails_with_the_way_out_and_goes_on_when_it_is_back() -> None:
    saved()
    mail = import_flow(document(step()))
    Row.objects.all().delete()
    failed = run(mail)
    assert failed.status == "failed"
    assert 'CredentialNotFound: There is no credential "shop". Add it' in failed.reason


def test_what_is_no_secret_of_a_credential_may_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    Use.does["use"] = lambda context, credential: context.state.update(user=credential.values["user"], n=7)
    saved()
    assert run(import_flow(document(step()))).state == {"user": "ada", "n": 7}
    assert "masked" not in caplog.text


# -- who may -----------------------------------------------------------------------------------------------------


def browser(*rights: str) -> Client:
    user = User.objects.create(username="editor", password="!", is_staff=True)
    found = Permission.objects.filter(content_type__app_label="flowcontrol", codename__in=rights)
    user.user_permissions.set(found)
    client = Client()
    client.force_login(user)
    return client


def save_draft(client: Client, of: Flow, *steps: dict[str, Any]) -> Any:
    address = f"/admin/flowcontrol/flow/{of.pk}/change/"
    text = to_yaml({"flowcontrol": 1, "slug": of.slug, "name": of.name, "steps": list(steps)})
    return client.post(address, {"document": text, "revision": of.draft_revision, **NO_TRIGGERS})


COUNT = {"id": "count", "action": "test.count"}


def test_using_a_credential_asks_for_the_permission_and_names_it() -> None:
    saved()
    mail = flow("mail", [COUNT])
    answer = save_draft(browser(*EDITOR, "view_credential"), mail, COUNT, step())
    assert answer.status_code == 200
    assert (
        "using the credential “shop” asks for the permission flowcontrol.use_credential"
        in answer.content.decode()
    )
    mail.refresh_from_db()
    assert "shop" not in json.dumps(mail.draft)


def test_who_may_use_credentials_need_not_see_them() -> None:
    saved()
    mail = flow("mail", [COUNT])
    client = browser(*EDITOR, "use_credential")
    shown = client.get(f"/admin/flowcontrol/flow/{mail.pk}/change/").content.decode()
    assert "Credentials that you may use: shop (test.basic)." in shown
    assert client.get("/admin/flowcontrol/credential/").status_code == 403
    assert save_draft(client, mail, COUNT, step()).status_code == 302


def test_what_stands_there_may_stay_and_may_not_be_changed() -> None:
    saved()
    mail = flow("mail", [step()])
    client = browser(*EDITOR)
    assert "that you may use" not in client.get(f"/admin/flowcontrol/flow/{mail.pk}/change/").content.decode()
    assert save_draft(client, mail, COUNT, {**step(), "name": "Renamed"}).status_code == 302
    mail.refresh_from_db()
    elsewhere = save_draft(client, mail, step(url="https://evil.example"))
    assert "asks for the permission flowcontrol.use_credential" in elsewhere.content.decode()


def test_the_choice_is_of_the_right_kinds_and_for_who_may() -> None:
    saved()
    save_credential("hook", "test.hook", {"secret": "of the hook"})
    everything = [("hook", "test.hook"), ("shop", "test.basic")]
    assert usable_credentials(lambda permission: True) == everything
    assert usable_credentials(lambda permission: True, ["test.basic"]) == everything[1:]
    assert usable_credentials(lambda permission: False) == []


# -- the command line --------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], *line: str) -> tuple[str, int]:
    code = 0
    try:
        call_command("flowcontrol", *line)
    except SystemExit as end:
        code = int(str(end.code))
    return capsys.readouterr().out, code


def test_credentials_are_listed_with_who_uses_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "credentials") == ("There are no credentials. Add them in the admin.\n", 0)
    saved()
    import_flow(document(step()))
    text, code = told(capsys, "credentials", "list", "shop")
    header, line = text.splitlines()
    assert header.split() == ["CREDENTIAL", "KIND", "HOSTS", "SECRETS", "LAST", "CHANGED", "USED", "BY"]
    assert line.split()[:4] == ["shop", "test.basic", "api.example.org", "stored"]
    assert (line.split()[-1], code) == ("mail", 0)
    [found] = json.loads(told(capsys, "credentials", "--json")[0])
    assert tuple(found) == SUBCOMMANDS["credentials"].keys


def test_a_check_tells_which_cannot_be_used_here(capsys: pytest.CaptureFixture[str]) -> None:
    saved()
    assert told(capsys, "credentials", "check") == ("shop: fine\n", 0)
    save_credential("outside", "test.hook", {}, variables={"secret": "FLOWCONTROL_SECRET_NOT_SET_ANYWHERE"})
    text, code = told(capsys, "credentials", "check")
    assert "FLOWCONTROL_SECRET_NOT_SET_ANYWHERE, which is not set" in text
    assert code == 1
    assert told(capsys, "credentials", "check", "shop", "--json") == (
        '[\n  {\n    "name": "shop",\n    "problem": ""\n  }\n]\n',
        0,
    )


def test_rotation_tells_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS[1:]}):
        saved()
    text, code = told(capsys, "credentials", "rotate")
    assert (text.splitlines()[0], code) == (
        "1 credential encrypted anew under the first key, 0 were already.",
        0,
    )
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS[1:]}):
        found, code = told(capsys, "credentials", "rotate", "--json")
    [lost] = json.loads(found)
    assert (lost["name"], lost["is_changed"], code) == ("shop", False, 1)
    assert "None of the 1 keys" in lost["problem"]


def test_a_new_key_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    key = told(capsys, "credentials", "new-key")[0].strip()
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": [key]}):
        saved()
    assert Row.objects.get().source == "stored"


def test_the_doctor_finds_credentials_that_cannot_be_used_and_keys_that_are_left_over() -> None:
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS[1:]}):
        saved()
        saved("spare")
        import_flow(document(step()))
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": KEYS[:1]}):
        found = [one for one in diagnose() if one.area == "credentials"]
    assert [(one.level, one.advice) for one in found] == [("error", ""), ("warning", "Nothing uses it.")]
    assert 'The credential "shop" cannot be decrypted' in found[0].text
    [left] = [one for one in diagnose() if one.area == "credentials"]
    assert left.text == "There are 2 keys, and 2 credentials are not encrypted under the first."
