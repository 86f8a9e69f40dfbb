"""http.request in flows, against a real server."""

from __future__ import annotations

import base64
import gzip
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs

import pytest
from django.core.files.base import ContentFile
from django.db import models
from django.test.utils import isolate_apps
from flowcontrol.exceptions import EvaluationError
from flowcontrol.expressions import Scope

from flowcontrol_actions_http.errors import InvalidRequest
from flowcontrol_actions_http.request import Request
from flowcontrol_actions_http.sending import sending

pytest_plugins = ["http_world"]


def step(url, *, branches=None, retry=None, **config):
    found = {"id": "ask", "action": "http.request", "config": {"url": url, **config}}
    if branches:
        found["branches"] = branches
    if retry:
        found["retry"] = retry
    return found


def test_the_answer_is_kept_whole_and_in_parts(run_flow, server):
    server.says("/orders/7", {"id": 7, "lines": [{"price": 12.5}]}, headers={"X-Rate-Left": "3"})
    result = run_flow(
        step(
            server.url("/orders/{{ order }}"),
            save_as="answer",
            save={
                "price": "response.body.lines.0.price",
                "left": "response.headers.x_rate_left",
                "twice": "order|add:order",
            },
        ),
        state={"order": 7},
    )
    answer = result.state["answer"]
    assert (answer["status"], answer["body"]) == (200, {"id": 7, "lines": [{"price": 12.5}]})
    assert answer["headers"]["content_type"] == "application/json"
    assert answer["url"] == server.url("/orders/7")
    assert (result.state["price"], result.state["left"], result.state["twice"]) == (12.5, "3", 14)


def test_query_headers_and_json_are_filled_from_the_run(run_flow, server):
    server.says("/things", {}, 201)
    run_flow(
        step(
            server.url("/things?fixed=1"),
            method="POST",
            query={"q": "{{ word }} & more", "tag": ["a", "{{ word }}"], "page": 2, "all": True},
            headers={"X-Word": "{{ word }}!"},
            json={"word": "word", "list": ["word|upper", 1, None], "text": "'plain'", "at": "now"},
        ),
        state={"word": "größe"},
    )
    (seen,) = server.seen
    assert parse_qs(seen.path.partition("?")[2]) == {
        "fixed": ["1"],
        "q": ["größe & more"],
        "tag": ["a", "größe"],
        "page": ["2"],
        "all": ["true"],
    }
    assert seen.headers["x-word"].encode("latin-1").decode() == "größe!"
    assert seen.headers["content-type"] == "application/json"
    sent = seen.json()
    assert sent["at"].startswith("20")
    assert {**sent, "at": ""} == {"word": "größe", "list": ["GRÖSSE", 1, None], "text": "plain", "at": ""}


@pytest.mark.parametrize(
    ("config", "body", "kind"),
    [
        (
            {"form": {"a": "{{ n }} &", "b": ["1", "2"]}},
            b"a=3+%26&b=1&b=2",
            "application/x-www-form-urlencoded",
        ),
        ({"text": "n={{ n }}"}, b"n=3", "text/plain; charset=utf-8"),
        ({"text": "<n/>", "headers": {"Content-Type": "text/xml"}}, b"<n/>", "text/xml"),
        ({"json": "n"}, b"3", "application/json"),
        ({"json": []}, b"[]", "application/json"),
    ],
)
def test_a_body_says_its_type(run_flow, server, config, body, kind):
    server.says("/")
    run_flow(step(server.url(), method="PUT", **config), state={"n": 3})
    (seen,) = server.seen
    assert (seen.body, seen.headers["content-type"]) == (body, kind)


def test_methods_that_change_something_bring_the_runs_idempotency_key_each_try_the_same(run_flow, server):
    server.says("/", b"", 503)
    run_flow(step(server.url(), method="POST", retry={"attempts": 3, "delay": 1}), status="failed")
    keys = [seen.headers["idempotency-key"] for seen in server.seen]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    server.seen.clear()
    server.says("/")
    run_flow(
        step(server.url()),
        step(server.url(), method="POST", idempotency_key=False) | {"id": "without"},
        step(server.url(), method="POST", headers={"Idempotency-Key": "mine"}) | {"id": "own"},
    )
    assert [seen.headers.get("idempotency-key") for seen in server.seen] == [None, None, "mine"]


@pytest.mark.parametrize(
    ("status", "tries"), [(400, 1), (404, 1), (408, 4), (429, 4), (500, 4), (503, 4), (301, 1)]
)
def test_what_may_be_gone_soon_is_tried_again_and_nothing_else(run_flow, server, status, tries):
    server.says("/", b"no", status)
    result = run_flow(step(server.url()), status="failed")
    assert len(server.seen) == tries
    assert f"was answered with the status {status}; expected was 200-299" in result.reason


def test_statuses_that_are_expected_are_no_failure(run_flow, server):
    server.says("/", b"gone", 410)
    result = run_flow(step(server.url(), expect="200-299, 404, 410", save_as="answer"))
    assert result.state["answer"]["status"] == 410


