"""Endpoints in the admin: what staff see, what they may do, and what those who may only look cannot."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db.models import ProtectedError
from django.test import Client
from flowcontrol.credentials import save_credential
from webhook_world import SECRET, Message, endpoint, listening, message, post, project

from flowcontrol_actions_http.models import Call, Endpoint

__all__ = ["project"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project")]

#: One with which nothing was encrypted.
OTHER_KEY = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="

LIST = "/admin/flowcontrol_actions_http/endpoint/"


def staff(*codenames: str) -> Client:
    user = User.objects.create(username="".join(codenames) or "nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def page_of(client: Client, one: Endpoint) -> str:
    answer = client.get(f"{LIST}{one.pk}/change/")
    assert answer.status_code == 200
    return str(answer.content.decode())


def form(**fields: Any) -> dict[str, Any]:
    values = {
        "name": "payments",
        "style": "standard",
        "credential": "payments",
        "body": "json",
        "is_active": "on",
    }
    return {**values, "calls_per_minute": 600, "wait_seconds": 0, **fields}


def test_staff_copy_the_url_and_see_what_was_called_and_why_it_was_refused(admin_client: Client) -> None:
    one = endpoint()
    listening()
    post(one, message("standard"))
    post(one, message("standard", id_="<script>"))
    post(one, message("standard", secret="whsec_YW5vdGhlcg=="))
    post(one, Message(b"{", message("standard", body=b"{").headers))
    page = page_of(admin_client, one)
    assert f"https://shop.example.org/flowcontrol/packs/http/webhooks/{one.token}" in page
    assert "curl -i -H" in page
    rows = re.findall(r"<tr><td>.*?</tr>", page)
    assert [re.search(r"<td>[^<]*</td><td>([^<]*)", row)[1] for row in rows] == [  # type: ignore[index]
        "refused: The body is no JSON.",
        "not verified: No signature is right.",
        "accepted",
        "accepted",
    ]
    first, second = (Call.objects.order_by("id")[number].runs[0] for number in range(2))
    assert f'<a href="/admin/flowcontrol/flowrun/{first}/change/">{first}</a>' in page
    assert f">{second}</a>" in page
    assert "<script>" not in "".join(rows)


def test_an_endpoint_is_made_with_a_token_that_nobody_typed(admin_client: Client) -> None:
    save_credential(
        "payments", "http.webhook_secret", {"secret": "whsec_YW5vdGhlcg==", "previous_secret": ""}
    )
    answer = admin_client.post(f"{LIST}add/", form(token="guessed", token_digest="guessed"))
    assert answer.status_code == 302
    one = Endpoint.objects.get()
    assert len(one.token) == 43
    assert post(one, message("standard", secret="whsec_YW5vdGhlcg==")).status_code == 202


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"credential": ""}, "Choose the credential"),
        ({"credential": "gone"}, "not one of the available choices"),
        ({"credential": "other"}, "not one of the available choices"),
        ({"style": "basic"}, "http.basic"),
        ({"style": "none"}, "leave it empty"),
        ({"wait_seconds": 26}, "25"),
        ({"calls_per_minute": 0}, "1"),
        ({"kept_headers": "Cookie"}, "is no header for flows to read"),
        ({"name": "two words"}, "slug"),
    ],
)
def test_what_would_not_work_is_said_when_it_is_saved(
    admin_client: Client, fields: dict[str, Any], says: str
) -> None:
    save_credential(
        "payments", "http.webhook_secret", {"secret": "whsec_YW5vdGhlcg==", "previous_secret": ""}
    )
    answer = admin_client.post(f"{LIST}add/", form(**fields))
    assert answer.status_code == 200
    (errors,) = answer.context["errors"][:1]
    assert says in str(errors)
    assert not Endpoint.objects.exists()


def test_another_url_is_asked_for_made_and_noted(admin_client: Client) -> None:
    one = endpoint()
    before = one.token
    url = f"{LIST}{one.pk}/rotate/"
    assert url in page_of(admin_client, one)
    asked = admin_client.get(url)
    assert "gets another URL" in asked.content.decode()
    one.refresh_from_db()
    assert one.token == before, "asking changes nothing"
    assert admin_client.post(url).status_code == 302
    one.refresh_from_db()
    assert one.token != before
    assert post(one, message("standard")).status_code == 202
    assert LogEntry.objects.get().change_message == "Another URL."


def test_who_may_only_look_sees_no_url_and_changes_nothing() -> None:
    one = endpoint()
    post(one, message("standard"))
    looks = staff("view_endpoint")
    page = page_of(looks, one)
    assert "accepted" in page
    assert one.token not in page
    assert "rotate" not in page
    assert looks.get(f"{LIST}{one.pk}/rotate/").status_code == 403
    assert looks.post(f"{LIST}{one.pk}/rotate/").status_code == 403
    assert looks.post(f"{LIST}{one.pk}/change/", form(note="mine")).status_code == 403
    assert looks.post(f"{LIST}add/", form(name="mine")).status_code == 403
    before = one.token
    one.refresh_from_db()
    assert (one.token, one.note) == (before, "")


@pytest.mark.parametrize("path", ["", "add/", "1/change/", "1/rotate/", "1/history/", "1/delete/"])
def test_without_a_permission_no_page_opens(path: str) -> None:
    Endpoint.objects.create(pk=1, name="one", style="none")
    assert staff().get(f"{LIST}{path}").status_code == 403
    assert staff_nobody().get(f"{LIST}{path}").status_code == 302


def staff_nobody() -> Client:
    return Client()


def test_pages_of_what_there_is_not_are_no_errors(admin_client: Client) -> None:
    for path in ("999/rotate/", "x/rotate/", "999/change/"):
        assert admin_client.get(f"{LIST}{path}").status_code in (302, 404)


def test_to_choose_a_credential_asks_for_the_permission_to_use_some() -> None:
    one = endpoint()
    save_credential("other", "http.webhook_secret", {"secret": "whsec_YW5vdGhlcg==", "previous_secret": ""})
    save_credential("api", "http.bearer", {"token": "a token"}, hosts=["api.example.org"])
    changes = staff("view_endpoint", "change_endpoint")
    page = page_of(changes, one)
    assert "asks for the permission flowcontrol.use_credential" in page
    assert choices(page) == ["", "payments"], "nobody else's names are told"
    answer = changes.post(f"{LIST}{one.pk}/change/", form(credential="other", note="mine"))
    assert answer.status_code == 302
    one.refresh_from_db()
    assert (one.credential_id, one.note) == ("payments", "mine"), "what is there stays"
    may = staff("view_endpoint", "change_endpoint", "use_credential")
    assert choices(page_of(may, one)) == ["", "other", "payments"], "those of the right kinds"
    assert may.post(f"{LIST}{one.pk}/change/", form(credential="other")).status_code == 302
    one.refresh_from_db()
    assert one.credential_id == "other"


def choices(page: str) -> list[str]:
    (select,) = re.findall(r'<select name="credential".*?</select>', page, re.DOTALL)
    return re.findall(r'<option value="([^"]*)"', select)


def test_a_credential_that_calls_are_verified_with_cannot_be_deleted(admin_client: Client) -> None:
    one = endpoint()
    row = one.credential
    url = f"/admin/flowcontrol/credential/{row.pk}/"
    page = admin_client.get(f"{url}delete/").content.decode()
    assert "would require deleting the following protected related objects" in page
    assert f'<a href="{LIST}{one.pk}/change/">payments</a>' in page
    admin_client.post(f"{url}delete/", {"post": "yes"})
    assert post(one, message("standard")).status_code == 202
    with pytest.raises(ProtectedError):
        row.delete()


def test_who_looks_at_a_credential_reads_how_many_endpoints_use_it(admin_client: Client) -> None:
    one = endpoint()
    endpoint(name="others")
    save_credential("spare", "http.webhook_secret", {"secret": SECRET, "previous_secret": ""})
    listed = admin_client.get("/admin/flowcontrol/credential/").content.decode()
    assert re.findall(r'field-use_count">([^<]*)<', listed) == ["2 webhook endpoints", "0 flows"]
    page = admin_client.get(f"/admin/flowcontrol/credential/{one.credential.pk}/change/").content.decode()
    assert "2 webhook endpoints" in page


def test_the_command_line_and_the_doctor_know_the_endpoints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint()
    call_command("flowcontrol", "credentials", "list", "--json")
    (told,) = json.loads(capsys.readouterr().out)
    assert told["used_by"] == ["1 webhook endpoint"]
    monkeypatch.setenv("FLOWCONTROL_CREDENTIAL_KEYS", OTHER_KEY)
    with suppress(SystemExit):
        call_command("flowcontrol", "doctor", "--json")
    (found,) = [one for one in json.loads(capsys.readouterr().out) if one["area"] == "credentials"]
    assert found["level"] == "error", "calls are refused: it is more than a warning"


def test_a_credential_is_added_on_the_way_and_chosen(admin_client: Client) -> None:
    page = admin_client.get(f"{LIST}add/").content.decode()
    (add,) = re.findall(r'id="add_id_credential"[^>]*href="([^"]*)"', page)
    kinds = admin_client.get(add.replace("&amp;", "&")).content.decode()
    (link,) = re.findall(r'href="([^"]*kind=http.webhook_secret[^"]*)"', kinds)
    url = f"{add.partition('?')[0]}{link.replace('&amp;', '&')}"
    values = {"name": "fresh", "value_secret": SECRET, "_popup": "1", "_to_field": "name"}
    answer = admin_client.post(url, values)
    assert json.loads(answer.context_data["popup_response_data"])["value"] == "fresh"


def test_a_project_without_the_pages_of_plugins_reads_what_to_add(
    admin_client: Client, settings: Any
) -> None:
    one = endpoint()
    settings.ROOT_URLCONF = "webhook_urls_without_packs"
    assert "include(&quot;flowcontrol.urls&quot;)" in page_of(admin_client, one)


def test_the_list_tells_when_each_was_called_last(admin_client: Client) -> None:
    one = endpoint()
    endpoint(name="silent")
    post(one, message("standard"))
    rows = dict(
        re.findall(
            r'field-name"><a [^>]*>(\w+)<.*?field-last_called_at[^>]*>([^<]*)<',
            admin_client.get(LIST).content.decode(),
        )
    )
    assert rows["silent"] == "-"
    assert rows["payments"] != "-"
