"""TLS with an authority of our own: who is trusted, as whom we are known, and what a flow may not switch off."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme
from http_servers import LocalServer, reply

from flowcontrol_actions_http.errors import RequestRefused, Unreachable
from flowcontrol_actions_http.exchange import Bounds, Sending, exchange

pytest_plugins = ["http_world"]

BOUNDS = Bounds(connect=2.0, read=2.0, total=5.0, max_bytes=10_000)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def context_for(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def closed(authority, reachable) -> Iterator[LocalServer]:
    """A server of https by the names localhost and 127.0.0.1."""
    with LocalServer(context_for(authority, "localhost", "127.0.0.1")) as server:
        server.says("/", b"by TLS")
        yield server


def test_an_authority_of_ones_own_is_trusted_where_the_settings_name_it(closed, reachable, ca_file):
    with pytest.raises(Unreachable, match="certificate verify failed"):
        exchange(Sending("GET", closed.url()), BOUNDS)
    reachable(CA_FILE=str(ca_file))
    assert exchange(Sending("GET", closed.url()), BOUNDS).content == b"by TLS"
    # Connected to by its address, and asked for by its name.
    assert exchange(Sending("GET", closed.url(host="localhost")), BOUNDS).content == b"by TLS"
    assert closed.seen[-1].headers["host"] == f"localhost:{closed.port}"


def test_the_certificate_of_another_name_is_refused(authority, reachable, ca_file):
    reachable(CA_FILE=str(ca_file))
    with (
        LocalServer(context_for(authority, "other.test")) as server,
        pytest.raises(Unreachable, match="verify failed"),
    ):
        exchange(Sending("GET", server.url()), BOUNDS)


def test_the_server_name_is_that_of_the_url(authority, reachable, ca_file):
    names = []
    context = context_for(authority, "localhost")
    context.sni_callback = lambda _, name, __: names.append(name)
    reachable(CA_FILE=str(ca_file))
    with LocalServer(context) as server:
        server.says("/")
        exchange(Sending("GET", server.url(host="localhost")), BOUNDS)
    assert names == ["localhost"]


def test_a_flow_cannot_switch_the_verification_off_by_itself(closed, reachable):
    with pytest.raises(RequestRefused, match="UNVERIFIED_HOSTS"):
        exchange(Sending("GET", closed.url(), is_verified=False), BOUNDS)
    reachable(UNVERIFIED_HOSTS=["other.test"])
    with pytest.raises(RequestRefused, match="UNVERIFIED_HOSTS"):
        exchange(Sending("GET", closed.url(), is_verified=False), BOUNDS)
    assert closed.seen == []
    reachable(UNVERIFIED_HOSTS=["127.0.0.1"])
    assert exchange(Sending("GET", closed.url(), is_verified=False), BOUNDS).content == b"by TLS"
    # That connection is not taken for a request that wants its server verified.
    with pytest.raises(Unreachable, match="verify failed"):
        exchange(Sending("GET", closed.url()), BOUNDS)


def test_a_redirect_from_a_host_without_verification_is_verified_again(closed, authority, reachable):
    reachable(UNVERIFIED_HOSTS=["127.0.0.1"])
    closed.redirects("/", closed.url("/end", host="localhost"))
    with pytest.raises(RequestRefused, match="The certificate of localhost has to be verified"):
        exchange(Sending("GET", closed.url(), is_verified=False), BOUNDS)


def test_a_client_certificate_is_shown_to_the_host_that_it_is_for(authority, reachable, ca_file, tmp_path):
    ours = authority.issue_cert("us@example.org")
    pem = tmp_path / "us.pem"
    ours.private_key_and_cert_chain_pem.write_to_path(pem)
    context = context_for(authority, "localhost", "127.0.0.1")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    with LocalServer(context) as server:

        def who(handler, seen):
            reply(handler, repr(handler.connection.getpeercert()).encode())

        server.answers["/"] = who
        reachable(CA_FILE=str(ca_file), CLIENT_CERTIFICATES={"localhost": str(pem)})
        known = exchange(Sending("GET", server.url(host="localhost")), BOUNDS)
        unknown = exchange(Sending("GET", server.url()), BOUNDS)
    assert b"us@example.org" in known.content
    assert unknown.content in (b"None", b"{}")


def test_credentials_are_dropped_where_a_redirect_leaves_tls(
    closed, server, reachable, ca_file, credentials, run_flow
):
    reachable(CA_FILE=str(ca_file))
    credentials("acme", "http.bearer", {"token": "hush-hush"}, hosts=["127.0.0.1"])
    server.says("/")
    closed.redirects("/", server.url())
    run_flow({"id": "ask", "action": "http.request", "config": {"url": closed.url(), "credential": "acme"}})
    assert closed.seen[0].headers["authorization"] == "Bearer hush-hush"
    assert "authorization" not in server.seen[0].headers


def test_authorities_are_not_taken_from_the_environment(closed, ca_file, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    with pytest.raises(Unreachable, match="verify failed"):
        exchange(Sending("GET", closed.url()), BOUNDS)


def test_https_goes_through_a_proxy_as_a_tunnel(closed, reachable, ca_file):
    with LocalServer() as proxy:
        proxy.otherwise = tunnel_to(closed)
        reachable(CA_FILE=str(ca_file), PROXY=proxy.url(""))
        assert exchange(Sending("GET", closed.url()), BOUNDS).content == b"by TLS"
        (seen,) = proxy.seen
    assert (seen.method, seen.path) == ("CONNECT", f"127.0.0.1:{closed.port}")


def tunnel_to(server: LocalServer):
    def tunnel(handler, seen):
        handler.send_response(200)
        handler.end_headers()
        with socket.create_connection((server.host, server.port), 5) as onward:
            back = threading.Thread(target=copied, args=(onward, handler.connection), daemon=True)
            back.start()
            copied(handler.connection, onward)
        handler.close_connection = True

    return tunnel


def copied(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
    except OSError:
        pass
