"""No request reaches what is closed: hostile URLs, resolvers and redirects, each with the guard off first."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from http_servers import OPEN, Listener, LocalServer

from flowcontrol_actions_http.errors import InvalidRequest, RequestFailed, RequestRefused
from flowcontrol_actions_http.exchange import Bounds, Sending, exchange

pytest_plugins = ["http_world"]

BOUNDS = Bounds(connect=2.0, read=2.0, total=5.0, max_bytes=10_000)
CLOSED = {"PORTS": OPEN["PORTS"]}

#: What resolvers are made to say of names, and the C library of numbers in odd bases by itself.
NAMES = {
    "localhost.": ["127.0.0.1"],
    "private.test": ["10.0.0.5"],
    "loopback.test": ["127.0.0.1"],
    "loopback6.test": ["::1"],
    "metadata.test": ["169.254.169.254"],
    "mapped.test": ["::ffff:10.0.0.5"],
    "two.test": ["93.184.216.34", "10.0.0.5"],
    "two-reversed.test": ["10.0.0.5", "93.184.216.34"],
    "mixed.test": ["2606:4700::1111", "::1"],
    "cgnat.test": ["100.100.100.200"],
    "oracle.test": ["192.0.0.192"],
    "ula.test": ["fd00:ec2::254"],
    "nat64.test": ["64:ff9b::a9fe:a9fe"],
    "6to4.test": ["2002:7f00:1::"],
}

#: By their addresses, and all of them the guard's to refuse.
HOSTILE = [
    "http://127.0.0.1/",
    "http://127.0.0.1:80/",
    "http://127.127.127.127/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://017700000001/",
    "http://0/",
    "http://0.0.0.0/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://168.63.129.16/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[0:0:0:0:0:ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "http://[fd00:ec2::254]/",
    "http://[fc00::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://localhost/",
    "http://LOCALHOST./",
    *(f"http://{name}/" for name in NAMES),
]

#: Refused for what they are, guard or no guard.
NEVER = [
    "file:///etc/passwd",
    "ftp://example.org/",
    "gopher://127.0.0.1:70/_x",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "javascript:alert(1)",
    "//example.org/",
    "example.org",
    "http://user:password@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org\\@127.0.0.1/",
    "http://0177.0.0.1/",
    "http://１２７.0.0.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127.0.0.1%00.example.org/",
    "http://exa mple.org/",
    "http://example.org\r\nHost: inside/",
    "http:///path",
    "http://",
    "",
    "http://example.org:99999/",
    "http://[::1/",
    "http://" + "a" * 9_000,
]


class World:
    """Where connections were made to; all of them end at one listener."""

    def __init__(self) -> None:
        self.connected: list[str] = []
        self.asked: list[str] = []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = World()
    real_connect, real_look_up = socket.socket.connect, socket.getaddrinfo
    with Listener() as listener:

        def connect(sock: socket.socket, address: tuple[object, ...]) -> None:
            found.connected.append(str(address[0]))
            host = "127.0.0.1" if sock.family == socket.AF_INET else "::ffff:127.0.0.1"
            real_connect(sock, (host, listener.port))

        def look_up(host: str, port: int, *arguments: object, **options: object) -> list[object]:
            found.asked.append(host)
            if host not in NAMES:
                return real_look_up(host, port, *arguments, **options)
            return [
                answer for text in NAMES[host] for answer in real_look_up(text, port, *arguments, **options)
            ]

        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "connect", connect)
            patch.setattr(socket, "getaddrinfo", look_up)
            yield found


@pytest.mark.parametrize("url", HOSTILE)
def test_a_closed_address_sees_no_packet_however_it_is_written(world, settings, url):
    settings.FLOWCONTROL_HTTP = {**CLOSED, "GUARD": False}
    reply = exchange(Sending("GET", url), BOUNDS)
    assert reply.content == b"inside!"
    assert len(world.connected) == 1

    settings.FLOWCONTROL_HTTP = CLOSED
    world.connected.clear()
    with pytest.raises(RequestRefused, match="No request may be sent to"):
        exchange(Sending("GET", url), BOUNDS)
    assert world.connected == []


@pytest.mark.parametrize("is_on", [False, True])
@pytest.mark.parametrize("url", NEVER)
def test_what_is_no_url_of_the_web_is_refused_before_anything_is_looked_up(world, settings, url, is_on):
    settings.FLOWCONTROL_HTTP = {**CLOSED, "GUARD": is_on}
    with pytest.raises((RequestRefused, InvalidRequest)) as caught:
        exchange(Sending("GET", url), BOUNDS)
    assert (world.asked, world.connected) == ([], [])
    assert "password" not in str(caught.value)


def test_there_are_at_least_the_46_urls_of_the_plan():
    assert len(HOSTILE) + len(NEVER) >= 46


@pytest.mark.parametrize("port", [22, 25, 6379, 8080, 65_535])
def test_a_port_that_the_deployer_did_not_open_is_not_called(world, settings, port):
    settings.FLOWCONTROL_HTTP = {"GUARD": False}
    exchange(Sending("GET", f"http://93.184.216.34:{port}/"), BOUNDS)
    assert world.connected == ["93.184.216.34"]
    settings.FLOWCONTROL_HTTP = {}
    with pytest.raises(RequestRefused, match=f"ports 80, 443, and not to {port}"):
        exchange(Sending("GET", f"http://93.184.216.34:{port}/"), BOUNDS)
    assert world.connected == ["93.184.216.34"]


def test_a_listener_on_this_machine_is_reached_only_where_the_guard_is_off(settings):
    with Listener() as listener:
        url = f"http://localhost:{listener.port}/"
        settings.FLOWCONTROL_HTTP = {**CLOSED, "GUARD": False}
        assert exchange(Sending("GET", url), BOUNDS).content == b"inside!"
        assert listener.connections == 1
        settings.FLOWCONTROL_HTTP = CLOSED
        with pytest.raises(RequestRefused):
            exchange(Sending("GET", url), BOUNDS)
        assert listener.connections == 1


@pytest.mark.parametrize("is_on", [False, True])
def test_a_resolver_that_changes_its_mind_is_asked_once(world, settings, monkeypatch, is_on):
    settings.FLOWCONTROL_HTTP = {**CLOSED, "GUARD": is_on}
    answers = iter([["93.184.216.34"], ["10.0.0.5"], ["10.0.0.5"]])
    look_up = socket.getaddrinfo

    def changing(host, port, *arguments, **options):
        world.asked.append(host)
        return [one for text in next(answers) for one in look_up(text, port, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    exchange(Sending("GET", "http://rebinding.test/"), BOUNDS)
    # The address that was judged is the one that is connected to.
    assert world.connected == ["93.184.216.34"]
    monkeypatch.undo()
    assert world.asked.count("rebinding.test") == 1


def test_a_resolver_that_changes_its_mind_between_two_requests_is_judged_again(world, settings, monkeypatch):
    settings.FLOWCONTROL_HTTP = CLOSED
    monkeypatch.setitem(NAMES, "rebinding.test", ["93.184.216.34"])
    exchange(Sending("GET", "http://rebinding.test/"), BOUNDS)
    monkeypatch.setitem(NAMES, "rebinding.test", ["127.0.0.1"])
    with pytest.raises(RequestRefused, match="rebinding.test, whose address is 127.0.0.1"):
        exchange(Sending("GET", "http://rebinding.test/"), BOUNDS)
    assert world.connected == ["93.184.216.34"]


# -- redirects -------------------------------------------------------------------------------------------------

#: From an open server to this machine, which is closed but for 127.0.0.9.
LEADS_INSIDE = [
    "http://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://localhost:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
]


@pytest.fixture
def outside(settings) -> Iterator[LocalServer]:
    with LocalServer(host="127.0.0.9") as server:
        yield server


def half_open(settings, *, is_on: bool) -> None:
    settings.FLOWCONTROL_HTTP = {**CLOSED, "NETWORKS": ["127.0.0.9/32"], "GUARD": is_on}


@pytest.mark.parametrize(
    ("location", "status", "hops"),
    [
        *((location, 302, hops) for location in LEADS_INSIDE for hops in (1, 3)),
        *((LEADS_INSIDE[0], status, 2) for status in (301, 303, 307, 308)),
    ],
)
def test_a_redirect_leads_nowhere_that_the_flow_could_not_call_itself(
    settings, outside, location, status, hops
):
    with Listener() as inside:
        for hop in range(1, hops):
            outside.redirects(f"/{hop}", f"/{hop + 1}", 302)
        outside.redirects(f"/{hops}", location.format(port=inside.port), status)
        half_open(settings, is_on=False)
        assert exchange(Sending("GET", outside.url("/1")), BOUNDS).content == b"inside!"
        assert inside.connections == 1
        half_open(settings, is_on=True)
        with pytest.raises(RequestRefused):
            exchange(Sending("GET", outside.url("/1")), BOUNDS)
        assert inside.connections == 1
        assert len(outside.seen) == 2 * hops


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://a:b@127.0.0.9/", "gopher://127.0.0.9/", "http://["]
)
def test_a_redirect_to_what_is_no_url_of_the_web_fails(settings, outside, location):
    half_open(settings, is_on=True)
    outside.redirects("/", location)
    with pytest.raises(RequestFailed):
        exchange(Sending("GET", outside.url()), BOUNDS)
    assert len(outside.seen) == 1


def test_a_redirect_to_a_port_that_is_not_open_fails(settings, outside):
    with LocalServer(host="127.0.0.9") as other:
        other.says("/")
        outside.redirects("/", other.url())
        settings.FLOWCONTROL_HTTP = {"NETWORKS": ["127.0.0.9/32"], "PORTS": [outside.port, other.port]}
        assert exchange(Sending("GET", outside.url()), BOUNDS).status == 200
        settings.FLOWCONTROL_HTTP = {"NETWORKS": ["127.0.0.9/32"], "PORTS": [outside.port]}
        with pytest.raises(RequestRefused, match=f"and not to {other.port}"):
            exchange(Sending("GET", outside.url()), BOUNDS)
        assert len(other.seen) == 1


def test_redirects_are_counted(settings, outside):
    half_open(settings, is_on=True)
    outside.redirects("/", "/")
    with pytest.raises(RequestFailed, match="more than 5 redirects"):
        exchange(Sending("GET", outside.url()), BOUNDS)
    assert len(outside.seen) == 6


def test_redirects_are_an_answer_where_none_is_followed(settings, outside):
    half_open(settings, is_on=True)
    outside.redirects("/", "/there")
    reply = exchange(Sending("GET", outside.url()), Bounds(2, 2, 5, 100, redirects=0))
    assert (reply.status, len(outside.seen)) == (302, 1)


@pytest.mark.parametrize(
    ("status", "method", "then", "keeps_body"),
    [
        (301, "POST", "GET", False),
        (302, "POST", "GET", False),
        (303, "PUT", "GET", False),
        (307, "POST", "POST", True),
        (308, "PATCH", "PATCH", True),
        (302, "PUT", "PUT", True),
        (303, "HEAD", "HEAD", False),
    ],
)
def test_a_redirect_changes_the_method_as_browsers_do(settings, outside, status, method, then, keeps_body):
    half_open(settings, is_on=True)
    outside.redirects("/", "/there?a=1", status)
    outside.says("/there", b"there")
    body = None if method == "HEAD" else b"content"
    reply = exchange(Sending(method, outside.url(), (("Content-Type", "text/x"),), body), BOUNDS)
    seen = outside.seen[1]
    assert (seen.method, seen.path) == (then, "/there?a=1")
    assert (seen.body == b"content") is keeps_body
    assert ("content-type" in seen.headers) is (keeps_body or method == "HEAD")
    assert str(reply.url) == outside.url("/there?a=1")


def test_headers_of_the_author_stay_with_the_server_that_they_are_for(settings, outside):
    half_open(settings, is_on=True)
    with LocalServer(host="127.0.0.9") as other:
        other.says("/")
        outside.redirects("/", other.url())
        outside.redirects("/same", "/end")
        outside.says("/end")
        headers = (("X-Secret-Thing", "1"), ("Accept", "text/x"), ("Idempotency-Key", "k"))
        exchange(Sending("GET", outside.url(), headers), BOUNDS)
        exchange(Sending("GET", outside.url("/same"), headers), BOUNDS)
    (elsewhere,) = other.seen
    assert "x-secret-thing" not in elsewhere.headers
    assert (elsewhere.headers["accept"], elsewhere.headers["idempotency-key"]) == ("text/x", "k")
    assert outside.seen[-1].headers["x-secret-thing"] == "1"


# -- what else could lead the way ------------------------------------------------------------------------------


def test_proxies_of_the_environment_are_not_taken(settings, outside, monkeypatch):
    half_open(settings, is_on=True)
    outside.says("/", b"itself")
    with Listener() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        assert exchange(Sending("GET", outside.url()), BOUNDS).content == b"itself"
        assert proxy.connections == 0


def test_a_proxy_of_the_settings_is_taken_although_its_address_is_closed(settings, outside):
    with LocalServer() as proxy:
        settings.FLOWCONTROL_HTTP = {**CLOSED, "PROXY": f"http://me:pa%20ss@127.0.0.1:{proxy.port}"}
        proxy.answers["http://example.org/"] = lambda handler, seen: None
        proxy.says("http://example.org/things", b"by proxy")
        reply = exchange(Sending("GET", "http://example.org/things?a=1"), BOUNDS)
        assert reply.content == b"by proxy"
        (seen,) = proxy.seen
        assert seen.path == "http://example.org/things?a=1"
        assert seen.headers["proxy-authorization"] == "Basic bWU6cGEgc3M="
        # What the URL itself says is still looked at.
        with pytest.raises(RequestRefused):
            exchange(Sending("GET", "http://169.254.169.254/"), BOUNDS)
        assert len(proxy.seen) == 1
