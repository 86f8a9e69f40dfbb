"""The admin as its users meet it: every page answers, every refusal is a message, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import flowcontrol
import pytest
from admin_world import NO_TRIGGERS, XSS, flow, registered, rows_of_everything, run_with, world
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from engine_actions import Decide
from flowcontrol import documents, plugins, registry
from flowcontrol.admin import FlowAdmin
from flowcontrol.admin.forms import DraftForm
from flowcontrol.base import Fail
from flowcontrol.documents import export_flow, parse_yaml, save_draft, to_yaml
from flowcontrol.engine import Started, start_flow
from flowcontrol.engine.presence import active_plugins
from flowcontrol.exceptions import FlowcontrolError, FlowNotFound
from flowcontrol.models import Event, Flow, FlowRun, FlowVersion, HistoryChunk, RunStatus, Trigger, Worker
from flowcontrol.models.records import RecordRows
from flowcontrol.plugins.report import PluginReport, Problem, State
from testapp.models import Customer

pytestmark = pytest.mark.django_db

ADMIN = "/admin/flowcontrol/"


@pytest.fixture(autouse=True)
def _actions() -> Iterator[None]:
    with registered():
        yield


@pytest.fixture
def staff(client: Client) -> Client:
    """The browser of a superuser."""
    client.force_login(User.objects.create_superuser("root", "", "x"))
    return client


def text(response: Any) -> str:
    return " ".join(response.content.decode().split())


def said(response: Any) -> list[str]:
    """What a page that was followed to tells in messages."""
    return [str(message) for message in response.context["messages"]]


def document(slug: str = "hello", **keys: Any) -> str:
    return to_yaml(
        {
            "flowcontrol": 1,
            "slug": slug,
            "name": slug.capitalize(),
            "steps": [{"id": "one", "action": "test.count"}],
            **keys,
        }
    )


# -- every page answers ----------------------------------------------------------------------------------------


def test_every_list_and_page_answers_and_escapes_what_it_shows(staff: Client) -> None:
    runs = world()
    pages = [
        "/admin/",
        ADMIN,
        *(f"{ADMIN}{name}/" for name in ("flow", "flowrun", "trigger", "event")),
        f"{ADMIN}flow/import/",
        f"{ADMIN}trigger/add/",
        f"{ADMIN}flow/?q=nested",
        f"{ADMIN}flowrun/?q=1",
        f"{ADMIN}flowrun/?q={'9' * 40}",
        f"{ADMIN}flowrun/?live=yes&status__exact=waiting",
        f"{ADMIN}flowrun/?live=no&flow=abc",
        f"{ADMIN}event/?q=ping",
    ]
    for row in Flow.objects.all():
        pages += [
            f"{ADMIN}flow/{row.pk}/{end}"
            for end in ("change/", "history/", "delete/", "export/", "versions/")
        ]
        pages += [f"{ADMIN}flow/{row.pk}/start/", f"{ADMIN}flowrun/?flow={row.pk}"]
    for run in runs.values():
        pages += [f"{ADMIN}flowrun/{run.pk}/{end}" for end in ("change/", "history/")]
        if run.is_ended:
            pages.append(f"{ADMIN}flowrun/{run.pk}/delete/")
    pages += [f"{ADMIN}trigger/{row.pk}/change/" for row in Trigger.objects.all()]
    pages += [f"{ADMIN}event/{row.pk}/change/" for row in Event.objects.all()]

    for page in pages:
        response = staff.get(page)
        assert response.status_code == 200, page
        if "html" in response["Content-Type"]:
            assert XSS not in response.content.decode(), page
            assert "{{" not in response.content.decode(), page


def test_the_page_of_a_flow_tells_its_steps_as_a_tree_with_what_stands_there(staff: Client) -> None:
    runs = world()
    page = text(staff.get(f"{ADMIN}flow/{runs[RunStatus.WAITING].flow_id}/change/"))

    for number, step in (("1", "put"), ("2", "loop"), ("2.1", "inner"), ("2.else.1", "other"), ("4", "rest")):
        assert re.search(rf'fc-number">{re.escape(number)}</span>.*?<code>{step}</code>', page), number
    assert "1 run here" in page
    assert page.count('<span class="fc-badge">disabled</span>') == 1
    assert "Published: v1" in page


def test_a_step_whose_action_is_not_installed_is_told_with_the_reason(staff: Client) -> None:
    lost = flow("lost", [{"id": "one", "action": "test.write"}])
    registry.actions.unregister("test.write")

    page = text(staff.get(f"{ADMIN}flow/{lost.pk}/change/"))

    assert "missing" in page
    assert "test.write" in page


def test_a_flow_that_was_never_published_shows_its_draft_and_cannot_be_started(staff: Client) -> None:
    draft = flow("draft", [{"id": "one", "action": "test.count"}], publish=False)

    page = text(staff.get(f"{ADMIN}flow/{draft.pk}/change/"))

    assert "Not published yet" in page
    assert "<code>one</code>" in page
    assert f"{ADMIN}flow/{draft.pk}/start/" not in page


def test_a_flow_without_a_document_has_a_page_too(staff: Client) -> None:
    bare = Flow.objects.create(slug="bare", name="Bare")
    assert "slug: bare" in text(staff.get(f"{ADMIN}flow/{bare.pk}/change/"))


def test_a_record_tells_where_the_run_stands_and_what_it_did(staff: Client) -> None:
    runs = world()

    waiting = text(staff.get(f"{ADMIN}flowrun/{runs[RunStatus.WAITING].pk}/change/"))
    assert "Waits at step “Pause” until" in waiting
    assert "loop:3" in waiting
    assert f'href="/admin/testapp/' not in waiting  # noqa: F541  the tests' models have no admin
    assert "testapp.customer" in waiting
    failed = text(staff.get(f"{ADMIN}flowrun/{runs[RunStatus.FAILED].pk}/change/"))
    assert escape(f"It broke {XSS}") in failed
    assert "secret-traceback" in failed
    blocked = text(staff.get(f"{ADMIN}flowrun/{runs[RunStatus.BLOCKED].pk}/change/"))
    assert "test.write" in blocked


def record(run: FlowRun, *steps: tuple[str, datetime], first: int = 0) -> None:
    """Have a stretch of the run's history with these steps, as a worker writes it."""
    rows = RecordRows(steps[0][1])
    for number, (step, time) in enumerate(steps, start=first):
        rows.add(number, step, "", "run", 1, (time - rows.origin) // timedelta(microseconds=1), 0, "Next")
    HistoryChunk.objects.create(run=run, packed=rows.text())


def test_a_record_shows_the_newest_steps_of_a_long_run_and_says_so(staff: Client) -> None:
    run = run_with(flow("empty"))
    now = timezone.now()
    for start in range(0, 600, 100):
        record(run, *((f"s{number}", now) for number in range(start, start + 100)), first=start)

    page = text(staff.get(f"{ADMIN}flowrun/{run.pk}/change/"))

    assert "Only the newest records are shown." in page
    assert "<code>s599</code>" in page
    assert "<code>s100</code>" in page
    assert "<code>s99</code>" not in page


def test_a_step_record_tells_its_date_wherever_it_is_another_one(staff: Client) -> None:
    run = run_with(flow("empty"))
    # In Berlin it is two hours later: midnight is between the second and the third.
    times = [datetime(2024, 6, 1, *time, tzinfo=UTC) for time in ((9, 0), (21, 59, 59), (22, 0, 1))]
    record(run, *(("s", time) for time in times))

    page = text(staff.get(f"{ADMIN}flowrun/{run.pk}/change/"))

    assert re.findall(r'<time datetime="([^"]+)" title="([^"]+)">([^<]+)</time>', page) == [
        ("2024-06-01T11:00:00+02:00", "2024-06-01 11:00:00", "2024-06-01 11:00:00"),
        ("2024-06-01T23:59:59+02:00", "2024-06-01 23:59:59", "23:59:59"),
        ("2024-06-02T00:00:01+02:00", "2024-06-02 00:00:01", "2024-06-02 00:00:01"),
    ]


def test_a_state_with_half_a_surrogate_pair_has_a_page(staff: Client) -> None:
    run = run_with(flow("empty"))
    FlowRun.objects.filter(pk=run.pk).update(state_json='{"odd": "\\ud800"}')
    assert "\\ud800" in text(staff.get(f"{ADMIN}flowrun/{run.pk}/change/"))


def test_a_version_that_cannot_be_read_any_more_leaves_the_pages_readable(staff: Client) -> None:
    broken = flow("broken", [{"id": "one", "action": "test.count"}])
    run = run_with(broken)
    version = broken.published
    assert version is not None
    version.document = {**version.document, "condition": "1 +"}
    version.save()

    assert staff.get(f"{ADMIN}flow/{broken.pk}/change/").status_code == 200
    assert staff.get(f"{ADMIN}flowrun/{run.pk}/change/").status_code == 200


@pytest.mark.parametrize("key", ["999", "abc", "1/../2", "9" * 30, "-1", "1_5F"])
@pytest.mark.parametrize("model", ["flow", "flowrun", "trigger", "event"])
@pytest.mark.parametrize("end", ["change", "delete", "history", "export", "start", "versions"])
def test_a_key_that_is_none_is_told_and_no_error(staff: Client, model: str, key: str, end: str) -> None:
    response = staff.get(f"{ADMIN}{model}/{key}/{end}/")
    # Events are never deleted by hand: 403.
    assert response.status_code in ({403} if (model, end) == ("event", "delete") else {302, 404})


@pytest.mark.parametrize("key", ["999", "abc", "1/../2", "9" * 30])
@pytest.mark.parametrize(
    "end",
    ["flow/{}/publish", "flow/{}/activate", "flow/{}/deactivate", "flow/{}/start", "flowrun/{}/cancel",
     "flowrun/{}/pause", "flowrun/{}/resume", "flowrun/{}/restart"],
)  # fmt: skip
def test_nothing_can_be_done_to_a_key_that_is_none(staff: Client, end: str, key: str) -> None:
    assert staff.post(f"{ADMIN}{end.format(key)}/").status_code == 404


# -- import and export -----------------------------------------------------------------------------------------


def test_a_flow_is_imported_from_text(staff: Client) -> None:
    told = staff.post(f"{ADMIN}flow/import/", {"text": document(), "publish": "on"}, follow=True)

    assert said(told) == ["1 flow was imported."]
    stored = Flow.objects.get()
    assert told.redirect_chain == [(f"{ADMIN}flow/{stored.pk}/change/", 302)]
    assert (stored.slug, stored.published is not None) == ("hello", True)


def test_flows_are_imported_from_a_file_and_published_only_when_asked(staff: Client) -> None:
    file = SimpleUploadedFile("flows.yaml", f"{document('a')}---\n{document('b')}".encode())
    told = staff.post(f"{ADMIN}flow/import/", {"file": file}, follow=True)

    assert said(told) == ["2 flows were imported."]
    assert told.redirect_chain == [(f"{ADMIN}flow/", 302)]
    assert list(Flow.objects.values_list("slug", "published")) == [("a", None), ("b", None)]


@pytest.mark.parametrize("way", ["text", "file"])
@pytest.mark.parametrize(
    ("yaml", "problems"),
    [
        ("steps: [", ["line "]),
        ("- just\n- a list", ["line 1"]),
        (
            "flowcontrol: 1\nslug: x\nname: X\ncolour: red\nsteps: [{action: test.nothing}, {action: test.rounds}]",
            ["colour", "steps[0].action", "steps[1].config.times"],
        ),
        ("", ["Choose a file, or write a document."]),
    ],
)
def test_a_document_with_mistakes_is_answered_with_all_of_them_and_stores_nothing(
    staff: Client, way: str, yaml: str, problems: list[str]
) -> None:
    good = f"{document()}---\n" if yaml.startswith("flowcontrol") else ""
    content = good + yaml
    given: Any = SimpleUploadedFile("f.yaml", content.encode()) if way == "file" and content else content
    page = staff.post(f"{ADMIN}flow/import/", {way: given, "publish": "on"})

    assert page.status_code == 200
    for problem in problems:
        assert problem in text(page)
    assert not Flow.objects.exists()


def test_a_file_that_is_no_text_is_told(staff: Client) -> None:
    page = staff.post(f"{ADMIN}flow/import/", {"file": SimpleUploadedFile("f.yaml", b"\xff\xfe\x00\x81")})
    assert page.status_code == 200
    assert "errorlist" in text(page)


def test_nothing_posted_to_import_is_told(staff: Client) -> None:
    assert "Choose a file, or write a document." in text(staff.post(f"{ADMIN}flow/import/"))


def test_an_export_is_a_download_whose_import_changes_nothing(staff: Client) -> None:
    world()
    for stored in Flow.objects.all():
        before = export_flow(stored)
        download = staff.get(f"{ADMIN}flow/{stored.pk}/export/")
        assert download["Content-Disposition"] == f'attachment; filename="{stored.slug}.yaml"'
        exported = download.content.decode()
        staff.post(f"{ADMIN}flow/import/", {"text": exported, "publish": "on" if stored.published else ""})
        stored.refresh_from_db()
        assert export_flow(stored) == before == parse_yaml(exported)[0]


# -- draft and publish -----------------------------------------------------------------------------------------


def save(staff: Client, of: Flow, yaml: str, revision: int | None = None) -> Any:
    data = {"document": yaml, "revision": of.draft_revision if revision is None else revision}
    return staff.post(f"{ADMIN}flow/{of.pk}/change/", {**data, **NO_TRIGGERS, "_continue": "1"}, follow=True)


def publish(staff: Client, of: Flow, **data: Any) -> list[str]:
    """What is said when the draft that is there now is published."""
    revision = Flow.objects.get(pk=of.pk).draft_revision
    data = {"revision": revision, **data}
    return said(staff.post(f"{ADMIN}flow/{of.pk}/publish/", data, follow=True))


def test_saving_changes_the_draft_only(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    page = save(staff, stored, document(steps=[{"id": "two", "action": "test.count"}]))

    assert page.redirect_chain
    stored.refresh_from_db()
    assert [step["id"] for step in stored.draft["steps"]] == ["two"]
    assert stored.published is not None
    assert [step["id"] for step in stored.published.document["steps"]] == ["one"]
    assert "The draft has" in text(page)


@pytest.mark.parametrize(
    ("yaml", "problem"),
    [
        ("steps: [", "line "),
        ("flowcontrol: 1\nslug: hello\nname: H\ncolour: red\nsteps: []", "colour"),
        ("flowcontrol: 1\nslug: other\nname: H\nsteps: []", "a slug is not changed by editing"),
        ("flowcontrol: 1\nslug: hello\nname: H\nactive: false\nsteps: []", "not part of a draft"),
        (f"{document()}---\n{document('b')}", "this text has 2"),
        ("", "required"),
    ],
)
def test_a_draft_that_is_no_document_is_told_and_what_was_typed_is_kept(
    staff: Client, yaml: str, problem: str
) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    before = rows_of_everything()

    page = save(staff, stored, yaml)

    assert page.status_code == 200
    assert not page.redirect_chain
    assert problem in text(page)
    assert escape(" ".join(yaml.split()))[:30] in text(page)
    assert rows_of_everything() == before


def test_who_saves_an_older_draft_is_told_and_overwrites_nothing(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    revision = stored.draft_revision
    save_draft(stored, parse_yaml(document(name="Theirs"))[0], revision)

    page = save(staff, stored, document(name="Mine"), revision)

    assert "somebody saved it meanwhile" in text(page)
    assert "name: Mine" in text(page)
    assert Flow.objects.get().draft["name"] == "Theirs"
    # And a second click does not slip through, neither that on "Save" nor that on "Publish".
    assert re.findall(r'name="revision" value="(\d+)"', text(page)) == [str(revision)] * 2


def test_publishing_makes_a_version_once_and_tells_it(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    save(staff, stored, document(steps=[{"id": "two", "action": "test.count"}]))

    told = publish(staff, stored, note="Two " * 100)
    assert told == ["Published as v2. Runs in flight stay on their version."]
    assert publish(staff, stored) == ["v2 has everything that the draft has; nothing was published."]
    assert stored.versions.count() == 2


def test_a_draft_that_was_saved_since_the_page_was_drawn_is_not_published(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    save(staff, stored, document(name="Mine"))
    page = text(staff.get(f"{ADMIN}flow/{stored.pk}/change/"))
    (form,) = re.findall(rf'<form [^>]*"{ADMIN}flow/{stored.pk}/publish/">.*?</form>', page)
    (seen,) = re.findall(r'name="revision" value="(\d+)"', form)
    stored.refresh_from_db()
    save_draft(stored, parse_yaml(document(name="Theirs"))[0], stored.draft_revision)

    (told,) = publish(staff, stored, revision=seen)

    assert "somebody saved it meanwhile" in told
    assert stored.versions.count() == 1
    (told,) = publish(staff, stored, revision="")
    assert "did not say which draft" in told
    assert stored.versions.count() == 1


def test_looking_whether_a_draft_is_one_stores_nothing() -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    before = rows_of_everything()

    form = DraftForm({"document": document(name="New"), "revision": stored.draft_revision}, instance=stored)

    assert form.is_valid(), form.errors
    assert rows_of_everything() == before


def test_a_draft_that_is_saved_by_somebody_else_at_the_same_moment_is_not_overwritten(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    theirs = parse_yaml(document(name="Theirs"))[0]
    store = DraftForm.store

    def faster(form: DraftForm) -> None:
        monkeypatch.undo()
        save_draft(Flow.objects.get(), theirs, stored.draft_revision)
        store(form)

    monkeypatch.setattr(DraftForm, "store", faster)
    # What the other one stored is rolled back here, as is all that the request did: it is the same connection.
    monkeypatch.setattr(transaction, "atomic", lambda *given, **named: nullcontext())
    page = save(staff, stored, document(name="Mine"))

    assert page.status_code == 200
    assert "somebody saved it meanwhile" in text(page)
    assert "name: Mine" in text(page)
    assert Flow.objects.get().draft["name"] == "Theirs"


def test_saving_a_flow_as_it_is_makes_no_other_draft(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    save(staff, stored, to_yaml(export_flow(stored, draft=True)).replace("\n", "\r\n"))
    before = rows_of_everything()

    save(staff, stored, to_yaml(stored.draft).replace("\n", "\r\n"))

    assert rows_of_everything() == before
    assert LogEntry.objects.latest("pk").get_change_message() == "No fields changed."


def test_versions_that_the_page_of_a_flow_leaves_out_are_counted_and_linked(staff: Client) -> None:
    stored = flow("hello")
    page = f"{ADMIN}flow/{stored.pk}/change/"
    for number in range(2, 11):
        FlowVersion.objects.create(flow=stored, number=number, document={}, note=XSS)
    assert "older</a>" not in text(staff.get(page))
    for number in range(11, 14):
        FlowVersion.objects.create(flow=stored, number=number, document={}, note=XSS)

    assert f'<a href="{ADMIN}flow/{stored.pk}/versions/">and 3 older</a>' in text(staff.get(page))
    assert "<td>v3</td>" not in text(staff.get(page))
    every = staff.get(f"{ADMIN}flow/{stored.pk}/versions/")
    assert re.findall(r"<td>v(\d+)</td>", text(every)) == [str(number) for number in range(13, 0, -1)]
    assert XSS not in every.content.decode()


def test_publishing_an_unfinished_draft_tells_every_problem_and_publishes_nothing(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}])
    save(staff, stored, document(steps=[{"action": "test.nothing"}, {"action": "test.rounds"}]))

    told = publish(staff, stored)

    assert len(told) == 2
    assert "steps[0].action" in told[0]
    assert "steps[1].config.times" in told[1]
    assert stored.versions.count() == 1


@pytest.mark.parametrize(
    ("error", "page"),
    [
        (FlowNotFound("The flow “hello” was deleted meanwhile."), f"{ADMIN}flow/"),
        (FlowcontrolError("Something is wrong with it."), f"{ADMIN}flow/{{}}/change/"),
    ],
)
def test_whatever_keeps_a_draft_from_being_published_is_told(
    staff: Client, monkeypatch: pytest.MonkeyPatch, error: FlowcontrolError, page: str
) -> None:
    stored = flow("hello")

    def refuse(*given: Any, **named: Any) -> None:
        raise error

    monkeypatch.setattr(documents, "publish", refuse)
    url = f"{ADMIN}flow/{stored.pk}/publish/"
    told = staff.post(url, {"revision": stored.draft_revision}, follow=True)

    assert said(told) == [str(error)]
    assert told.redirect_chain == [(page.format(stored.pk), 302)]


# -- start, switch, delete -------------------------------------------------------------------------------------


def start(staff: Client, of: Flow, **data: str) -> Any:
    data = {"key": str(uuid4()), **data}
    return staff.post(f"{ADMIN}flow/{of.pk}/start/", data, follow=True)


def test_a_flow_is_started_with_an_object_and_a_state(staff: Client) -> None:
    ada = Customer.objects.create(name="Ada")
    stored = flow("hello", [{"id": "one", "action": "test.count"}], object="testapp.customer")

    told = start(staff, stored, object_key=str(ada.pk), state='{"n": 4}')

    run = FlowRun.objects.get()
    assert said(told) == [
        f'Started <a href="{ADMIN}flowrun/{run.pk}/change/">flow run {run.pk}</a>; a worker executes it.'
    ]
    assert told.redirect_chain == [(f"{ADMIN}flowrun/{run.pk}/change/", 302)]
    assert (run.object_model, run.object_id, dict(run.state)) == ("testapp.customer", str(ada.pk), {"n": 4})


def test_a_start_that_is_sent_twice_starts_one_run_and_leads_to_it(staff: Client) -> None:
    stored = flow("hello")
    url = f"{ADMIN}flow/{stored.pk}/start/"
    (first,), (second,) = (re.findall(r'name="key" value="([^"]+)"', text(staff.get(url))) for _ in range(2))
    assert first != second

    start(staff, stored, key=first)
    again = start(staff, stored, key=first)

    run = FlowRun.objects.get()
    assert again.redirect_chain == [(f"{ADMIN}flowrun/{run.pk}/change/", 302)]
    (told,) = said(again)
    assert told.startswith("This form has started <a href=")
    start(staff, stored, key=second)
    assert FlowRun.objects.count() == 2


@pytest.mark.parametrize("key", ["", "mine"])
def test_a_start_without_a_key_of_the_form_starts_nothing(staff: Client, key: str) -> None:
    page = start(staff, flow("hello"), key=key)
    assert "errorlist" in text(page)
    assert not FlowRun.objects.exists()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"object_key": "999"}, "There is no customer 999."),
        ({"object_key": "abc"}, "There is no customer abc."),
        ({"object_key": "9" * 40}, "There is no customer 9"),
        ({"object_key": ""}, "This field is required."),
        ({"state": "{"}, "This is no JSON"),
        ({"state": "[1]"}, "Write a JSON object"),
        ({"state": '{"n": NaN}'}, "n"),
        ({"state": "[" * 100_000}, "This is no JSON"),
    ],
)
def test_a_start_that_cannot_be_is_told_at_the_form(
    staff: Client, data: dict[str, str], problem: str
) -> None:
    ada = Customer.objects.create(name="Ada")
    stored = flow("hello", object="testapp.customer")

    page = start(staff, stored, **{"object_key": str(ada.pk), "state": "", **data})

    assert page.status_code == 200
    assert problem in text(page)
    assert "errorlist" in text(page)
    assert not FlowRun.objects.exists()


def test_a_flow_whose_object_is_not_installed_any_more_cannot_be_started(staff: Client) -> None:
    stored = flow("hello", object="testapp.customer")
    Flow.objects.update(object_model="shop.order")
    assert "The model shop.order is not installed." in text(start(staff, stored, object_key="1"))


def test_a_start_that_a_limit_refuses_is_told(staff: Client) -> None:
    pause = {"id": "rest", "action": "test.pause", "config": {"seconds": 60}}
    stored = flow("hello", [pause], limits={"concurrent": 1})
    start(staff, stored)

    told = said(start(staff, stored))

    assert len(told) == 1
    assert told[0].startswith('The flow "hello" starts no run:')
    assert FlowRun.objects.count() == 1


def test_an_inactive_flow_is_not_offered_to_be_started_and_refuses(staff: Client) -> None:
    stored = flow("hello", active=False)

    assert f"{ADMIN}flow/{stored.pk}/start/" not in text(staff.get(f"{ADMIN}flow/{stored.pk}/change/"))
    assert said(start(staff, stored)) == ['The flow "hello" is not active.']


def test_a_flow_is_switched_off_and_on(staff: Client) -> None:
    stored = flow("hello")

    told = staff.post(f"{ADMIN}flow/{stored.pk}/deactivate/", follow=True)
    assert said(told) == ["1 flow was deactivated; its runs go on."]
    assert not Flow.objects.get().is_active
    told = staff.post(f"{ADMIN}flow/{stored.pk}/activate/", follow=True)
    assert said(told) == ["1 flow was activated."]
    assert Flow.objects.get().is_active


def bulk(staff: Client, model: str, action: str, rows: Any) -> list[str]:
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    return said(staff.post(f"{ADMIN}{model}/", data, follow=True))


def test_flows_are_switched_together(staff: Client) -> None:
    rows = [flow("a"), flow("b"), flow("c", active=False)]

    assert bulk(staff, "flow", "deactivate_flows", rows) == ["2 flows were deactivated; their runs go on."]
    assert bulk(staff, "flow", "activate_flows", rows) == ["3 flows were activated."]
    assert bulk(staff, "flow", "activate_flows", rows) == ["0 flows were activated."]


def test_a_flow_without_runs_is_deleted_with_versions_and_triggers(staff: Client) -> None:
    stored = flow("hello", triggers=[{"on": "test.ping"}])

    page = text(staff.get(f"{ADMIN}flow/{stored.pk}/delete/"))
    assert "Are you sure" in page
    assert "test.ping" in page
    told = staff.post(f"{ADMIN}flow/{stored.pk}/delete/", {"post": "yes"}, follow=True)
    assert "was deleted successfully" in said(told)[0]
    assert not Flow.objects.exists()
    assert not Trigger.objects.exists()


def test_flows_without_runs_are_deleted_together(staff: Client) -> None:
    rows = [flow("a"), flow("b")]
    data = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    assert "deleted 2 flows" in said(staff.post(f"{ADMIN}flow/", data, follow=True))[0]
    assert not Flow.objects.exists()


@pytest.mark.parametrize("way", ["page", "list"])
def test_a_flow_with_runs_is_not_deleted_and_the_runs_are_named(staff: Client, way: str) -> None:
    stored = flow("hello")
    for _ in range(25):
        run_with(stored)

    if way == "page":
        page = staff.post(f"{ADMIN}flow/{stored.pk}/delete/", {"post": "yes"})
    else:
        data = {"action": "delete_selected", "_selected_action": [stored.pk], "post": "yes"}
        page = staff.post(f"{ADMIN}flow/", data)

    assert page.status_code == 200
    assert "would require deleting the following protected related objects" in text(page)
    assert "and 5 more runs" in text(page)
    assert Flow.objects.count() == 1


def test_flows_that_are_started_while_they_are_deleted_together_are_all_kept_with_a_message(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [flow("a"), flow("b")]
    log_deletions = FlowAdmin.log_deletions

    def started_after_the_look(*given: Any) -> Any:
        run_with(rows[1])
        return log_deletions(*given)

    monkeypatch.setattr(FlowAdmin, "log_deletions", started_after_the_look)
    data = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    told = said(staff.post(f"{ADMIN}flow/", data, follow=True))

    assert told == ["A flow was started meanwhile, and its runs keep it; nothing was deleted."]
    assert Flow.objects.count() == 2
    assert not LogEntry.objects.filter(action_flag=DELETION).exists()


# -- runs ------------------------------------------------------------------------------------------------------

#: What may be done by hand, by status.
LEGAL = {
    "cancel": {"pending", "running", "waiting", "paused", "blocked"},
    "pause": {"pending", "running", "waiting", "blocked"},
    "resume": {"paused"},
    "restart": set(RunStatus.values),
}


@pytest.mark.parametrize("what", LEGAL)
def test_buttons_are_shown_where_they_are_legal_and_otherwise_refused_with_a_message(
    staff: Client, what: str
) -> None:
    for status, run in world().items():
        url = f"{ADMIN}flowrun/{run.pk}/{what}/"
        is_shown = f'action="{url}"' in text(staff.get(f"{ADMIN}flowrun/{run.pk}/change/"))
        assert is_shown == (status in LEGAL[what]), status
        told = staff.post(url, follow=True)
        assert told.status_code == 200
        level = [message.level_tag for message in told.context["messages"]]
        assert level == (["success"] if status in LEGAL[what] else ["warning"]), (status, said(told))


def test_operating_does_what_it_says(staff: Client) -> None:
    run = world()[RunStatus.WAITING]

    def status(what: str, **data: str) -> str:
        staff.post(f"{ADMIN}flowrun/{run.pk}/{what}/", data)
        run.refresh_from_db()
        return str(run.status)

    assert [status("pause"), status("resume"), status("cancel")] == ["paused", "waiting", "cancelled"]
    assert run.reason == "Cancelled by root."
    assert (status("restart", step="inner"), run.step) == ("pending", "inner")
    assert (status("restart"), run.step) == ("pending", "")
    history = text(staff.get(f"{ADMIN}flowrun/{run.pk}/history/"))
    assert "Paused." in history
    assert "Restarted at step “inner”." in history


def test_a_failed_run_offers_its_step_to_restart_at(staff: Client) -> None:
    run = world()[RunStatus.FAILED]
    page = text(staff.get(f"{ADMIN}flowrun/{run.pk}/change/"))
    assert '<option value="decide" selected>' in page


@pytest.mark.parametrize("step", ["nowhere", XSS])
def test_a_restart_at_a_step_that_is_not_there_is_refused(staff: Client, step: str) -> None:
    run = run_with(flow("hello"))
    told = staff.post(f"{ADMIN}flowrun/{run.pk}/restart/", {"step": step}, follow=True)

    assert [message.level_tag for message in told.context["messages"]] == ["error"]
    assert XSS not in told.content.decode()
    run.refresh_from_db()
    assert run.status == "completed"


def test_a_restart_that_a_limit_refuses_is_told(staff: Client) -> None:
    pause = {"id": "rest", "action": "test.pause", "config": {"seconds": 60}}
    stored = flow("hello", [pause], limits={"concurrent": 1})
    first = run_with(stored)
    staff.post(f"{ADMIN}flowrun/{first.pk}/cancel/", follow=True)
    run_with(stored)

    told = said(staff.post(f"{ADMIN}flowrun/{first.pk}/restart/", follow=True))

    assert len(told) == 1
    assert "cannot be restarted" in told[0]


def test_bulk_actions_tell_how_many_were_changed_and_how_many_left(staff: Client) -> None:
    runs = world().values()

    assert bulk(staff, "flowrun", "pause_runs", runs) == [
        "4 runs were paused.",
        "6 runs were left as they are: their status does not allow it.",
    ]
    assert bulk(staff, "flowrun", "resume_runs", runs)[0] == "5 runs were resumed."
    assert bulk(staff, "flowrun", "cancel_runs", runs)[0] == "5 runs were cancelled."
    assert bulk(staff, "flowrun", "cancel_runs", runs) == [
        "10 runs were left as they are: their status does not allow it."
    ]


def test_an_ended_run_can_be_deleted_and_a_live_one_cannot(staff: Client) -> None:
    runs = world()
    live, ended = runs[RunStatus.WAITING], runs[RunStatus.COMPLETED]

    assert staff.post(f"{ADMIN}flowrun/{live.pk}/delete/", {"post": "yes"}).status_code == 403
    assert staff.post(f"{ADMIN}flowrun/{ended.pk}/delete/", {"post": "yes"}).status_code == 302
    staff.post(
        f"{ADMIN}flowrun/", {"action": "delete_selected", "_selected_action": [live.pk], "post": "yes"}
    )
    assert FlowRun.objects.filter(pk=live.pk).exists()
    assert not FlowRun.objects.filter(pk=ended.pk).exists()


# -- triggers --------------------------------------------------------------------------------------------------


def test_a_trigger_is_tied_to_a_flow(staff: Client) -> None:
    stored = flow("hello")
    data = {"flow": stored.pk, "on": "test.ping", "does": "start", "is_active": "on"}
    told = staff.post(f"{ADMIN}trigger/add/", data, follow=True)

    assert "was added successfully" in said(told)[0]
    assert Trigger.objects.get().on == "test.ping"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"on": "test.nothing"}, "Select a valid choice"),
        ({"condition": "1 +"}, "errorlist"),
        ({"does": "restart", "step": "nowhere"}, "has no step “nowhere”"),
        ({"step": "one"}, "A step is only for a trigger that restarts runs"),
        ({"on": "test.user"}, "and the flow is about a testapp.customer"),
        ({"flow": ""}, "This field is required."),
    ],
)
def test_a_trigger_with_a_mistake_is_told_and_not_stored(
    staff: Client, data: dict[str, str], problem: str
) -> None:
    registry.register_trigger("test.user", model="auth.User")
    stored = flow("hello", [{"id": "one", "action": "test.count"}], object="testapp.customer")
    given = {"flow": str(stored.pk), "on": "test.ping", "does": "start", **data}

    assert problem in text(staff.post(f"{ADMIN}trigger/add/", given))
    assert not Trigger.objects.exists()


