"""The admin in a real browser: nothing breaks, nothing scrolls sideways, and no page needs JavaScript."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from admin_world import flow, registered, run_with, world
from credential_kinds import in_use, saved
from django.contrib.auth.models import User
from django.test import Client
from flowcontrol.models import Credential, Event, Flow, FlowRun, RunStatus, Trigger
from flowcontrol_tests.browser import ARGUMENTS, chromium
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ADMIN = "/admin/flowcontrol/"


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


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registered(), in_use():
        yield


class Watched:
    """A page, and all that went wrong while it was open."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.page: Page = context.new_page()
        self.address = address
        self.wrong: list[str] = []
        self.page.on("console", lambda message: message.type == "error" and self.complain(message.text))
        self.page.on("pageerror", lambda error: self.tell(str(error)))
        self.page.on(
            "response", lambda answer: answer.status >= 400 and self.tell(f"{answer.status} {answer.url}")
        )

    def complain(self, text: str) -> None:
        # What fails to load is told with its address as a response.
        if "Failed to load resource" not in text:
            self.tell(text)

    def tell(self, text: str) -> None:
        # Browsers ask for it unasked, and the tests' project has none.
        if "favicon" not in text:
            self.wrong.append(f"{self.page.url}: {text}")

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page


def logged_in(browser: Browser, address: str, **options: Any) -> BrowserContext:
    client = Client()
    user, _ = User.objects.get_or_create(username="root", is_staff=True, is_superuser=True)
    client.force_login(user)
    context = browser.new_context(**options)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": address}])
    return context


SCHEMES: list[Literal["light", "dark"]] = ["light", "dark"]

