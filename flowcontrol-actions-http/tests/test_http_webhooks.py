"""Webhooks: who is let in, what starts, and what callers are told."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from flowcontrol.credentials import save_credential
from flowcontrol.documents import export_flow
from flowcontrol.engine import continue_flowruns, tidy
from flowcontrol.models import Event, FlowRun
from webhook_world import OLD, SECRET, SENDERS, Message, endpoint, listening, message, post, project, url_of

from flowcontrol_actions_http import normaliser, pruning, reading, replies, verification, webhooks
from flowcontrol_actions_http.models import Call, Endpoint, Reply

__all__ = ["project"]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("project")]


def calls() -> list[tuple[str, str]]:
    return [(call.outcome, call.reason) for call in Call.objects.order_by("id")]


# -- what starts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", SENDERS)
def test_a_call_starts_the_flows_that_listen_and_is_told_which_runs(style: str) -> None:
    listening()
    listening(slug="other", condition="endpoint == 'orders'")
    answer = post(endpoint(style), message(style, {"amount": 5}), query="?live=1")
    (run,) = FlowRun.objects.all()
    assert (answer.status_code, answer.json()) == (202, {"event": Event.objects.get().pk, "runs": [run.pk]})
    state = dict(run.state)
    headers = state.pop("headers")
    assert state == {
        "endpoint": "payments",
        "id": "msg_1",
        "query": {"live": "1"},
        "body": {"id": "msg_1", "amount": 5},
    }
    assert headers["content_type"] == "application/json"
    assert not {"authorization", "webhook_signature", "stripe_signature", "x_hub_signature_256"} & set(
        headers
    )
    assert calls() == [("accepted", "")]
    assert Call.objects.get().runs == [run.pk]


def test_a_call_that_no_flow_listens_for_is_taken_all_the_same() -> None:
    answer = post(endpoint(), message("standard"))
    assert (answer.status_code, answer.json()["runs"]) == (202, [])


@pytest.mark.parametrize("style", SENDERS)
def test_the_same_message_again_starts_nothing_and_is_told_the_same(style: str) -> None:
    listening()
    one = endpoint(style)
    first = post(one, message(style))
    again = post(one, message(style, {"amount": 6} if style != "github" else None, at=time.time() - 7))
    assert again.json() == first.json()
    assert FlowRun.objects.count() == 1
    assert [outcome for outcome, _ in calls()] == ["accepted", "repeated"]


def test_the_same_id_at_another_endpoint_is_another_message() -> None:
    listening(condition="endpoint == 'payments' or endpoint == 'orders'")
    post(endpoint(), message("standard"))
    post(endpoint(name="orders"), message("standard"))
    assert FlowRun.objects.count() == 2


def test_without_an_id_every_call_is_a_message_of_its_own() -> None:
    listening()
    one = endpoint("none")
    for _ in range(2):
        post(one, Message(b"{}", {"Content-Type": "application/json"}))
    assert FlowRun.objects.count() == 2


def test_an_id_of_stripe_is_that_of_its_event() -> None:
    one = endpoint("stripe")
    answer = post(one, message("stripe", body=b'{"type": "ping"}'))
    assert (answer.status_code, answer.content) == (400, b"There is no id in it.\n")


def test_flows_read_the_headers_that_the_endpoint_keeps() -> None:
    listening()
    sent = message("none")
    sent.headers["X-Shop-Topic"] = "orders/paid"
    post(endpoint("none", kept_headers="X-Shop-Topic"), sent)
    assert FlowRun.objects.get().state["headers"]["x_shop_topic"] == "orders/paid"


@pytest.mark.parametrize(
    "name", ["Cookie", "Authorization", "X-Hub-Signature-256", "X-Api-Key", "a:b", "X-Auth-Token"]
)
def test_a_header_that_tells_who_somebody_is_is_none_for_flows(name: str) -> None:
    with pytest.raises(Exception, match="is no header for flows to read"):
        endpoint("none", kept_headers=name)


# -- who is let in -----------------------------------------------------------------------------------------------


def test_the_example_of_the_standards_own_page_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    call = verification.Incoming(headers, b'{"test": 2432232314}')
    values = {"secret": SECRET, "previous_secret": ""}
    assert verification.verified("standard", call, values, 1614265330) == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def forged(sent: Message) -> Message:
    return Message(sent.body.replace(b"5", b"6"), sent.headers)


def unsigned(sent: Message) -> Message:
    kept = ("Content-Type", "webhook-id", "webhook-timestamp", "X-GitHub-Delivery", "Idempotency-Key")
    return Message(sent.body, {name: value for name, value in sent.headers.items() if name in kept})


def signature_of(style: str) -> str:
    return {
        "standard": "webhook-signature",
        "github": "X-Hub-Signature-256",
        "stripe": "Stripe-Signature",
    }.get(style, "Authorization")


def with_signature(text: str) -> Callable[[str, Message], Message]:
    def changed(style: str, sent: Message) -> Message:
        return Message(sent.body, {**sent.headers, signature_of(style): text})

    return changed


#: (attack, styles, how the message is made, what switches the guard off)
ATTACKS: list[tuple[str, tuple[str, ...], Callable[[str], Message], str]] = [
    (
        "forged body",
        ("standard", "github", "stripe"),
        lambda s: forged(message(s, {"amount": 5})),
        "is_one_of",
    ),
    (
        "another secret",
        ("standard", "github", "stripe"),
        lambda s: message(s, secret="whsec_YW5vdGhlciBvbmU="),
        "is_one_of",
    ),
    ("too old", ("standard", "stripe"), lambda s: message(s, at=time.time() - 302), "is_in_time"),
    ("in the future", ("standard", "stripe"), lambda s: message(s, at=time.time() + 303), "is_in_time"),
    (
        "1 MB of signature",
        ("standard", "github"),
        lambda s: with_signature("v1,AAAA " * 131_072)(s, message(s)),
        "is_one_of",
    ),
    (
        "no ASCII in it",
        ("standard", "github"),
        lambda s: with_signature("v1,ünïcode 😀")(s, message(s)),
        "is_one_of",
    ),
]
CASES = [
    pytest.param(style, make, guard, id=f"{name}, {style}")
    for name, styles, make, guard in ATTACKS
    for style in styles
]


@pytest.mark.parametrize(("style", "make", "guard"), CASES)
def test_whoever_is_not_the_sender_is_not_let_in_and_would_be_without_the_guard(
    style: str, make: Callable[[str], Message], guard: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening()
    one = endpoint(style)
    answer = post(one, make(style))
    assert (answer.status_code, answer.content) == (404, b"Not found.\n")
    assert not FlowRun.objects.exists()
    assert [outcome for outcome, _ in calls()] == ["unverified"]

    monkeypatch.setattr(verification, guard, lambda *_: None)
    assert post(one, make(style)).status_code == 202
    assert FlowRun.objects.count() == 1


@pytest.mark.parametrize("style", [style for style in SENDERS if style != "none"])
@pytest.mark.parametrize(
    "text", ["", "v1,", "sha256=", "t=,v1=", "t=1,t=2,v1=a", "Basic", "Basic !", "Bearer x", "\0", "v1"]
)
def test_a_signature_that_is_none_lets_nobody_in(style: str, text: str) -> None:
    assert post(endpoint(style), with_signature(text)(style, message(style))).status_code == 404
    assert post(Endpoint.objects.get(), unsigned(message(style))).status_code == 404


def test_a_wrong_password_lets_nobody_in() -> None:
    assert post(endpoint("basic"), message("basic", secret="wrong")).status_code == 404


@pytest.mark.parametrize("style", ["standard", "github", "stripe"])
def test_while_secrets_change_both_are_good_and_afterwards_the_new_one_only(style: str) -> None:
    one = endpoint(style)
    assert post(one, message(style, id_="new", secret=SECRET)).status_code == 202
    assert post(one, message(style, id_="old", secret=OLD)).status_code == 202
    save_credential("payments", "http.webhook_secret", {"secret": SECRET, "previous_secret": ""})
    assert post(one, message(style, id_="late", secret=OLD)).status_code == 404
    assert post(one, message(style, id_="now", secret=SECRET)).status_code == 202


def test_one_good_signature_among_several_is_enough() -> None:
    sent = message("standard")
    several = f"v1,AAAA v1a,BBBB {sent.headers['webhook-signature']}"
    assert (
        post(endpoint(), Message(sent.body, {**sent.headers, "webhook-signature": several})).status_code
        == 202
    )


@pytest.mark.parametrize(("seconds", "status"), [(-290, 202), (290, 202), (-302, 404), (303, 404)])
def test_clocks_may_differ_by_five_minutes(seconds: int, status: int) -> None:
    assert post(endpoint(), message("standard", at=time.time() + seconds)).status_code == status


def test_a_signed_time_that_is_no_number_is_refused() -> None:
    sent = message("standard")
    for time_ in ("", "1e9", "-1", "9" * 5_000, "１２３"):
        assert (
            post(url_token(), Message(sent.body, {**sent.headers, "webhook-timestamp": time_})).status_code
            == 404
        )


def url_token() -> Endpoint:
    return Endpoint.objects.filter(name="payments").first() or endpoint()


def test_a_credential_that_is_gone_lets_nobody_in_and_staff_may_choose_another(admin_client: Client) -> None:
    """It may have been deleted while the pack was switched off."""
    one = endpoint()
    Endpoint.objects.update(credential="gone")
    one.refresh_from_db()
    assert post(one, message("standard")).status_code == 404
    assert "gone" in calls()[0][1]
    page = admin_client.get(f"/admin/flowcontrol_actions_http/endpoint/{one.pk}/change/")
    assert '<option value="payments">' in page.content.decode()


def test_a_credential_of_the_wrong_kind_lets_nobody_in_and_says_so_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    one = endpoint()
    save_credential("api", "http.bearer", {"token": "a token"}, hosts=["api.example.org"])
    Endpoint.objects.update(credential="api")
    one.refresh_from_db()
    assert post(one, message("standard")).status_code == 404
    assert "webhook cannot be verified endpoint=payments" in caplog.text
    assert "http.bearer" in calls()[0][1]


def test_a_secret_that_is_no_base64_lets_nobody_in_and_staff_read_why() -> None:
    one = endpoint()
    save_credential("payments", "http.webhook_secret", {"secret": "no base64!", "previous_secret": ""})
    assert post(one, message("standard")).status_code == 404
    assert calls() == [
        ("unverified", "The secret is no base64, as those of Standard Webhooks are (whsec_…).")
    ]


# -- who is not let in learns nothing ----------------------------------------------------------------------------


def unlike() -> dict[str, Any]:
    """Answers to whoever is not let in, by why."""
    one = endpoint()
    off = endpoint(name="off", is_active=False)
    wrong = message("standard", secret="whsec_YW5vdGhlciBvbmU=")
    return {
        "unknown": lambda: post("x" * 43, wrong),
        "off": lambda: post(off, message("standard")),
        "wrong": lambda: post(one, wrong),
        "unsigned": lambda: post(one, Message(b"{}", {"Content-Type": "application/json"})),
        "get": lambda: Client().get(url_of(one)),
        "get of nothing": lambda: Client().get(url_of("x")),
        "put": lambda: Client().put(url_of(one), b"{}"),
        "odd token": lambda: post("%00%F0%9F%98%80", wrong),
    }


def test_unknown_switched_off_and_wrong_are_answered_alike() -> None:
    answers = {why: ask() for why, ask in unlike().items()}
    seen = {(one.status_code, one.content, tuple(sorted(one.headers.items()))) for one in answers.values()}
    assert len(seen) == 1, answers
    assert not FlowRun.objects.exists()


def test_before_the_answer_unknown_switched_off_and_wrong_take_the_same_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is written down about the latter two is written when the answer is out."""
    monkeypatch.setattr(webhooks._Unknown, "close", lambda self: None)
    asked = unlike()
    work = {}
    for why in ("unknown", "off", "wrong"):
        with CaptureQueriesContext(connection) as captured:
            asked[why]()
        work[why] = [query["sql"].split("=")[0].startswith("SELECT") for query in captured]
    assert work["unknown"] == work["off"] == work["wrong"] == [True, True]