def test_a_trigger_whose_type_is_gone_can_still_be_edited(staff: Client) -> None:
    stored = flow("hello", triggers=[{"on": "test.ping"}])
    row = Trigger.objects.get()
    registry.triggers.unregister("test.ping")
    url = f"{ADMIN}trigger/{row.pk}/change/"

    assert "test.ping (not installed)" in text(staff.get(url))
    data = {"flow": stored.pk, "on": "test.ping", "does": "start", "condition": "object"}
    assert staff.post(url, data).status_code == 302
    row.refresh_from_db()
    assert (row.condition, row.is_active) == ("object", False)


def test_triggers_of_a_flow_are_changed_at_the_flow_and_its_mistakes_told_there(staff: Client) -> None:
    stored = flow("hello", [{"id": "one", "action": "test.count"}], triggers=[{"on": "test.ping"}])
    row = Trigger.objects.get()
    url = f"{ADMIN}flow/{stored.pk}/change/"
    data = {
        "document": to_yaml(stored.draft),
        "revision": stored.draft_revision,
        "triggers-TOTAL_FORMS": "2",
        "triggers-INITIAL_FORMS": "1",
        "triggers-0-id": row.pk,
        "triggers-0-flow": stored.pk,
        "triggers-0-on": "test.ping",
        "triggers-0-does": "restart",
        "triggers-0-step": "nowhere",
        "triggers-1-flow": stored.pk,
        "triggers-1-on": "test.ping",
        "triggers-1-does": "start",
        "triggers-1-condition": "1 +",
    }
    before = rows_of_everything()

    page = staff.post(url, {**data, "document": document(name="New")})
    assert "has no step “nowhere”" in text(page)
    assert text(page).count('class="errorlist') == 2
    assert rows_of_everything() == before

    staff.post(url, {**data, "triggers-0-step": "one", "triggers-1-condition": "object"})
    rules = [(each.does, each.step, each.condition) for each in stored.triggers.order_by("pk")]
    assert rules == [("restart", "one", ""), ("start", "", "object")]
    assert Flow.objects.get().draft_revision == stored.draft_revision


