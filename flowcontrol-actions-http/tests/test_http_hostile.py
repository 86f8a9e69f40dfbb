"""Whatever is sent to the addresses of this pack, the answer is never an error of ours (R16)."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from django.test import Client
from flowcontrol.models import FlowRun
from flowcontrol.state import decode, encode
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from webhook_world import SENDERS, Message, endpoint, listening, message, post, project, url_of

from flowcontrol_actions_http import normaliser
from flowcontrol_actions_http.models import Callback, Endpoint, digest
from flowcontrol_actions_http.normaliser import BodyRefused

__all__ = ["project"]

#: 5,000 in CI, and 100,000 before a release, with FLOWCONTROL_FULL_SIZE=1.
EXAMPLES = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "ci" else 500
if os.environ.get("FLOWCONTROL_FULL_SIZE") == "1":
    EXAMPLES = 100_000
OFTEN = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)

ODD_TEXT = st.text(max_size=40) | st.sampled_from(
    [
        "\0",
        "\ud800",
        "\udc00\ud800",
        "1e400",
        "9" * 5_000,
        "null",
        "=",
        "&&;;==",
        "%00",
        "%ff%fe",
        "v1,",
        "t=1,v1=",
        "Basic ",
    ]
)
ODD_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["\0", "\ud800", "$date", "2026-01-01"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ODD_TEXT, inner, max_size=4),
    max_leaves=12,
)
ODD_BODY = (
    st.binary(max_size=200)
    | ODD_JSON.map(lambda value: json.dumps(value).encode())
    | ODD_JSON.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))
    | st.dictionaries(ODD_TEXT, ODD_TEXT, max_size=4).map(
        lambda form: "&".join(f"{key}={value}" for key, value in form.items()).encode(errors="surrogatepass")
    )
    | st.sampled_from(
        [
            b"",
            b"[" * 50_000,
            b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
            b'{"a":1,"a":2}',
            b"NaN",
            b"-Infinity",
            b"1e400",
            b"-" + b"9" * 400_000,
            b'"\\ud800"',
            b'"\\u0000"',
            b"\xff\xfe[\x00]\x00",
            b"\xef\xbb\xbf{}",
            json.dumps({str(number): number for number in range(10_001)}).encode(),
            b"&".join(b"a%d=1" % number for number in range(10_001)),
        ]
    )
)
CONTENT_TYPE = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/cloudevents+json; charset=utf-8",
        "application/json; charset=utf-16",
        "application/json; charset*=utf-8''%ff",
        "multipart/form-data; boundary=x",
        "",
        ";",
        "\xff",
    ]
)
#: Django raises at this, in any project, before a view or a middleware is asked.
BEYOND_DJANGO = "application/json; charset*=nothing''x"
METHOD = st.sampled_from(
    ["POST"] * 12 + ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
)
SIGNING = st.sampled_from(
    [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-github-delivery",
        "x-hub-signature-256",
        "stripe-signature",
        "authorization",
        "idempotency-key",
        "user-agent",
        "content-encoding",
        "transfer-encoding",
        "x-http-method-override",
    ]
)
QUERY = st.text(max_size=30).map(
    lambda text: text.encode(errors="surrogatepass").decode("latin-1")
) | st.sampled_from(["", "a=1&a=2", "%ff", "%00=1", "a" * 9_000, "=".join("ab" * 4_000)])


def meta(headers: dict[str, str]) -> dict[str, str]:
    """Headers as a server hands them over."""
    names = {name: name.upper().replace("-", "_") for name in headers}
    return {
        f"HTTP_{names[key]}": value.encode(errors="surrogatepass").decode("latin-1")
        for key, value in headers.items()
    }


@pytest.fixture
def endpoints() -> dict[str, Endpoint]:
    listening(condition="endpoint != 'nobody'")
    made = {}
    for style in SENDERS:
        for body in ("json", "form", "raw"):
            made[f"{style} {body}"] = endpoint(
                style, name=f"{style}-{body}", body=body, calls_per_minute=100_000
            )
    return made


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.own_database
@pytest.mark.usefixtures("project")
def test_no_call_of_an_endpoint_is_answered_with_an_error_of_ours(endpoints: dict[str, Endpoint]) -> None:
    client = Client(raise_request_exception=True)
    statuses: set[int] = set()

    @OFTEN
    @given(
        which=st.sampled_from([*endpoints, "nobody"]),
        method=METHOD,
        body=ODD_BODY,
        content_type=CONTENT_TYPE,
        headers=st.dictionaries(SIGNING, ODD_TEXT, max_size=3),
        query=QUERY,
        is_signed=st.booleans(),
        length=st.sampled_from([None] * 20 + ["", "x", "-1", "9" * 30, "1e3", "1048577"]),
    )
    def whatever_is_sent(
        which: str,
        method: str,
        body: bytes,
        content_type: str,
        headers: dict[str, str],
        query: str,
        is_signed: bool,
        length: str | None,
    ) -> None:
        found = endpoints.get(which)
        if is_signed and found is not None:
            headers = {**message(found.style, body=body, id_=f"m{len(statuses)}").headers, **headers}
        extra = meta({name: value for name, value in headers.items() if name != "Content-Type"})
        if length is not None:
            extra["CONTENT_LENGTH"] = length
        answer = client.generic(
            method, url_of(found or "nobody"), body, content_type=content_type, QUERY_STRING=query, **extra
        )
        event(str(answer.status_code))
        statuses.add(answer.status_code)
        assert answer.status_code < 500
        assert b"whsec_" not in answer.content

    whatever_is_sent()
    assert {202, 400, 404, 415} <= statuses, "the inputs reach behind the verification, too"
    for run in FlowRun.objects.order_by("-pk")[:500]:
        assert encode(decode(run.state_json)), "what was stored can be read"


@pytest.mark.django_db
@pytest.mark.slow
@pytest.mark.own_database
@pytest.mark.usefixtures("project")
def test_no_answer_to_a_link_is_answered_with_an_error_of_ours(run_flow: Any) -> None:
    config = {"question": "Well?", "choices": ["yes", "no"], "comment": True}
    result = run_flow({"id": "ask", "action": "http.wait_for_callback", "config": config}, status="waiting")
    client, path = Client(), f"/{result.state['callback_url'].split('/', 3)[3]}"
    statuses: set[int] = set()

    @settings(OFTEN, max_examples=EXAMPLES // 5)
    @given(
        method=METHOD,
        body=ODD_BODY | st.sampled_from([b"choice=yes", b'{"choice": "no"}']),
        content_type=CONTENT_TYPE,
    )
    def whatever_is_sent(method: str, body: bytes, content_type: str) -> None:
        answer = client.generic(method, path, body, content_type=content_type)
        statuses.add(answer.status_code)
        assert answer.status_code < 500
        Callback.objects.update(used_at=None)

    whatever_is_sent()
    assert {200, 400, 405, 415} <= statuses


@settings(max_examples=500)
@given(
    kind=st.sampled_from(["json", "form", "raw"]),
    body=ODD_BODY,
    content_type=CONTENT_TYPE | st.just(BEYOND_DJANGO),
)
def test_what_passes_can_be_kept_in_a_state_and_comes_back_as_it_was(
    kind: str, body: bytes, content_type: str
) -> None:
    try:
        value = normaliser.parsed(kind, content_type, body)
    except BodyRefused as refused:
        assert 400 <= refused.status < 500
        return
    assert decode(encode({"body": value})) == {"body": value}


#: Body, and what is wrong with it.
REFUSED = {
    "too deep": b"[" * 65 + b"]" * 65,
    "so deep that Python gives up": b"[" * 200_000,
    "too many keys": json.dumps([{str(number): 1 for number in range(5_001)}] * 2).encode(),
    "a key twice": b'{"a": {"b": 1, "b": 1}}',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[-Infinity]",
    "1e400": b"[1e400]",
    "too great": b"9223372036854775808",
    "too small": b"-9223372036854775808",
    "very long number": b"1" * 100_000,
    "NUL": b'["\\u0000"]',
    "NUL in a key": b'{"\\u0000": 1}',
    "half a character": b'["\\ud800"]',
    "no UTF-8": b'["\xff"]',
    "UTF-16": '["a"]'.encode("utf-16"),
    "BOM": b"\xef\xbb\xbf[]",
    "nothing": b"",
    "two values": b"1 2",
}


@pytest.mark.parametrize("why", REFUSED)
def test_odd_json_is_refused(why: str) -> None:
    with pytest.raises(BodyRefused):
        normaliser.parsed("json", "application/json", REFUSED[why])


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 64 + b"]" * 64,
        b"9223372036854775807",
        b"-9223372036854775807",
        b"1e308",
        '"ü😀"'.encode(),
        b"null",
        b'"\\ud83d\\ude00"',
    ],
)
def test_what_is_just_within_the_bounds_passes_and_can_be_kept(body: bytes) -> None:
    value = normaliser.parsed("json", "application/json", body)
    assert value == json.loads(body)
    assert decode(encode({"body": value})) == {"body": value}


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [
        ("json", "text/plain"),
        ("json", "application/x-www-form-urlencoded"),
        ("json", ""),
        ("json", "text/json+json"),
        ("json", "application/json; charset=latin-1"),
        ("form", "application/json"),
        ("form", "multipart/form-data; boundary=x"),
        ("raw", "text/plain; charset=utf-16"),
    ],
)
def test_a_body_of_another_type_is_not_even_parsed(kind: str, content_type: str) -> None:
    with pytest.raises(BodyRefused) as caught:
        normaliser.parsed(kind, content_type, b"{}")
    assert caught.value.status == 415


@pytest.mark.parametrize(
    ("kind", "content_type", "body", "value"),
    [
        ("json", "application/json; charset=UTF-8", b'{"a": [1.5, null]}', {"a": [1.5, None]}),
        ("json", "application/vnd.shop+json", b"[]", []),
        ("form", "application/x-www-form-urlencoded", b"a=1&b=&c=%C3%BC+x", {"a": "1", "b": "", "c": "ü x"}),
        ("raw", "application/xml", "<a>ü</a>".encode(), "<a>ü</a>"),
    ],
)
def test_what_is_sent_as_it_should_be_is_read(kind: str, content_type: str, body: bytes, value: Any) -> None:
    assert normaliser.parsed(kind, content_type, body) == value


@pytest.mark.django_db
@pytest.mark.usefixtures("project")
def test_nothing_is_parsed_before_it_is_known_who_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(*_: Any) -> None:
        pytest.fail("it was parsed")

    one = endpoint()
    monkeypatch.setattr(normaliser, "parsed", parse)
    monkeypatch.setattr(normaliser, "form", parse)
    assert post(one, Message(b"{}", {"Content-Type": "application/json"}), query="?a=1").status_code == 404
    assert digest(one.token) == one.token_digest
