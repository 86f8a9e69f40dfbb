"""Whatever is written into a step, and whatever a server sends: an answer, or an error of this pack's own."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import httpx2
import pytest
from flowcontrol.state import decode, encode
from hypothesis import example, given
from hypothesis import strategies as st

from flowcontrol_actions_http.addresses import Policy
from flowcontrol_actions_http.answers import READ_AS, answer, excerpt, retry_after
from flowcontrol_actions_http.errors import InvalidRequest, InvalidResponse, RequestRefused
from flowcontrol_actions_http.exchange import Reply
from flowcontrol_actions_http.pages import joined, linked
from flowcontrol_actions_http.targets import target

NOW = datetime(2026, 5, 5, 10, 0, tzinfo=UTC)
HERE = httpx2.URL("https://a.test/x/y?z=1")

#: Parts of which URLs are made, and of which tricks are made.
PARTS = st.sampled_from(
    [
        "http",
        "https",
        "file",
        ":",
        "//",
        "/",
        "\\",
        "@",
        "#",
        "?",
        "%",
        "%00",
        "%2f",
        "[",
        "]",
        "::1",
        "127.0.0.1",
    ]
    + [
        "0x7f",
        "169.254.169.254",
        "a.test",
        "。",
        "①",
        "ä",
        "\t",
        "\n",
        " ",
        ".",
        "..",
        ":80",
        ":443",
        ":22",
        ":0",
        "\ud800",
    ]
)
urls = st.one_of(
    st.text(max_size=60),
    st.lists(PARTS, max_size=9).map("".join),
    st.lists(PARTS, max_size=9).map(lambda p: "http://" + "".join(p)),
)
types = st.one_of(
    st.sampled_from(
        [
            "application/json",
            "text/plain; charset=utf-16",
            "text/plain; charset=hex",
            "a/b+json",
            "image/png",
            "",
        ]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ).map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
)


@given(urls)
@example("http://a.test:80@127.0.0.1/")
@example("http://[::ffff:127.0.0.1]:443/")
def test_a_url_is_taken_apart_or_refused(url: str) -> None:
    try:
        found = target(url, Policy())
    except (InvalidRequest, RequestRefused):
        return
    assert found.scheme in ("http", "https")
    assert found.port in (80, 443)
    assert found.host
    assert found.host == found.host.lower()
    assert "@" not in str(found.url).partition("?")[0].split("/")[2]
    # What is asked for is what was looked at.
    again = httpx2.URL(str(found.url))
    assert again.raw_host.decode().lower() == found.host


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


@given(bodies, types, st.sampled_from(READ_AS))
def test_every_reply_can_be_kept_in_a_state(body: bytes, content_type: str, read_as: str) -> None:
    reply = Reply(200, httpx2.Headers({"Content-Type": content_type}), body, HERE, None)
    try:
        found = answer(reply, read_as)
    except InvalidResponse:
        assert read_as == "json"
        return
    assert decode(encode({"answer": found})) == {"answer": found}
    assert not [
        text for text in texts(found) if "\0" in text or text != text.encode("utf-8", "replace").decode()
    ]
    assert len(json.dumps(excerpt(found)["body"])) < 200_000


@given(st.text(max_size=80))
@example('<?p=2>; rel="next"')
@example("<//evil.test/>; rel=next")
def test_a_link_header_leads_to_the_same_server_or_nowhere(header: str) -> None:
    try:
        found = linked({"link": header}, HERE)
    except InvalidResponse:
        return
    assert found is None or (found.scheme, found.host, found.port) == ("https", "a.test", None)


@given(urls)
def test_a_next_address_leads_to_the_same_server_or_nowhere(address: str) -> None:
    try:
        found = joined(HERE, address)
    except InvalidResponse:
        return
    assert (found.scheme, found.host, found.port) == ("https", "a.test", None)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
@example("1e9")
@example("-5")
@example("9" * 40)
@example("Fri, 31 Dec 9999 23:59:59 GMT")
@example("Tue, 05 May 2026 10:00:30 -0000")
def test_what_a_server_says_of_a_next_time_is_a_number_of_seconds_or_nothing(told: str) -> None:
    found = retry_after(Reply(429, httpx2.Headers({"Retry-After": told}), b"", HERE), NOW)
    assert found is None or 0 <= found < 10**12


@pytest.mark.parametrize("secret", ["hush", "hüsh-hüsh"])
def test_a_secret_that_comes_back_is_hidden_wherever_it_stands(secret: str) -> None:
    body = json.dumps({secret: [secret, {"a": f"x{secret}y"}]}).encode()
    headers = httpx2.Headers(
        {"Content-Type": "application/json", "X-Echo": secret.encode("utf-8")}.items(), encoding="utf-8"
    )
    found = answer(Reply(200, headers, body, HERE), "auto", [secret, "abc"])
    assert secret not in repr(found)
    assert found["body"]["[secret]"][1]["a"] == "x[secret]y"
