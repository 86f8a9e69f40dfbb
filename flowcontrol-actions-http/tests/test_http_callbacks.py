"""Links that runs hand out: a page asks, a button or a program answers, once, and the run goes on."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client, override_settings
from django.utils import timezone, translation
from flowcontrol.engine import cancel_runs, restart_run
from flowcontrol.models import Event, FlowRun
from webhook_world import project

from flowcontrol_actions_http.models import Callback, digest
from flowcontrol_actions_http.pruning import prune

__all__ = ["project"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project")]

BASE = "https://shop.example.org"
LATE = {"id": "late", "action": "http.respond", "config": {"text": "late"}}


def ask(*steps: dict[str, Any], **config: Any) -> dict[str, Any]:
    """A step that hands out a link and waits for it."""
    return {
        "id": "ask",
        "action": "http.wait_for_callback",
        "config": {"save_as": "answer", **config},
        "steps": list(steps),
        "branches": {"timeout": [LATE]},
    }


APPROVE = {
    "question": "Approve order {{ number }}?",
    "choices": {"approve": "Yes, do", "reject": "No"},
    "comment": True,
}


def link(result: Any) -> str:
    """The path of the link in the run's state."""
    url: str = result.state["callback_url"]
    assert url.startswith(f"{BASE}/flowcontrol/packs/http/callbacks/")
    return url.removeprefix(BASE)


def waiting(run_flow: Any, *steps: dict[str, Any], **config: Any) -> Any:
    return run_flow(ask(*steps, **{**APPROVE, **config}), state={"number": 7}, status="waiting")


def press(path: str, **form: str) -> Any:
    body = "&".join(f"{name}={value}" for name, value in form.items())
    return Client(enforce_csrf_checks=True).post(path, body, content_type="application/x-www-form-urlencoded")


def send(path: str, data: Any) -> Any:
    return Client(enforce_csrf_checks=True).post(path, data, content_type="application/json")


def text_of(answer: Any) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


# -- people ------------------------------------------------------------------------------------------------------


def test_a_person_answers_by_a_button_and_the_run_goes_on_with_it(run_flow: Any) -> None:
    result = waiting(run_flow)
    path = link(result)
    page = Client().get(path)
    assert page.status_code == 200
    assert "Approve order 7?" in text_of(page)
    assert re.findall(r'<button name="choice" value="(\w+)">([^<]+)<', page.content.decode()) == [
        ("approve", "Yes, do"),
        ("reject", "No"),
    ]
    thanks = press(path, choice="reject", comment="too+dear%0D%0Areally")
    assert (thanks.status_code, "Thank you" in text_of(thanks)) == (200, True)
    assert result.go_on().status == "completed"
    answer = result.state["answer"]
    assert answer.pop("at") <= timezone.now()
    assert answer == {"choice": "reject", "comment": "too dear\nreally", "data": None}
    assert result.steps == ["ask"]


def test_looking_at_the_link_answers_nothing_however_often(run_flow: Any) -> None:
    result = waiting(run_flow)
    for method in ("get", "head", "get"):
        assert getattr(Client(), method)(link(result)).status_code == 200
    for method in ("put", "delete", "options"):
        assert getattr(Client(), method)(link(result)).status_code == 405
    assert result.go_on().status == "waiting"
    assert Callback.objects.get().used_at is None


def test_the_second_is_told_that_it_was_used_already(run_flow: Any) -> None:
    result = waiting(run_flow)
    press(link(result), choice="approve")
    again = press(link(result), choice="reject")
    assert (again.status_code, "was used already" in text_of(again)) == (409, True)
    assert "was used already" in text_of(Client().get(link(result)))
    assert result.go_on().state["answer"]["choice"] == "approve"


def test_a_link_that_nobody_made_is_an_unknown_page() -> None:
    assert Client().get("/flowcontrol/packs/http/callbacks/nobody-made-this").status_code == 404
    assert press("/flowcontrol/packs/http/callbacks/nobody-made-this", choice="approve").status_code == 404


@pytest.mark.parametrize("choice", ["", "maybe", "approve%00", "%ff"])
def test_a_choice_that_is_none_is_asked_for_again(run_flow: Any, choice: str) -> None:
    result = waiting(run_flow)
    assert press(link(result), choice=choice).status_code == 400
    assert press(link(result), choice="approve").status_code == 200