def test_how_many_refused_calls_are_written_down_is_bounded() -> None:
    one = endpoint()
    for _ in range(webhooks._NOTED_PER_MINUTE + 5):
        post(one, Message(b"{}", {}))
    assert Call.objects.count() == webhooks._NOTED_PER_MINUTE
    assert post(one, message("standard")).status_code == 202, "the sender is not kept out by others"


def test_another_url_from_now_on_and_the_one_before_is_unknown() -> None:
    one = endpoint()
    before = one.token
    one.rotate()
    assert post(before, message("standard")).status_code == 404
    assert post(one, message("standard")).status_code == 202


def test_documents_carry_no_token() -> None:
    one = endpoint()
    exported = json.dumps(export_flow(listening()))
    assert "payments" in exported
    assert one.token not in exported
    assert one.token_digest not in exported


def test_no_url_gets_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    one = endpoint(calls_per_minute=1)
    for sent in (
        message("standard"),
        message("standard", id_="m2"),
        Message(b"", {}),
        Message(b" " * 1_048_577, {}),
    ):
        post(one, sent)
    Client().get(url_of(one))
    assert one.token not in caplog.text


# -- too much, too many ------------------------------------------------------------------------------------------


def test_more_calls_than_the_endpoint_takes_in_a_minute_are_told_to_come_later() -> None:
    one = endpoint(calls_per_minute=3)
    statuses = [post(one, message("standard", id_=f"m{number}")).status_code for number in range(5)]
    assert statuses == [202, 202, 202, 429, 429]
    assert post(one, message("standard", id_="m9"))["Retry-After"] == "60"
    Call.objects.update(received_at="2020-01-01T00:00:00Z")
    assert post(one, message("standard", id_="m9")).status_code == 202