#: Our own elements whose text does not stand out: a contrast under 4.5, counted as WCAG does.
HARD_TO_READ = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const over = colour => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };
    const light = () => [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
        .map(part => part / 255)
        .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const contrast = element => {
        const behind = [];
        for (let at = element; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
        over('white');
        behind.forEach(over);
        const ground = light();
        over(getComputedStyle(element).color);
        const text = light();
        return (Math.max(ground, text) + 0.05) / (Math.min(ground, text) + 0.05);
    };
    return [...document.querySelectorAll('[class*=fc-], [class*=fc-] :is(a, th, td, dt, dd, summary, button)')]
        .filter(element => element.innerText && contrast(element) < 4.5)
        .map(element => element.outerHTML.slice(0, 200) + contrast(element));
}"""


def test_pages_open_without_an_error_fit_their_window_and_can_be_read(
    browser: Browser, live_server: Any
) -> None:
    runs = world()
    nested = runs[RunStatus.WAITING].flow
    paths = [f"{name}/" for name in ("flow", "flowrun", "trigger", "event")]
    paths += ["flow/import/", f"flow/{nested.pk}/start/", f"flow/{nested.pk}/delete/"]
    paths += [f"flow/{nested.pk}/versions/"]
    paths += [f"flow/{row.pk}/change/" for row in Flow.objects.all()]
    paths += [f"flowrun/{run.pk}/change/" for run in runs.values()]
    paths += [f"trigger/{Trigger.objects.get().pk}/change/", "trigger/add/"]
    paths += [f"event/{row.pk}/change/" for row in Event.objects.all()]
    saved("shop", hosts=["*.a-rather-long-name-of-a-host.example.org"])
    flow("mail", [{"id": "use", "action": "test.use", "config": {"credential": "shop"}}])
    paths += ["credential/", "credential/add/", "credential/add/?kind=test.basic"]
    paths += [f"credential/{Credential.objects.get().pk}/{page}/" for page in ("change", "delete")]
    context = logged_in(browser, live_server.url)
    watched = Watched(context, live_server.url)

    for path in paths:
        page = watched.open(ADMIN + path)
        # A colour is to be measured when it has changed, and not while it does.
        page.add_style_tag(content="* { transition: none !important }")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width, path
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(HARD_TO_READ) == [], (path, scheme)

    assert watched.wrong == []
    context.close()


def test_everything_can_be_done_without_javascript(browser: Browser, live_server: Any) -> None:
    context = logged_in(browser, live_server.url, java_script_enabled=False)
    watched = Watched(context, live_server.url)

    page = watched.open(f"{ADMIN}flow/")
    page.get_by_role("link", name="Import flows").click()
    page.get_by_label("or YAML").fill(
        "flowcontrol: 1\nslug: hello\nname: Hello\n"
        "steps: [{id: rest, action: test.pause, config: {seconds: 60}}]"
    )
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("1 flow was imported.")).to_be_visible()

    draft = page.locator("textarea")
    draft.fill(draft.input_value().replace("name: Hello", "name: Hello again"))
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.get_by_text("The draft has 1 change that is not published")).to_be_visible()
    page.get_by_role("button", name="Publish the saved draft").click()
    expect(page.get_by_text("Published as v2.")).to_be_visible()
    address = page.url
    page.locator(".object-tools").get_by_role("link", name="Add trigger").click()
    page.get_by_label("On:", exact=True).select_option("test.ping")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto(address)
    page.locator("#id_triggers-0-condition").fill("object")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator("#id_triggers-0-condition")).to_have_value("object")
    page.get_by_role("button", name="Deactivate").click()
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("1 flow was activated.")).to_be_visible()

    page.locator(".object-tools").get_by_role("link", name="Start").click()
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_text("a worker executes it.")).to_be_visible()
    for button, told in (("Pause", "paused"), ("Resume", "resumed"), ("Cancel", "cancelled")):
        page.get_by_role("button", name=button, exact=True).click()
        expect(page.get_by_text(f"1 run was {told}.")).to_be_visible()
    page.get_by_role("button", name="Restart").click()
    expect(page.get_by_text("The run begins again; a worker executes it.")).to_be_visible()

    assert watched.wrong == []
    assert Flow.objects.get().name == "Hello again"
    assert FlowRun.objects.get().status == "pending"
    assert Trigger.objects.get().condition == "object"
    context.close()


def test_a_button_that_was_clicked_twice_has_one_effect(browser: Browser, live_server: Any) -> None:
    pause = {"id": "rest", "action": "test.pause", "config": {"seconds": 60}}
    run = run_with(flow("hello", [pause]))
    context = logged_in(browser, live_server.url)
    watched = Watched(context, live_server.url)
    page = watched.open(f"{ADMIN}flowrun/{run.pk}/change/")

    page.get_by_role("button", name="Cancel").dblclick()

    expect(page.locator(".fc-pill")).to_contain_text("cancelled")
    assert watched.wrong == []
    assert FlowRun.objects.get().status == "cancelled"
    context.close()


def test_triggers_are_added_at_their_flow(browser: Browser, live_server: Any) -> None:
    hello = flow("hello")
    context = logged_in(browser, live_server.url)
    watched = Watched(context, live_server.url)
    page = watched.open(f"{ADMIN}flow/{hello.pk}/change/")

    for number in (0, 1):
        page.locator("#triggers-group .add-row a").click()
        page.locator(f"#id_triggers-{number}-on").select_option("test.ping")
        page.locator(f"#id_triggers-{number}-condition").fill(f"{number}")
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.locator("#id_triggers-1-condition")).to_have_value("1")
    assert watched.wrong == []
    assert list(hello.triggers.values_list("condition", flat=True)) == ["0", "1"]
    assert Flow.objects.get().draft_revision == hello.draft_revision
    context.close()


def test_a_start_that_was_clicked_twice_starts_one_run_and_shows_it(
    browser: Browser, live_server: Any
) -> None:
    hello = flow("hello")
    context = logged_in(browser, live_server.url)
    watched = Watched(context, live_server.url)
    page = watched.open(f"{ADMIN}flow/{hello.pk}/start/")

    page.get_by_role("button", name="Start").dblclick()

    expect(page.locator(".fc-pill")).to_contain_text("pending")
    assert watched.wrong == []
    assert FlowRun.objects.get().flow_id == hello.pk
    context.close()