def test_without_choices_there_is_one_button(run_flow: Any) -> None:
    result = run_flow(ask(), status="waiting")
    assert "Confirm" in text_of(Client().get(link(result)))
    assert press(link(result)).status_code == 200
    assert result.go_on().state["answer"]["choice"] == ""


def test_what_a_flow_says_is_text_on_the_page(run_flow: Any) -> None:
    evil = "<script>alert(1)</script>"
    result = waiting(run_flow, question=evil, text=evil, choices={evil: evil})
    assert evil not in Client().get(link(result)).content.decode()


def test_the_page_is_kept_from_caches_frames_scripts_and_other_sites(run_flow: Any) -> None:
    page = Client().get(link(waiting(run_flow)))
    assert page["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert (page["Cache-Control"], page["Referrer-Policy"], page["X-Frame-Options"]) == (
        "no-store",
        "no-referrer",
        "DENY",
    )
    assert "<script" not in page.content.decode()
    assert " style=" not in page.content.decode()
    assert page.cookies == {}


def test_styles_of_another_host_are_allowed_from_there(run_flow: Any, settings: Any) -> None:
    settings.STATIC_URL = "https://static.example.org/files/"
    page = Client().get(link(waiting(run_flow)))
    assert "style-src https://static.example.org;" in page["Content-Security-Policy"]


def test_the_page_speaks_german(run_flow: Any) -> None:
    path = link(waiting(run_flow))
    with translation.override("de"):
        page = text_of(Client().get(path))
    assert "Dieser Link gilt einmal." in page
    assert "Kommentar (freiwillig)" in page


# -- programs ----------------------------------------------------------------------------------------------------


def test_a_program_answers_in_json(run_flow: Any) -> None:
    result = waiting(run_flow)
    sent = {"choice": "approve", "comment": "ok", "by": {"id": 3}}
    answer = send(link(result), sent)
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert (send(link(result), sent).status_code, send(link(result), sent).json()) == (
        409,
        {"status": "used"},
    )
    found = result.go_on().state["answer"]
    assert (found["choice"], found["comment"], found["data"]) == ("approve", "ok", sent)


def test_a_program_may_send_nothing_where_there_is_nothing_to_choose(run_flow: Any) -> None:
    result = run_flow(ask(), status="waiting")
    assert Client().post(link(result), b"", content_type="application/octet-stream").status_code == 200
    assert result.go_on().state["answer"]["data"] is None


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b'{"choice": "maybe"}', "application/json", 400),
        (b'{"choice": ["approve"]}', "application/json", 400),
        (b'{"choice": "approve", "comment": 5}', "application/json", 400),
        (b'{"choice": "approve", "choice": "reject"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{", "application/json", 400),
        (b"x", "text/plain", 415),
        (b'"' + b"x" * 1_048_576 + b'"', "application/json", 413),
        (b"choice=approve&choice=reject", "application/x-www-form-urlencoded", 400),
        (b"--b\r\n", "multipart/form-data; boundary=b", 415),
    ],
)
def test_what_is_no_answer_is_refused_and_the_link_stays_good(
    run_flow: Any, body: bytes, content_type: str, status: int
) -> None:
    result = waiting(run_flow)
    assert Client().post(link(result), body, content_type=content_type).status_code == status
    assert send(link(result), {"choice": "approve"}).status_code == 200


# -- the run -----------------------------------------------------------------------------------------------------


def test_sub_steps_have_the_link_and_it_counts_while_they_run(run_flow: Any) -> None:
    inner = {"id": "inner", "action": "http.wait_for_callback", "config": {"url_as": "inner"}}
    result = run_flow(ask(inner, **APPROVE), state={"number": 7}, status="waiting")
    assert send(link(result), {"choice": "approve"}).status_code == 200, "before the run waits for it"
    assert result.go_on().status == "waiting"
    send(result.state["inner"].removeprefix(BASE), {})
    assert result.go_on().status == "completed"
    assert result.state["answer"]["choice"] == "approve"


def test_when_time_is_up_the_run_goes_on_and_the_link_says_so(run_flow: Any) -> None:
    config = {**APPROVE, "timeout_seconds": 60}
    result = run_flow(ask(**config), state={"number": 7})
    assert result.steps == ["ask", "late"]
    answer = press(link(result), choice="approve")
    assert (answer.status_code, "no longer valid" in text_of(answer)) == (410, True)
    assert send(link(result), {"choice": "approve"}).json() == {"status": "over"}
    assert "answer" not in result.state