@pytest.mark.parametrize("token", ["known", "unknown"])
def test_a_body_that_is_too_large_is_not_read_whoever_sends_it(token: str) -> None:
    one = endpoint()
    sent = message("standard", body=b"[" + b" " * 1_048_576 + b"]")
    assert post(one if token == "known" else "x" * 43, sent).status_code == 413
    assert not Call.objects.exists()


#: Bodies that are refused, and would be taken if nobody looked through them.
HOSTILE_BODIES = {
    "a key twice": b'{"amount": 1, "amount": 1000}',
    "a number beyond 2^63": b'{"amount": 9223372036854775808}',
    "too many keys": json.dumps(dict.fromkeys(map(str, range(10_001)), 1)).encode(),
    "half a character": rb'{"name": "\ud800"}',
    "NUL": rb'{"name": "a\u0000b"}',
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_a_body_that_would_do_harm_later_is_refused_and_would_be_taken_without_the_guard(
    body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening()
    one = endpoint()
    refused = post(one, message("standard", body=body))
    assert refused.status_code == 400
    assert not FlowRun.objects.exists()

    monkeypatch.setattr(normaliser, "_load", json.loads)
    monkeypatch.setattr(normaliser, "checked", lambda value: value)
    assert post(one, message("standard", body=body, id_="again")).status_code == 202
    assert FlowRun.objects.count() == 1


def test_a_body_of_any_size_would_be_read_without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = message("standard", body=b"[" + b" " * 1_048_576 + b"]")
    one = endpoint()
    assert post(one, sent).status_code == 413
    monkeypatch.setattr(reading, "MAX_BYTES", 2 * 1_048_576)
    assert post(one, sent).status_code == 202


def test_what_takes_more_room_in_a_state_than_there_is_is_refused() -> None:
    body = json.dumps("ü" * 500_000, ensure_ascii=False).encode()
    answer = post(endpoint(), message("standard", body=body))
    assert answer.status_code == 413


def test_a_database_that_does_not_answer_is_no_error_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any, **__: Any) -> None:
        raise DatabaseError("server closed the connection")

    one = endpoint()
    monkeypatch.setattr(Call.objects, "create", gone)
    answer = post(one, message("standard"))
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")


def test_an_event_that_could_not_be_kept_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("nothing goes")

    listening()
    one = endpoint()
    with monkeypatch.context() as patch:
        patch.setattr("flowcontrol.engine.triggers._insert", fails)
        assert post(one, message("standard")).status_code == 503
    assert calls() == [("refused", "ValueError: nothing goes")]
    assert post(one, message("standard")).status_code == 202
    assert FlowRun.objects.count() == 1


# -- replies -----------------------------------------------------------------------------------------------------


@pytest.fixture
def at_once(settings: Any) -> Iterator[None]:
    """Whoever makes a run due executes it: no worker is needed."""
    with override_settings(FLOWCONTROL={"SCHEDULER": "inline"}):
        yield


def responding(**config: Any) -> None:
    listening({"id": "answer", "action": "http.respond", "config": config})


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once")
def test_a_run_answers_a_caller_that_waits() -> None:
    responding(
        status=201,
        json={"number": "body.amount", "text": "'thanks'", "list": ["body.id"]},
        headers={"Location": "/orders/{{ body.amount }}"},
    )
    one = endpoint(wait_seconds=5)
    answer = post(one, message("standard", {"amount": 5}))
    assert (answer.status_code, answer.json()) == (201, {"number": 5, "text": "thanks", "list": ["msg_1"]})
    assert (answer["Content-Type"], answer["Location"]) == ("application/json", "/orders/5")
    assert post(one, message("standard", {"amount": 5})).content == answer.content, (
        "nor does it get another one later"
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once")
def test_without_a_wait_the_caller_is_told_that_it_was_taken() -> None:
    responding(text="thanks")
    assert post(endpoint(), message("standard")).status_code == 202


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once")
def test_a_run_that_ends_without_an_answer_keeps_nobody_waiting(timeout: float = 3) -> None:
    listening()
    began = time.monotonic()
    assert post(endpoint(wait_seconds=20), message("standard")).status_code == 202
    assert time.monotonic() - began < timeout


@pytest.mark.django_db(transaction=True)
def test_a_caller_waits_for_so_long_and_is_told_that_it_was_taken() -> None:
    responding(text="thanks")
    began = time.monotonic()
    one = endpoint(wait_seconds=1)
    assert post(one, message("standard")).status_code == 202
    assert 1 <= time.monotonic() - began < 5
    continue_flowruns()
    answer = post(one, message("standard"))
    assert (answer.status_code, answer.content) == (200, b"thanks"), "sent again, it is there"


@pytest.mark.django_db(transaction=True)
def test_where_too_many_wait_already_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    responding(text="thanks")
    one = endpoint(wait_seconds=25)
    held = [replies._waiting.acquire(blocking=False) for _ in range(8)]
    try:
        assert all(held)
        assert post(one, message("standard")).status_code == 202
    finally:
        for _ in held:
            replies._waiting.release()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once")
def test_what_a_flow_says_is_never_a_page_of_this_site_and_would_be_one_without_the_guard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    responding(text="<script>alert(document.cookie)</script>", headers={"Content-Type": "text/html"})
    one = endpoint(wait_seconds=5)
    answer = post(one, message("standard"))
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer["X-Content-Type-Options"] == "nosniff"

    monkeypatch.setattr(replies, "_ALWAYS", {})
    page = post(one, message("standard", id_="again"))
    assert (page["Content-Type"], page.has_header("Content-Security-Policy")) == ("text/html", False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("at_once")
def test_a_text_is_a_text() -> None:
    responding(text="<b>{{ body.id }}</b>")
    answer = post(endpoint(wait_seconds=5), message("standard"))
    assert (answer["Content-Type"], answer.content) == ("text/plain; charset=utf-8", b"<b>msg_1</b>")


@pytest.mark.parametrize(
    "name",
    ["Set-Cookie", "X-Accel-Redirect", "X-Sendfile", "Content-Security-Policy", "content-length", "Nope"],
)
def test_a_header_that_reaches_further_than_the_caller_is_refused_when_the_flow_is_saved(name: str) -> None:
    with pytest.raises(Exception, match="is no header that flows may send"):
        responding(headers={name: "x"})


def test_the_project_may_open_more_headers_but_not_those_that_guard() -> None:
    with override_settings(FLOWCONTROL_HTTP={"REPLY_HEADERS": ["X-Request-Id", "Content-Security-Policy"]}):
        responding(headers={"X-Request-Id": "{{ id }}"})
        with pytest.raises(Exception, match="is no header that flows may send"):
            responding(headers={"Content-Security-Policy": "x"})


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"headers": {"Location": "{{ 'a'|add:bad }}"}}, "a line break"),
        ({"text": "{{ half }}"}, "half a character"),
        ({"text": "x", "status": 204}, "has no body"),
    ],
)
def test_what_cannot_be_sent_fails_the_step(run_flow: Any, config: dict[str, Any], says: str) -> None:
    state = {"bad": "\r\nSet-Cookie: a=b", "half": "\ud800"}
    result = run_flow({"id": "it", "action": "http.respond", "config": config}, state=state, status="failed")
    assert says in result.reason


