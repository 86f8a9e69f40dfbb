"""The pages of flowcontrol-actions-http in a real browser: the page behind a link, and endpoints in the admin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from django.contrib.auth.models import User
from django.test import Client
from flowcontrol.documents import import_flow
from flowcontrol.engine import Started, continue_flowruns, execute_run, start_flow
from flowcontrol.models import FlowRun
from flowcontrol_tests.browser import ARGUMENTS, chromium
from playwright.sync_api import Browser, Page, expect, sync_playwright
from webhook_world import Message, endpoint, message, post, project

__all__ = ["project"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("project"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # Playwright's loop runs in this thread, and Django takes that for asynchronous code.
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        with sync_playwright() as playwright:
            yield playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


def opened(browser: Browser, width: int, scheme: Literal["light", "dark"]) -> tuple[Page, list[str]]:
    """A page, and what the browser complains about: a style that its policy blocks, among others."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda line: line.type == "error" and wrong.append(line.text))
    # Browsers ask for one unasked, and the project of these tests has none.
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return page, wrong


def is_within(page: Page) -> bool:
    page.wait_for_load_state("load")
    return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))


def asked() -> FlowRun:
    config = {
        "question": "Approve 20 % off for Ada Lovelace, Bicycles & Engines?",
        "text": "She has been a customer since 1843.\n\nThe order: two bicycles, "
        + "Averylongwordwithoutanyspace" * 4,
        "choices": {"approve": "Yes, approve", "reject": "No, thanks", "later": "Ask me again next week"},
        "comment": True,
        "save_as": "answer",
        "timeout_seconds": 259_200,
    }
    steps = [{"id": "ask", "action": "http.wait_for_callback", "config": config}]
    flow = import_flow({"flowcontrol": 1, "slug": "ask", "name": "Ask", "steps": steps})
    started = start_flow(flow)
    assert isinstance(started, Started)
    return execute_run(started.run)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark"), (320, "light")])
def test_a_person_answers_on_the_page_with_the_keyboard_alone(
    browser: Browser, live_server: Any, width: int, scheme: Literal["light", "dark"]
) -> None:
    run = asked()
    page, wrong = opened(browser, width, scheme)
    page.goto(f"{live_server.url}/{run.state['callback_url'].split('/', 3)[3]}")
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Approve 20 % off for Ada Lovelace, Bicycles & Engines?"
    )
    assert page.evaluate("getComputedStyle(document.querySelector('main')).borderRadius") == "8px", (
        "its style is applied"
    )
    assert is_within(page)
    for button in page.get_by_role("button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44
    page.keyboard.press("Tab")
    expect(page.get_by_label("Comment (optional)")).to_be_focused()
    page.keyboard.type("Fine.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert is_within(page)
    continue_flowruns()
    answer = FlowRun.objects.get().state["answer"]
    assert (answer["choice"], answer["comment"]) == ("approve", "Fine.")
    assert wrong == []


def add_credential(page: Page) -> None:
    """As somebody does who comes to the field, and has none yet."""
    with page.expect_popup() as opening:
        page.locator("#add_id_credential").click()
    popup = opening.value
    popup.get_by_role("link", name="Secret of a webhook").click()
    popup.get_by_label("Name:").fill("fresh")
    popup.get_by_label("Secret:", exact=True).fill("whsec_YW5vdGhlcg==")
    with popup.expect_event("close"):
        popup.get_by_role("button", name="Save").click()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
def test_the_page_of_an_endpoint_fits_and_its_url_can_be_changed(
    browser: Browser, live_server: Any, width: int, scheme: Literal["light", "dark"]
) -> None:
    one = endpoint(note="Invoices")
    post(one, message("standard"))
    post(one, message("standard", secret="whsec_YW5vdGhlcg=="))
    post(one, Message(b"{", message("standard", body=b"{", id_="x" * 200).headers))
    User.objects.create_superuser("ada", password="ada")
    client = Client()
    client.login(username="ada", password="ada")
    page, wrong = opened(browser, width, scheme)
    page.context.add_cookies(
        [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
    )
    page.goto(f"{live_server.url}/admin/flowcontrol_actions_http/endpoint/{one.pk}/change/")
    expect(page.get_by_text(f"webhooks/{one.token}").first).to_be_visible()
    expect(page.get_by_text("not verified: No signature is right.")).to_be_visible()
    assert is_within(page)
    add_credential(page)
    expect(page.get_by_label("Credential")).to_have_value("fresh")
    page.get_by_role("link", name="Another URL…").click()
    assert is_within(page)
    page.get_by_role("button", name="Make another URL").click()
    expect(page.get_by_text("The endpoint has another URL.")).to_be_visible()
    before = one.token
    one.refresh_from_db()
    assert one.token != before
    assert wrong == []
