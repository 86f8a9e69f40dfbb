"""The recipes of the page on HTTP, as they stand there, against a server of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.utils import timezone
from docs_pages import ROOT, blocks
from flowcontrol.documents import import_flow, parse_yaml
from flowcontrol.testing import FlowResult, run_flow
from http_servers import OPEN, LocalServer

pytestmark = pytest.mark.django_db(transaction=True)

API = "https://api.example.org"


@pytest.fixture
def api(settings: Any) -> Iterator[LocalServer]:
    settings.FLOWCONTROL_HTTP = OPEN
    with LocalServer() as server:
        yield server


def recipe(api: LocalServer, slug: str, **state: Any) -> FlowResult:
    """Run the flow of the page that has this slug, its server being ours."""
    (text,) = [one.text for one in blocks(ROOT / "docs" / "http.md", "yaml") if f"slug: {slug}\n" in one.text]
    (document,) = parse_yaml(text.replace(API, api.url("")))
    return run_flow(document=document, state=state)


def test_an_api_is_called_and_its_answer_is_stored(api: LocalServer) -> None:
    api.says("/rates/CHF", {"rate": 0.94}, headers={"X-Rate-Limit-Left": "59"})
    result = recipe(api, "rates", currency="CHF")
    assert result.state == {"currency": "CHF", "rate": 0.94, "left": "59"}
    (seen,) = api.seen
    (day,) = parse_qs(seen.path.partition("?")[2])["day"]
    assert day == timezone.localtime(result.run.started_at).date().isoformat()


def test_a_server_that_is_busy_is_asked_again_and_one_that_knows_nothing_is_dealt_with(
    api: LocalServer,
) -> None:
    api.says("/rates/CHF", b"", 503)
    result = recipe(api, "rates", currency="CHF")
    assert len(api.seen) == 4
    assert result.state["rate"] is None
    assert "status 503" in result.state["problem"]
    api.seen.clear()
    result = recipe(api, "rates", currency="../admin?")
    (seen,) = api.seen
    assert seen.path.startswith("/rates/..%2Fadmin%3F?day=")
    assert "status 404" in result.state["problem"]


def test_every_other_step_of_the_page_can_be_imported(api: LocalServer) -> None:
    for number, block in enumerate(blocks(ROOT / "docs" / "http.md", "yaml")):
        if "slug:" not in block.text:
            text = f"flowcontrol: 1\nslug: example-{number}\nname: Example\nsteps:\n{block.text}"
            import_flow(parse_yaml(text)[0])