def test_an_answer_that_nobody_waits_for_does_no_harm_and_the_first_counts(run_flow: Any) -> None:
    result = run_flow(
        {"id": "one", "action": "http.respond", "config": {"text": "first"}},
        {"id": "two", "action": "http.respond", "config": {"text": "second"}},
    )
    assert [(reply.run_id, reply.body) for reply in Reply.objects.all()] == [(result.run.pk, "first")]


# -- forgetting --------------------------------------------------------------------------------------------------


def test_calls_and_replies_are_forgotten_by_their_age_when_a_worker_prunes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = timezone.now()
    one = endpoint("none")
    for days in (31, 31, 31, 29):
        Call.objects.create(endpoint=one, received_at=now - timedelta(days=days), outcome="accepted")
    for run_id, hours in ((1, 25), (2, 23)):
        Reply.objects.create(run_id=run_id, created_at=now - timedelta(hours=hours))
    monkeypatch.setattr(pruning, "_CHUNK", 1)
    monkeypatch.setattr(pruning, "_CHUNKS", 2)
    tidy()
    assert Call.objects.count() == 2, "what is too much for once is left to the next time"
    tidy()
    assert Call.objects.get().received_at > now - timedelta(days=30)
    assert Reply.objects.get().run_id == 2


def test_a_message_whose_call_was_forgotten_is_still_known() -> None:
    listening()
    one = endpoint()
    post(one, message("standard"))
    Call.objects.all().delete()
    post(one, message("standard"))
    assert FlowRun.objects.count() == 1