# -- what pages cost -------------------------------------------------------------------------------------------


def queries(staff: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert staff.get(url).status_code == 200
    return len(captured)


def test_lists_cost_the_same_number_of_queries_for_10_rows_and_for_50(staff: Client) -> None:
    def rows(numbers: range) -> None:
        for number in numbers:
            stored = flow(f"flow{number}", triggers=[{"on": "test.ping"}])
            assert isinstance(start_flow(stored), Started)
            Event.objects.create(name="x", created_at=timezone.now())

    lists = [f"{ADMIN}{name}/" for name in ("flow", "flowrun", "trigger", "event")]
    rows(range(10))
    ten = [queries(staff, url) for url in lists]
    rows(range(10, 50))
    assert [queries(staff, url) for url in lists] == ten
    assert max(ten) <= 10


def statements(staff: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert staff.get(url).status_code == 200
    return [query["sql"].replace("`", '"') for query in captured]


def test_lists_read_no_texts_that_they_do_not_show(staff: Client) -> None:
    world()
    ada = Customer.objects.get()
    autocomplete = "/admin/autocomplete/?app_label=flowcontrol&model_name=trigger&field_name=flow&term="
    trigger = Trigger.objects.get()
    urls = [f"{ADMIN}{name}/" for name in ("flow", "flowrun", "trigger", "event")]
    urls += [f"{ADMIN}flowrun/?q={ada.pk}", f"{ADMIN}event/?q=ping", autocomplete]
    urls += [f"{ADMIN}trigger/{trigger.pk}/change/", f"{ADMIN}flow/{trigger.flow_id}/delete/"]
    for url in urls:
        read = " ".join(statements(staff, url))
        for column in ("draft", "document", "payload_json", "state_json", "cursor_json", "traceback"):
            assert f'."{column}"' not in read, url


def test_the_list_of_flows_counts_the_live_runs_of_its_page_in_one_query(staff: Client) -> None:
    waits = flow(
        "waits",
        [{"id": "rest", "action": "test.pause", "config": {"seconds": 60}}],
        limits={"concurrent": 2, "when_reached": "queue"},
    )
    for _ in range(3):
        run_with(waits)
    run_with(flow("empty"))

    (sql,) = [sql for sql in statements(staff, f"{ADMIN}flow/") if "flowcontrol_flowrun" in sql]
    assert "JOIN" not in sql
    assert "COUNT(*)" in sql
    # Each half as the partial index over live runs says it, and nothing of runs that have ended.
    assert len(re.findall(r'"ended_at" IS NULL AND (?:\S+)"admitted_at" IS (?:NOT )?NULL', sql)) == 2, sql
    page = text(staff.get(f"{ADMIN}flow/"))
    assert f'flow={waits.pk}&amp;live=yes">3</a>' in page
    assert page.count("live=yes") == 1


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("{run}", {"about"}),
        ("mine", {"keyed"}),
        ("min", set()),
        ("6f9619ff-8b86-d011-b42d-00c04fc964ff", {"about"}),
        (" 6F9619FF8B86D011B42D00C04FC964FF ", {"about"}),
        ("other-fl", {"other"}),
        ("an OTHER", {"other"}),
        ("nothing", set()),
        ("9" * 40, set()),
    ],
)
def test_runs_are_found_by_what_names_them_without_a_look_into_each(
    staff: Client, term: str, found: set[str]
) -> None:
    hello = flow("hello", name="Hello")
    runs = {
        "about": run_with(hello),
        "keyed": run_with(hello),
        "other": run_with(flow("other-flow", name="An other")),
    }
    # Of a model that is not installed any more, and that the flow still names.
    Flow.objects.filter(pk=hello.pk).update(object_model="shop.order")
    FlowRun.objects.filter(pk=runs["about"].pk).update(
        object_model="shop.order", object_id="6f9619ff-8b86-d011-b42d-00c04fc964ff"
    )
    FlowRun.objects.filter(pk=runs["keyed"].pk).update(key="mine")
    url = f"{ADMIN}flowrun/?{urlencode({'q': term.format(run=runs['about'].pk)})}"

    page = text(staff.get(url))

    assert {name for name, run in runs.items() if f"/flowrun/{run.pk}/change/" in page} == found
    for sql in statements(staff, url):
        assert "flowrun" not in sql or not re.search("LIKE|UPPER|REGEXP", sql), sql