def test_a_link_whose_time_is_up_is_no_longer_good_although_the_run_did_not_notice_yet(run_flow: Any) -> None:
    result = run_flow(ask(timeout_seconds=3600), status=None)
    Callback.objects.update(closed_at=None, expires_at=timezone.now() - timedelta(seconds=1))
    FlowRun.objects.update(ended_at=None)
    assert press(link(result)).status_code == 410


def test_whoever_was_thanked_has_answered_whatever_woke_the_run(run_flow: Any) -> None:
    """The answer is in the row: an event that got lost, or a wait that was up at that moment, changes nothing."""
    result = waiting(run_flow)
    send(link(result), {"choice": "approve"})
    Event.objects.filter(name__startswith="http.callback").delete()
    FlowRun.objects.update(due_at=timezone.now(), wait_until=timezone.now())
    assert result.go_on().status == "completed"
    assert (result.steps, result.state["answer"]["choice"]) == (["ask"], "approve")


def test_a_run_that_is_over_needs_no_answer_any_more(run_flow: Any) -> None:
    result = waiting(run_flow)
    cancel_runs([result.run.pk])
    assert press(link(result), choice="approve").status_code == 410


def test_a_step_that_is_visited_again_makes_another_link_and_the_one_before_is_over(run_flow: Any) -> None:
    result = waiting(run_flow)
    before = link(result)
    restart_run(result.run, "ask")
    assert result.go_on().status == "waiting"
    after = link(result)
    assert after != before
    assert press(before, choice="approve").status_code == 410
    assert press(after, choice="approve").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_crash_leaves_one_link_and_it_is_the_one_that_was_handed_out(run_flow: Any, crash_at: Any) -> None:
    with crash_at("effect.after"):
        result = waiting(run_flow)
    (callback,) = Callback.objects.all()
    assert digest(link(result).rpartition("/")[2]) == callback.digest
    assert press(link(result), choice="approve").status_code == 200
    with crash_at("effect.after"):
        result.go_on()
    assert (result.status, result.state["answer"]["choice"]) == ("completed", "approve")


def test_the_link_itself_is_stored_nowhere_but_in_the_state(run_flow: Any) -> None:
    token = link(waiting(run_flow)).rpartition("/")[2]
    assert len(token) == 43
    (row,) = Callback.objects.values()
    assert token not in str(row)


def test_no_link_gets_into_the_log(run_flow: Any, caplog: pytest.LogCaptureFixture) -> None:
    path = link(waiting(run_flow))
    assert [press(path, choice=choice).status_code for choice in ("", "approve", "approve")] == [
        400,
        200,
        409,
    ]
    assert Client().put(path).status_code == 405
    assert path.rpartition("/")[2] not in caplog.text


def test_an_answer_that_cannot_be_passed_on_is_asked_for_again(
    run_flow: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("nothing goes")

    result = waiting(run_flow)
    with monkeypatch.context() as patch:
        patch.setattr("flowcontrol.engine.triggers._wake", fails)
        answer = press(link(result), choice="approve")
    assert (answer.status_code, "try again" in text_of(answer)) == (503, True)
    assert press(link(result), choice="approve").status_code == 200


def test_without_a_url_of_the_site_the_step_says_what_to_set(run_flow: Any) -> None:
    with override_settings(FLOWCONTROL_HTTP={}):
        result = run_flow(ask(), status="failed")
    assert 'set FLOWCONTROL_HTTP["BASE_URL"]' in result.reason


@pytest.mark.parametrize(
    "choices",
    ["approve", 5, [["a"]], [1], ["a", "a"], {"a": 1}, [""], ["x" * 101], [str(n) for n in range(21)]],
)
def test_choices_that_are_none_are_refused_when_the_flow_is_saved(run_flow: Any, choices: Any) -> None:
    with pytest.raises(Exception, match="config.choices"):
        run_flow(ask(choices=choices))


# -- forgetting --------------------------------------------------------------------------------------------------


def test_links_are_forgotten_once_they_are_old_and_their_runs_have_ended(run_flow: Any) -> None:
    kept, ended, gone = (waiting(run_flow) for _ in range(3))
    young = waiting(run_flow)
    Callback.objects.exclude(run=young.run).update(created_at=timezone.now() - timedelta(days=31))
    cancel_runs([ended.run.pk, gone.run.pk, young.run.pk])
    FlowRun.objects.filter(pk=gone.run.pk).delete()
    prune()
    assert {row.run_id for row in Callback.objects.all()} == {kept.run.pk, young.run.pk}
