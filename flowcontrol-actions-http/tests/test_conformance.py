"""What every pack is held to. See https://pypi.org/project/flowcontrol-core/."""

import socket

import pytest
from flowcontrol.testing import PackConformance
from http_servers import OPEN, LocalServer, reply

#: Samples are data of a class, so the server is there before the tests are.
WORLD = LocalServer(listening=socket.create_server(("127.0.0.1", 0)))


def paged(handler, seen):
    link = {} if "p=2" in seen.path else {"Link": '<?p=2>; rel="next"'}
    reply(handler, b"[1, 2]", 200, {"Content-Type": "application/json", **link})


def echo(handler, seen):
    """Sends back what it was sent, as some services do."""
    reply(handler, repr(seen).encode())


# Not of the module: tests with a transaction of their own come after those of other modules.
@pytest.fixture(scope="session", autouse=True)
def _world():
    with WORLD:
        WORLD.says("/things", {"id": 1})
        WORLD.says("/gone", {"error": "gone"}, 404)
        WORLD.answers["/pages"] = paged
        WORLD.answers["/echo"] = echo
        yield


@pytest.fixture(autouse=True)
def _open(settings):
    settings.FLOWCONTROL_HTTP = {**OPEN, "BASE_URL": "https://shop.example.org"}
    settings.ROOT_URLCONF = "webhook_urls"


class TestHttp(PackConformance):
    pack = "http"
    samples = {
        "http.request": [
            {"url": WORLD.url("/echo"), "credential": "http-basic", "save_as": "answer"},
            {
                "method": "POST",
                "url": WORLD.url("/things"),
                "query": {"run": "{{ run.id }}"},
                "json": {"at": "now", "text": "'plain'"},
                "save": {"id": "response.body.id"},
            },
            {"method": "DELETE", "url": WORLD.url("/gone"), "expect": "200-299, 404", "read_as": "text"},
        ],
        "http.for_each_page": [
            {"url": WORLD.url("/pages"), "items": "response.body", "variable": "part"},
            {"url": WORLD.url("/pages"), "paging": "cursor", "next": "''", "max_pages": 3},
        ],
        "http.respond": [
            {},
            {"status": 404, "text": "There is no {{ run.id }}."},
            {"json": {"run": "run.id"}, "headers": {"Cache-Control": "no-store"}},
        ],
        "http.wait_for_callback": [
            {},
            {
                "question": "Approve {{ run.id }}?",
                "choices": ["yes", "no"],
                "comment": True,
                "timeout_seconds": 60,
            },
            {"choices": {"yes": "Yes, do"}, "save_as": "answer", "url_as": "link"},
        ],
    }
    credentials = {
        "http.basic": {"username": "ada", "password": "a-long-password"},
        "http.bearer": {"token": "a-long-token"},
        "http.api_key": {"key": "a-long-key", "name": "X-Acme-Key"},
        "http.oauth2_client": {
            "token_url": "https://auth.example.org/token",
            "client_id": "flows",
            "client_secret": "a-long-secret",
        },
        "http.webhook_secret": {"secret": "whsec_YSBsb25nIHNlY3JldA==", "previous_secret": "one-that-goes"},
    }
    expected_failures = {"P5": "the project has no public address yet"}

    def count_effects(self, action: str) -> int:
        """What a server that heeds the header does once."""
        return len({seen.headers.get("idempotency-key", seen.path) for seen in WORLD.seen})