def test_events_are_found_by_name_and_object_without_a_look_into_each(staff: Client) -> None:
    world()
    ada = Customer.objects.get()
    links = {event.name: f"/event/{event.pk}/change/" for event in Event.objects.all()}

    def found(query: str) -> set[str]:
        page = text(staff.get(f"{ADMIN}event/?{query}"))
        for sql in statements(staff, f"{ADMIN}event/?{query}"):
            assert "flowcontrol_event" not in sql or not re.search("LIKE|UPPER|REGEXP|DISTINCT", sql), sql
        return {name for name, link in links.items() if link in page}

    assert found("") == {"test.ping", "flowcontrol.start_refused"}
    assert found("q=PING") == {"test.ping"}
    assert found(f"q={ada.pk}") == {"test.ping"}
    assert found("q=secret") == set()
    assert found("name=test.ping") == {"test.ping"}
    assert found("name=gone.away") == set()
    Event.objects.create(name="gone.away", created_at=timezone.now())
    links["gone.away"] = f"/event/{Event.objects.get(name='gone.away').pk}/change/"
    assert found("name=gone.away") == found("q=gone.away") == {"gone.away"}


def test_what_is_done_to_many_runs_is_logged_with_one_statement(staff: Client) -> None:
    waits = flow("waits", [{"id": "rest", "action": "test.pause", "config": {"seconds": 60}}])
    runs = [run_with(waits) for _ in range(6)]
    data = {"action": "pause_runs", "_selected_action": [run.pk for run in runs]}

    with CaptureQueriesContext(connection) as captured:
        staff.post(f"{ADMIN}flowrun/", data)

    assert len([query for query in captured if "INSERT INTO" in query["sql"]]) == 1
    history = LogEntry.objects.filter(object_id__in=[str(run.pk) for run in runs])
    assert [(entry.object_repr, str(entry)) for entry in history.order_by("object_id")] == [
        (str(run), f"Changed “{run}” — Paused.") for run in sorted(runs, key=lambda run: str(run.pk))
    ]