@pytest.mark.parametrize("is_a_date", [False, True])
def test_the_server_says_when_it_wants_to_be_asked_again(run_flow, server, clock, is_a_date):
    begun = clock.now
    told = format_datetime(begun + timedelta(seconds=1_800)) if is_a_date else "1800"
    server.says("/", b"", 429, {"Retry-After": told})
    run_flow(step(server.url(), retry={"attempts": 2, "delay": 1}), status="failed")
    assert 1_790 < (clock.now - begun).total_seconds() < 1_810


def test_the_steps_of_error_see_the_failure_and_the_response(run_flow, server, noting):
    server.says("/", {"error": "no such order"}, 404)
    result = run_flow(step(server.url(), branches={"error": [noting]}))
    (noted,) = result.state["noted"]
    assert noted["error"]["type"] == "UnexpectedStatus"
    assert "status 404" in noted["error"]["message"]
    assert (noted["response"]["status"], noted["response"]["body"]) == (404, {"error": "no such order"})


def test_the_steps_of_error_run_once_the_tries_are_used_up(run_flow, server, noting):
    server.says("/", b"", 500)
    result = run_flow(step(server.url(), branches={"error": [noting]}))
    (noted,) = result.state["noted"]
    assert len(server.seen) == 4
    assert (noted["error"]["type"], noted["error"]["attempt"]) == ("TemporaryStatus", 4)


def test_without_an_answer_there_is_no_response_in_error(run_flow, reachable, noting):
    result = run_flow(step("http://127.0.0.1:1/", branches={"error": [noting]}, retry={"attempts": 1}))
    (noted,) = result.state["noted"]
    assert noted["error"]["type"] == "Unreachable"
    assert noted["response"] is None


class Visit:
    """A visit of a step whose run is about this object."""

    idempotency_key = "key"

    def __init__(self, obj, **config):
        form = Request.Config({"url": "http://127.0.0.1/", "method": "PUT", "verify": True, **config})
        assert form.is_valid(), form.errors
        self.config, self.object = form.cleaned_data, obj
        self.scope = Scope({}, {"object": "a loop's"}, {}, datetime.now(UTC), lambda: obj)

    def render(self, template):
        return template.render(self.scope)


@pytest.fixture
def order(tmp_path, settings):
    """An object with files."""
    settings.MEDIA_ROOT = tmp_path
    with isolate_apps("flowcontrol_actions_http"):

        class Order(models.Model):
            invoice = models.FileField(max_length=200)
            secret_plan = models.FileField(max_length=200)
            number = models.IntegerField(default=1)

            class Meta:
                app_label = "flowcontrol_actions_http"

            def __str__(self):
                return "an order"

        one = Order()
        for name in ("invoice", "secret_plan"):
            getattr(one, name).save("paper.pdf", ContentFile(b"%PDF-1.7"), save=False)
        yield one


def test_a_file_of_the_object_is_the_body(order, reachable):
    sent = sending(Visit(order, file="object.invoice"))
    assert sent.content == b"%PDF-1.7"
    assert dict(sent.headers)["content-type"] == "application/octet-stream"


def test_a_file_goes_along_with_a_form(order, reachable):
    sent = sending(Visit(order, form={"kind": "pdf"}, file="object.invoice", file_field="doc"))
    assert dict(sent.headers)["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="kind"\r\n\r\npdf' in sent.content
    assert b'name="doc"; filename="paper' in sent.content
    assert b"%PDF-1.7" in sent.content


@pytest.mark.parametrize(
    ("file", "says"),
    [("object.secret_plan", "may not be read"), ("object.number", "is no file"), ("object.x", "no field")],
)
def test_what_expressions_may_not_read_is_not_sent_as_a_file(order, reachable, file, says):
    with pytest.raises((EvaluationError, InvalidRequest), match=says):
        sending(Visit(order, file=file))


def test_a_body_that_is_too_large_is_not_sent(order, reachable):
    reachable(MAX_REQUEST_BYTES=7)
    with pytest.raises(InvalidRequest, match="larger than 7 bytes"):
        sending(Visit(order, file="object.invoice"))


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/problem+json; charset=utf-8", b'{"a": 1}', {"a": 1}),
        ("application/json", b"", None),
        ("application/json", b'{"a": NaN}', '{"a": NaN}'),
        ("application/json", b'{"a": 1e999}', '{"a": 1e999}'),
        ("application/json", b'"\\u0000\\ud800"', "\ufffd?"),
        ("application/json", b"[" * 100_000, "[" * 100_000),
        ("application/json", b"[" * 62 + b"]" * 62, "[" * 62 + "]" * 62),
        ("application/json", b'[{"a": [1]}]', [{"a": [1]}]),
        ("application/json", b"9" * 5_000, "9" * 5_000),
        ("text/plain; charset=iso-8859-1", b"gr\xf6\xdfe", "größe"),
        ("text/plain; charset=rot13", b"\xff\x00", "\ufffd\ufffd"),
        ("text/html", "grün".encode(), "grün"),
        ("application/pdf", b"%PDF\xff", base64.b64encode(b"%PDF\xff").decode()),
    ],
)
def test_the_body_is_read_as_its_type_says_and_never_as_what_a_state_cannot_hold(
    run_flow, server, content_type, body, expected
):
    server.says("/", body, headers={"Content-Type": content_type})
    result = run_flow(step(server.url(), save_as="answer"))
    assert result.state["answer"]["body"] == expected


