"""Endpoints in the admin: what staff see, what they may do, and what those who may only look cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from flowcontrol.credentials import save_credential
from webhook_world import Message, endpoint, listening, message, post, project

from flowcontrol_actions_http.models import Call, Endpoint

__all__ = ["project"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project")]

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
        ({"credential": ""}, "Name the credential"),
        ({"credential": "gone"}, "gone"),
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


def test_to_name_a_credential_asks_for_the_permission_to_use_some() -> None:
    one = endpoint()
    save_credential("other", "http.webhook_secret", {"secret": "whsec_YW5vdGhlcg==", "previous_secret": ""})
    changes = staff("view_endpoint", "change_endpoint")
    answer = changes.post(f"{LIST}{one.pk}/change/", form(credential="other"))
    assert "asks for the permission flowcontrol.use_credential" in answer.content.decode()
    assert changes.post(f"{LIST}{one.pk}/change/", form(note="mine")).status_code == 302, (
        "what is there may stay"
    )
    may = staff("view_endpoint", "change_endpoint", "use_credential")
    assert may.post(f"{LIST}{one.pk}/change/", form(credential="other")).status_code == 302


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