def test_pages_cost_the_same_for_long_flows_and_long_runs(staff: Client) -> None:
    def cost(times: int) -> tuple[int, int]:
        steps = [{"id": f"s{number}", "action": "test.count"} for number in range(times)]
        loop = {"id": "loop", "action": "test.rounds", "config": {"times": times}, "steps": steps}
        stored = flow(f"flow{times}", [loop])
        run = run_with(stored)
        return queries(staff, f"{ADMIN}flow/{stored.pk}/change/"), queries(
            staff, f"{ADMIN}flowrun/{run.pk}/change/"
        )

    cost(1)  # reads the content types, which are kept for the process
    small, large = cost(2), cost(30)
    assert small == large
    assert max(large) <= 12


def test_an_error_of_a_pack_in_the_summary_of_a_step_does_not_break_the_page(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def summary(self: Any, config: Any) -> str:
        raise ValueError(XSS)

    monkeypatch.setattr(Decide, "summary", summary)
    stored = flow("hello", [{"id": "one", "action": "test.decide"}])
    page = staff.get(f"{ADMIN}flow/{stored.pk}/change/")
    assert escape(f"ValueError: {XSS}") in text(page)


def test_a_run_that_failed_is_linked_from_the_list_of_flows(staff: Client) -> None:
    Decide.answer["one"] = lambda context: Fail("no")
    stored = flow("hello", [{"id": "one", "action": "test.decide"}])
    run = run_with(stored)
    link = f"{ADMIN}flowrun/?flow={stored.pk}&amp;status__exact=failed"

    assert link in text(staff.get(f"{ADMIN}flow/"))
    assert f"{ADMIN}flowrun/{run.pk}/change/" in text(staff.get(link.replace("&amp;", "&")))


def test_pages_have_no_scripts_and_styles_of_their_own_that_a_content_policy_would_forbid() -> None:
    folder = Path(flowcontrol.__file__).parent / "templates"
    templates = list(folder.rglob("*.html"))
    assert templates
    for template in templates:
        assert not re.search(r"<script|<style|\son\w+=|\sstyle=|\|safe\b|autoescape", template.read_text()), (
            template
        )


def test_the_list_of_flows_tells_which_plugins_cannot_be_used_and_which_workers_have_others(
    staff: Client,
) -> None:
    broken = PluginReport(
        "acme",
        State.QUARANTINED,
        distribution="acme-flow",
        version="1.0",
        problem=Problem.BROKEN,
        reason="Importing acme raised <ImportError>.",
    )
    now = timezone.now()
    for name, has in (("one", {"fax": "0.4"}), ("two", {}), ("dead", {"fax": "0.3"})):
        seen_at = now - timedelta(hours=name == "dead")
        Worker.objects.create(
            name=name, host="h", pid=1, plugins=active_plugins() | has, started_at=now, seen_at=seen_at
        )
    before = plugins.loaded.use(replace(plugins.current(), reports=(*plugins.reports(), broken)))
    try:
        page = staff.get(reverse("admin:flowcontrol_flow_changelist")).content.decode()
    finally:
        plugins.loaded.use(before)
    notices = [unescape(one) for one in re.findall(r'<p class="errornote">(.*?)</p>', page)]
    assert notices == [
        'The plugin "acme" (acme-flow 1.0) cannot be used. Importing acme raised <ImportError>.',
        "The worker one has other plugins than this page: it has fax 0.4 as well.",
    ]
    Worker.objects.all().delete()
    assert "errornote" not in staff.get(reverse("admin:flowcontrol_flow_changelist")).content.decode()