@pytest.mark.parametrize(
    ("read_as", "expected"), [("json", [1]), ("text", "[1]"), ("base64", "WzFd"), ("nothing", None)]
)
def test_a_step_says_how_the_body_is_read(run_flow, server, read_as, expected):
    server.says("/", b"[1]", headers={"Content-Type": "application/octet-stream"})
    result = run_flow(step(server.url(), read_as=read_as, save_as="answer"))
    assert result.state["answer"]["body"] == expected


def test_a_body_that_has_to_be_json_and_is_not_fails_the_step(run_flow, server):
    server.says("/", b"<html>")
    result = run_flow(step(server.url(), read_as="json"), status="failed")
    assert "InvalidResponse: The body is no JSON" in result.reason


def test_one_connection_serves_one_request_after_the_other(run_flow, server):
    server.says("/", {"a": 1})
    steps = [step(server.url()) | {"id": f"s{number}"} for number in range(5)]
    run_flow(*steps)
    assert len(server.seen) == 5
    assert len({seen.connection for seen in server.seen}) == 1


def test_an_answer_that_is_packed_is_unpacked(run_flow, server):
    server.says(
        "/gzip",
        gzip.compress(b'{"a": 1}'),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )
    server.says("/deflate", zlib.compress(b"text"), headers={"Content-Encoding": "deflate"})
    result = run_flow(
        step(server.url("/gzip"), save={"one": "response.body.a"}),
        step(server.url("/deflate"), save={"two": "response.body"}) | {"id": "b"},
    )
    assert (result.state["one"], result.state["two"]) == (1, "text")
    assert server.seen[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\0"])
def test_a_value_of_the_run_adds_no_header_of_its_own(run_flow, server, value):
    server.says("/")
    config = {"headers": {"X-Word": "{{ word }}"}}
    result = run_flow(step(server.url(), **config), state={"word": value}, status="failed")
    assert "InvalidRequest" in result.reason
    assert "X-Evil" not in result.reason
    assert server.seen == []


def test_no_cookie_is_kept_from_one_request_to_another(run_flow, server):
    server.says("/", b"", headers={"Set-Cookie": "session=1; Path=/"})
    run_flow(step(server.url()), step(server.url()) | {"id": "b"})
    assert [seen.headers.get("cookie") for seen in server.seen] == [None, None]


@pytest.mark.parametrize(
    ("config", "field", "says"),
    [
        ({"url": "ftp://example.org/"}, "url", "begin with http"),
        ({"url": "https://me:word@example.org/"}, "url", "a user in it"),
        ({"url": "example.org"}, "url", "begin with http"),
        ({"headers": {"Authorization": "Bearer x"}}, "headers", "choose a credential"),
        ({"headers": {"x-api-key": "x"}}, "headers", "choose a credential"),
        ({"headers": {"Host": "x"}}, "headers", "made by the request itself"),
        ({"headers": {"a b": "x"}}, "headers", "no name of a header"),
        ({"json": {}, "text": "x", "method": "POST"}, "text", "one body"),
        ({"json": {"a": "1"}}, "json", "has no body"),
        ({"expect": "99"}, "expect", "names no statuses"),
        ({"expect": "299-200"}, "expect", "names no statuses"),
        ({"save": {"now": "1"}}, "save", "no name that expressions can read"),
        ({"save": {"a": "1 +"}}, "save", "cannot be understood"),
        ({"save_as": "2nd"}, "save_as", "no name that expressions can read"),
        ({"verify": False}, "verify", "UNVERIFIED_HOSTS"),
        ({"max_bytes": 10**12}, "max_bytes", "1000000 bytes at most"),
        ({"timeout_seconds": 301}, "timeout_seconds", "300 seconds at most"),
        ({"file": "state.path", "method": "PUT"}, "file", "Name a file of the object"),
        ({"query": {"a": {"b": 1}}}, "query", "a: give a text"),
        ({"query": {"a": "{{ 1 +"}}, "query", "a: "),
    ],
)
def test_what_is_wrong_is_said_when_the_flow_is_saved(config, field, says):
    form = Request.Config({"url": "https://example.org/", "verify": True, **config})
    assert says in str(form.errors[field])


def test_a_summary_says_method_and_url():
    form = Request.Config({"url": "https://example.org/{{ a }}", "method": "DELETE", "verify": True})
    assert form.is_valid()
    assert Request().summary(form.cleaned_data) == "DELETE https://example.org/{{ a }}"
