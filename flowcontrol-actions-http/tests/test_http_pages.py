"""http.for_each_page in flows: every way to a next page, and what happens between two of them."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from flowcontrol.base import BaseAction, Effect, LeaveBranch
from flowcontrol.registry import preserved, register_action
from http_servers import LocalServer, reply
from httpx2 import URL

from flowcontrol_actions_http.for_each_page import ForEachPage
from flowcontrol_actions_http.pages import linked

pytest_plugins = ["http_world"]


class Leave(BaseAction):
    name = "noting.leave"
    effect = Effect.PURE

    def run(self, context):
        return LeaveBranch()


def pages(url, *steps, **config):
    return {
        "id": "pages",
        "action": "http.for_each_page",
        "config": {"url": url, **config},
        "steps": [*steps],
    }


def noted(result):
    return [one["page"] for one in result.state.get("noted", [])]


def linking(server, last=3):
    """Pages 1 to ``last``, each with a Link header to the next one."""

    def answer(handler, seen):
        number = int(parse_qs(seen.path.partition("?")[2]).get("p", ["1"])[0])
        link = {"Link": f'<?p={number + 1}>; rel="next", <?p=1>; rel="first"'} if number < last else {}
        reply(handler, b'{"items": [%d]}' % number, 200, {"Content-Type": "application/json", **link})

    server.answers["/items"] = answer


def test_pages_are_followed_by_their_link_header(run_flow, server, noting):
    linking(server)
    result = run_flow(pages(server.url("/items?size=2"), noting, items="response.body.items"))
    assert [(one["number"], one["items"], one["status"]) for one in noted(result)] == [
        (1, [1], 200),
        (2, [2], 200),
        (3, [3], 200),
    ]
    assert "body" not in noted(result)[0]
    assert [seen.path for seen in server.seen] == ["/items?size=2", "/items?p=2", "/items?p=3"]


def test_pages_are_followed_by_an_address_in_the_body(run_flow, server, noting):
    server.says("/a", {"next": "/b?x=1", "n": 1})
    server.says("/b", {"next": None, "n": 2})
    result = run_flow(pages(server.url("/a"), noting, paging="url", next="response.body.next"))
    assert [one["body"]["n"] for one in noted(result)] == [1, 2]
    assert noted(result)[1]["url"] == server.url("/b?x=1")


def test_pages_are_followed_by_a_cursor_in_the_body(run_flow, server, noting):
    def answer(handler, seen):
        cursor = parse_qs(seen.path.partition("?")[2]).get("after", [""])[0]
        following = {"": '"a&b"', "a&b": "17", "17": "null"}[cursor]
        reply(handler, f'{{"next": {following}}}'.encode(), 200, {"Content-Type": "application/json"})

    server.answers["/items"] = answer
    result = run_flow(
        pages(
            server.url("/items"),
            noting,
            query={"size": 5},
            paging="cursor",
            next="response.body.next",
            parameter="after",
        )
    )
    assert len(noted(result)) == 3
    assert [parse_qs(seen.path.partition("?")[2]) for seen in server.seen] == [
        {"size": ["5"]},
        {"size": ["5"], "after": ["a&b"]},
        {"size": ["5"], "after": ["17"]},
    ]


def test_pages_are_counted_until_one_is_empty(run_flow, server, noting):
    def answer(handler, seen):
        number = int(parse_qs(seen.path.partition("?")[2])["page"][0])
        reply(handler, b"[1, 2]" if number < 3 else b"[]", 200, {"Content-Type": "application/json"})

    server.answers["/items"] = answer
    result = run_flow(pages(server.url("/items"), noting, paging="number", first=0, items="response.body"))
    assert [one["items"] for one in noted(result)] == [[1, 2]] * 3
    assert [seen.path for seen in server.seen] == [f"/items?page={number}" for number in range(4)]


def test_each_page_is_a_visit_of_its_own_and_a_crash_repeats_only_the_one_at_hand(
    run_flow, server, noting, crash_at
):
    linking(server)
    with crash_at("effect.after", nth=2):
        result = run_flow(pages(server.url("/items"), noting))
    assert [one["number"] for one in noted(result)] == [1, 2, 3]
    assert [seen.path for seen in server.seen] == ["/items", "/items?p=2", "/items?p=2", "/items?p=3"]
    assert [record.phase for record in result.records if record.step == "pages"] == [
        "run",
        "branch",
        "branch",
        "branch",
    ]


def test_a_page_that_fails_for_a_while_is_tried_again_and_the_others_are_not(run_flow, server, noting):
    linking(server)
    fine = server.answers["/items"]
    left = [1, 1]

    def answer(handler, seen):
        if "p=2" in seen.path and left:
            left.pop()
            reply(handler, b"", 503)
        else:
            fine(handler, seen)

    server.answers["/items"] = answer
    result = run_flow(pages(server.url("/items"), noting))
    assert [one["number"] for one in noted(result)] == [1, 2, 3]
    assert [seen.path for seen in server.seen].count("/items?p=2") == 3
    assert [seen.path for seen in server.seen].count("/items") == 1


@pytest.mark.parametrize(("when_more", "status"), [("fail", "failed"), ("stop", "completed")])
def test_no_more_pages_are_read_than_the_step_may(run_flow, server, noting, when_more, status):
    linking(server, last=9)
    result = run_flow(pages(server.url("/items"), noting, max_pages=2, when_more=when_more), status=status)
    assert [one["number"] for one in noted(result)] == [1, 2]
    assert len(server.seen) == 2
    if status == "failed":
        assert "TooManyPages: There are more than 2 pages" in result.reason


def test_exactly_as_many_pages_as_the_step_may_read_are_no_failure(run_flow, server, noting):
    linking(server, last=2)
    run_flow(pages(server.url("/items"), noting, max_pages=2))


def test_leaving_the_branch_ends_the_loop(run_flow, server):
    linking(server, last=9)
    leave = {"id": "leave", "action": "noting.leave"}
    with preserved():
        register_action(Leave)
        run_flow(pages(server.url("/items"), leave))
    assert len(server.seen) == 1


def test_a_page_that_names_itself_as_the_next_one_fails(run_flow, server, noting):
    server.says("/a", {"next": "/a"})
    result = run_flow(
        pages(server.url("/a"), noting, paging="url", next="response.body.next"), status="failed"
    )
    assert "names itself as the next one" in result.reason
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.2:{port}/", "//127.0.0.2:{port}/", "http://169.254.169.254/", "file:///etc/passwd"],
)
def test_a_next_page_on_another_server_is_not_asked_for(run_flow, server, noting, address):
    with LocalServer(host="127.0.0.2") as other:
        server.says("/a", {"next": address.format(port=other.port)})
        result = run_flow(
            pages(server.url("/a"), noting, paging="url", next="response.body.next"), status="failed"
        )
        assert other.seen == []
    assert "on another server" in result.reason


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"items": "response.body"}, "gives a dict, and no list"),
        ({"paging": "cursor", "next": "response.body"}, "gives a dict, which leads to no page"),
        ({"paging": "url", "next": "response.body.missing"}, "missing"),
    ],
)
def test_what_an_expression_gives_has_to_lead_somewhere(run_flow, server, noting, config, says):
    server.says("/a", {"a": 1})
    result = run_flow(pages(server.url("/a"), noting, **config), status="failed")
    assert says in result.reason


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"paging": "url"}, "next"),
        ({"paging": "cursor"}, "next"),
        ({"paging": "number"}, "items"),
        ({"max_pages": 10_000}, "max_pages"),
        ({"variable": "now"}, "variable"),
    ],
)
def test_what_is_wrong_is_said_when_the_flow_is_saved(config, field):
    assert field in ForEachPage.Config({"url": "https://example.org/", "verify": True, **config}).errors


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('<https://a.test/2>; rel="next"', "https://a.test/2"),
        ("</2>;rel=next", "https://a.test/2"),
        ('<?a=1,2;3>; title="a, <b>; c"; rel="last next"', "https://a.test/1?a=1,2;3"),
        ('<x>; rel="prev", <y>; REL="Next"', "https://a.test/y"),
        ('<x>; rel="prev"', None),
        ("", None),
        ('<<<>>>;;;,,,="', None),
        ('<x>; rel="next', "https://a.test/x"),
    ],
)
def test_a_link_header_is_read_as_the_standard_has_it(header, expected):
    found = linked({"link": header}, URL("https://a.test/1"))
    assert (None if found is None else str(found)) == expected
