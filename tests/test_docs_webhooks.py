"""The recipes of the page on webhooks, executed: a provider's webhook, and an approval by a link in an e-mail."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.test import Client, override_settings
from docs_pages import ROOT, blocks
from flowcontrol import registry
from flowcontrol.documents import import_flow, parse_yaml
from flowcontrol.engine import Started, continue_flowruns, execute_run, start_flow
from flowcontrol.models import FlowRun
from flowcontrol.testing import isolated_plugins
from flowcontrol_actions_http import conf, normaliser, replies
from flowcontrol_actions_http.models import LONGEST_WAIT_SECONDS, Endpoint
from flowcontrol_actions_http.verification import TOLERANCE_SECONDS
from webhook_world import SECRET, Message, endpoint, message, post, project

__all__ = ["project"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("project")]

PAGE = ROOT / "docs" / "webhooks.md"
TITLED = {block.title: block.text for block in blocks(PAGE) if block.title}


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registry.preserved():
        exec(
            compile(TITLED["shop/flow_actions.py"], "shop.flow_actions", "exec"),
            {"__name__": "shop.flow_actions"},
        )
        yield


def imported(title: str) -> Any:
    (document,) = parse_yaml(TITLED[title])
    return import_flow(document)


def test_a_payment_providers_webhook_is_booked_once_and_answered() -> None:
    imported("payments.yaml")
    one = endpoint("stripe", wait_seconds=5)
    paid = {"type": "invoice.paid", "data": {"object": {"number": "A-7", "amount_paid": 4200}}}
    with override_settings(FLOWCONTROL={"SCHEDULER": "inline"}):
        answer = post(one, message("stripe", paid, id_="evt_1"))
        again = post(one, message("stripe", paid, id_="evt_1", at=time.time() - 60))
        other = post(one, message("stripe", {"type": "invoice.created"}, id_="evt_2"))
    assert (answer.status_code, answer.json()) == (200, {"invoice": "A-7", "booked": True})
    assert again.content == answer.content
    assert (other.status_code, other.json()["runs"]) == (202, [])
    run = FlowRun.objects.get()
    assert (run.status, run.state["invoice"], run.state["cents"]) == ("completed", "A-7", 4200)
    forged = message("stripe", paid, id_="evt_3", secret="whsec_Z3Vlc3NlZA==")
    assert post(one, forged).status_code == 404


@pytest.mark.parametrize(("button", "granted"), [("approve", True), ("reject", None)])
def test_somebody_approves_by_a_link_in_an_email(button: str, granted: bool | None) -> None:
    state = {"percent": 20, "customer": "Ada", "manager": "boss@example.org"}
    started = start_flow(imported("approve.yaml"), state=state)
    assert isinstance(started, Started)
    run = execute_run(started.run)
    (sent,) = mail.outbox
    assert sent.to == ["boss@example.org"]
    (url,) = re.findall(r"https://shop\.example\.org(\S+)", str(sent.body))
    scanner, person = Client(), Client()
    for _ in range(3):
        assert scanner.get(url).status_code == 200
    continue_flowruns()
    assert FlowRun.objects.get(pk=run.pk).status == "waiting", "looking at it approves nothing"
    page = person.get(url).content.decode()
    assert "Approve 20 % off for Ada?" in page
    assert f'value="{button}"' in page
    person.post(url, f"choice={button}&comment=fine", content_type="application/x-www-form-urlencoded")
    continue_flowruns()
    run = FlowRun.objects.get(pk=run.pk)
    assert (run.status, run.state.get("granted")) == ("completed", granted)
    assert (run.state["answer"]["choice"], run.state["answer"]["comment"]) == (button, "fine")
    assert person.get(url).status_code == 409


def test_a_webhook_of_a_pack_that_is_not_in_use_is_asked_for_again(settings: Any) -> None:
    one = endpoint("none")
    sent = Message(b"{}", {"Content-Type": "application/json"})
    with isolated_plugins(["builtin"]):
        settings.ROOT_URLCONF = "webhook_urls_of_others"
        answer = post(one, sent)
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")


def test_the_page_has_the_figures_of_the_code() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())
    assert f"{normaliser.MAX_BYTES:,} bytes" in text
    assert f"at most {normaliser.MAX_DEPTH} deep, with at most {normaliser.MAX_KEYS:,} keys" in text
    assert f"for at most {LONGEST_WAIT_SECONDS} seconds" in text
    assert TOLERANCE_SECONDS == 5 * 60
    assert f"`CALL_RETENTION_DAYS` | {conf.get('CALL_RETENTION_DAYS')} |" in text
    named = {name.lower() for name in re.findall(r"`([A-Z][A-Za-z-]+)`", text)}
    assert replies.allowed_headers() <= named
    styles = [style.value for style in Endpoint.Style]
    assert len(styles) == 5, "a row of the table for each"
    assert json.dumps(SECRET).startswith('"whsec_')
