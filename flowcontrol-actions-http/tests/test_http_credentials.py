"""Requests with credentials: who gets them, who does not, and that nobody reads them."""

from __future__ import annotations

import base64
import logging
from urllib.parse import parse_qs, unquote_plus

import pytest
from flowcontrol.credentials import CredentialForm, CredentialKind, SecretField
from flowcontrol.documents import import_flow
from flowcontrol.engine import execute_run, start_flow
from flowcontrol.models import Credential
from flowcontrol.registry import preserved, register_credential_kind
from http_servers import LocalServer, reply

from flowcontrol_actions_http import kinds, tokens

pytest_plugins = ["http_world"]


class Other(CredentialKind):
    name = "noting.other"

    class Form(CredentialForm):
        word = SecretField(label="Word")


SECRET = "hush-d41d8cd98f00b204"
HERE = ["127.0.0.1", "127.0.0.2"]

#: Of each kind: values, and where the secret is found in the request.
KINDS = {
    "http.basic": (
        {"username": "ada", "password": SECRET},
        lambda seen: base64.b64decode(seen.headers["authorization"].split()[1]).decode() == f"ada:{SECRET}",
    ),
    "http.bearer": ({"token": SECRET}, lambda seen: seen.headers["authorization"] == f"Bearer {SECRET}"),
    "http.api_key": ({"key": SECRET, "name": "X-Acme"}, lambda seen: seen.headers["x-acme"] == SECRET),
    "http.api_key in the query": (
        {"key": SECRET, "name": "key", "place": "query"},
        lambda seen: parse_qs(seen.path.partition("?")[2])["key"] == [SECRET],
    ),
}


def step(url, credential="acme", **config):
    return {"id": "ask", "action": "http.request", "config": {"url": url, "credential": credential, **config}}


@pytest.fixture(params=KINDS)
def kind(request, credentials):
    """A credential ``acme`` of a kind, and whether a request has it."""
    values, has_it = KINDS[request.param]
    credentials("acme", request.param.split()[0], values, hosts=HERE)
    return has_it


def test_a_credential_is_sent_as_its_kind_says(run_flow, server, kind):
    server.says("/")
    run_flow(step(server.url("/?a=1")))
    (seen,) = server.seen
    assert kind(seen)
    assert "a=1" in seen.path


def test_a_secret_is_found_nowhere_although_the_server_sends_it_back(run_flow, server, kind, caplog):
    def echo(handler, seen):
        told = repr([seen.path, *seen.headers.items()]).encode()
        reply(handler, told, 500, {"Content-Type": "text/plain", "X-Path": seen.path})

    server.answers["/"] = echo
    caplog.set_level(logging.DEBUG)
    failed = run_flow(step(server.url(), expect="200"), status="failed")
    kept = run_flow(step(server.url(), expect="500", save_as="answer"))
    for result in (failed, kept):
        run = result.run
        for text in (run.state_json, run.cursor_json, run.reason, run.traceback, str(result), caplog.text):
            assert SECRET not in text
            assert base64.b64encode(f"ada:{SECRET}".encode()).decode() not in text
    assert "127.0.0.1" in kept.state["answer"]["url"]


def test_a_host_that_the_credential_does_not_allow_gets_nothing(run_flow, server, credentials):
    credentials("acme", "http.bearer", {"token": SECRET}, hosts=["api.example.org", "*.localhost"])
    server.says("/")
    result = run_flow(step(server.url()), status="failed")
    assert server.seen == []
    assert (
        'The credential "acme" may not be sent to 127.0.0.1. Its hosts are api.example.org' in result.reason
    )


def test_a_redirect_to_another_host_does_not_get_it_even_where_it_would_be_allowed(run_flow, server, kind):
    with LocalServer(host="127.0.0.2") as other:
        other.says("/end", {"here": 1})
        server.redirects("/", other.url("/end"))
        server.redirects("/same", "/end")
        server.says("/end", {"here": 1})
        run_flow(step(server.url("/same")))
        assert [kind(seen) for seen in server.seen] == [True, True]
        run_flow(step(server.url()))
        (seen,) = other.seen
        assert SECRET not in repr(seen)
        assert "authorization" not in seen.headers


def test_another_port_of_the_same_host_is_another_origin(run_flow, server, kind):
    with LocalServer() as other:
        other.says("/")
        server.redirects("/", other.url())
        run_flow(step(server.url()))
        assert SECRET not in repr(other.seen)
        assert "authorization" not in other.seen[0].headers


@pytest.mark.parametrize("becomes", ["gone", "another kind"])
def test_a_credential_that_will_not_do_any_more_fails_the_step_which_sends_nothing(
    server, credentials, becomes
):
    credentials("acme", "http.bearer", {"token": SECRET}, hosts=HERE)
    flow = import_flow({"flowcontrol": 1, "slug": "asks", "name": "Asks", "steps": [step(server.url())]})
    with preserved():
        register_credential_kind(Other)
        if becomes == "gone":
            Credential.objects.all().delete()
        else:
            credentials("acme", "noting.other", {"word": SECRET}, hosts=HERE)
        run = execute_run(start_flow(flow).run)
    assert run.status == "failed"
    assert ("CredentialNotFound" if becomes == "gone" else "CredentialOfAnotherKind") in run.reason
    assert server.seen == []


# -- OAuth 2 ---------------------------------------------------------------------------------------------------


@pytest.fixture
def oauth(credentials, server, reachable):
    """A server that gives tokens at ``/token`` and asks for one at ``/``; a credential for both."""
    tokens._kept.clear()
    reachable(GUARD=False)
    given = []

    def give(handler, seen):
        given.append(seen)
        body = b'{"access_token": "token-%d-%s", "token_type": "Bearer", "expires_in": 3600}' % (
            len(given),
            b"x" * 20,
        )
        reply(handler, body, 200, {"Content-Type": "application/json"})

    server.answers["/token"] = give
    server.says("/", {"a": 1})
    values = {
        "token_url": server.url("/token"),
        "client_id": "me:you",
        "client_secret": SECRET,
        "scope": "read write",
    }

    def save(**more):
        credentials("acme", "http.oauth2_client", {**values, **more}, hosts=HERE)

    save()
    yield given, save
    tokens._kept.clear()


def test_a_token_is_fetched_once_and_used_until_shortly_before_it_expires(
    run_flow, server, oauth, monkeypatch
):
    given, _ = oauth
    run_flow(step(server.url()), {**step(server.url()), "id": "again"})
    (asked,) = given
    assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["read write"]}
    name, _, secret = base64.b64decode(asked.headers["authorization"].split()[1]).decode().partition(":")
    assert (unquote_plus(name), unquote_plus(secret)) == ("me:you", SECRET)
    used = [seen.headers["authorization"] for seen in server.seen if seen.path == "/"]
    assert used == [f"Bearer token-1-{'x' * 20}"] * 2
    for kept in tokens._kept.values():
        kept.until -= 3600 - 30
    run_flow(step(server.url()))
    assert len(given) == 2


def test_id_and_secret_go_into_the_body_where_the_credential_says_so(run_flow, server, oauth):
    given, save = oauth
    save(send_as="body", audience="api")
    run_flow(step(server.url()))
    (asked,) = given
    sent = parse_qs(asked.body.decode())
    assert (sent["client_id"], sent["client_secret"], sent["audience"]) == (["me:you"], [SECRET], ["api"])
    assert "authorization" not in asked.headers


def test_a_token_that_was_withdrawn_is_fetched_anew_once(run_flow, server, oauth):
    given, _ = oauth

    def demand(handler, seen):
        is_right = seen.headers["authorization"].startswith("Bearer token-2")
        reply(handler, b"{}", 200 if is_right else 401)

    run_flow(step(server.url()))
    server.answers["/"] = demand
    run_flow(step(server.url()))
    assert len(given) == 2
    server.says("/", b"", 401)
    before = len(server.seen)
    result = run_flow(step(server.url()), status="failed")
    assert "status 401" in result.reason
    # With the token that was kept, and with a new one; not for ever.
    assert [seen.path for seen in server.seen[before:]] == ["/", "/token", "/"]


def test_a_token_is_masked_as_the_secret_is(run_flow, server, oauth, caplog):
    def echo(handler, seen):
        reply(handler, seen.headers["authorization"].encode(), 200, {"Content-Type": "text/plain"})

    server.answers["/"] = echo
    caplog.set_level(logging.DEBUG)
    result = run_flow(step(server.url(), save_as="answer"))
    assert "token-1" not in result.run.state_json + str(result) + caplog.text
    assert result.state["answer"]["body"].startswith("Bearer [secret]")


@pytest.mark.parametrize(
    ("status", "body", "says", "tries"),
    [
        (400, b'{"error": "invalid_client", "error_description": "hush"}', "invalid_client", 1),
        (200, b'{"nothing": 1}', "missing_token", 1),
        (200, b"<html>", "missing_token", 1),
        (200, b"[1]", "cannot be read", 1),
        (200, b'{"access_token": {"a": 1}}', "no token", 1),
        (503, b"", "status 503", 4),
        (302, b"", "missing_token", 1),
    ],
)
def test_a_server_that_gives_no_token_fails_the_step_which_sends_nothing_then(
    run_flow, server, oauth, status, body, says, tries
):
    server.says("/token", body, status, {"Location": "/elsewhere"})
    result = run_flow(step(server.url()), status="failed")
    assert 'No token was given for the credential "acme"' in result.reason
    assert says in result.reason
    assert "hush" not in result.reason
    assert [seen.path for seen in server.seen] == ["/token"] * tries


def test_a_token_comes_from_no_closed_address(run_flow, server, credentials, reachable):
    tokens._kept.clear()
    reachable(GUARD=False)
    values = {"token_url": server.url("/token"), "client_id": "me", "client_secret": SECRET}
    credentials("acme", "http.oauth2_client", values, hosts=["127.0.0.2"])
    with LocalServer(host="127.0.0.2") as other:
        reachable(NETWORKS=["127.0.0.2/32"])
        result = run_flow(step(other.url()), status="failed")
        assert server.seen == other.seen == []
    assert "No request may be sent to 127.0.0.1" in result.reason or "CredentialInvalid" in result.reason


@pytest.mark.parametrize(
    ("form", "values", "field"),
    [
        (kinds.Basic.Form, {"username": "a:b", "password": SECRET}, "username"),
        (kinds.ApiKey.Form, {"key": SECRET, "name": "a b"}, "name"),
        (kinds.ApiKey.Form, {"key": SECRET, "place": "body"}, "place"),
        (
            kinds.OAuth2Client.Form,
            {"token_url": "http://a.test/", "client_id": "a", "client_secret": SECRET},
            "token_url",
        ),
        (
            kinds.OAuth2Client.Form,
            {"token_url": "https://u:p@a.test/", "client_id": "a", "client_secret": SECRET},
            "token_url",
        ),
        (
            kinds.OAuth2Client.Form,
            {"token_url": "nothing", "client_id": "a", "client_secret": SECRET},
            "token_url",
        ),
        (kinds.Bearer.Form, {"token": ""}, "token"),
    ],
)
def test_a_credential_that_cannot_work_is_not_saved(form, values, field):
    assert field in form(values).errors


@pytest.mark.parametrize("kind", [kinds.Basic, kinds.Bearer, kinds.ApiKey, kinds.OAuth2Client])
def test_every_field_of_a_credential_explains_itself(kind):
    for field in kind.Form.base_fields.values():
        assert field.label
        assert field.help_text
