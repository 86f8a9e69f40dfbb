"""The pack at work, in flows."""

import pytest
from django.utils import translation
from flowcontrol.documents import import_flow
from flowcontrol.engine import continue_flowruns, fire_trigger
from flowcontrol.models import FlowRun

from flowcontrol_actions_http.actions import Request
from flowcontrol_actions_http.models import Text

STEP = {
    "id": "it",
    "action": "http.request",
    "config": {"text": "Hello, {{ name }}!", "key": "greeting"},
}


def test_the_text_is_put_together_from_the_state(run_flow):
    result = run_flow(STEP, state={"name": "Ada"})
    assert result.state["greeting"] == "Hello, Ada!"


def test_a_name_that_the_state_does_not_have_fails_the_run(run_flow):
    result = run_flow(STEP, status="failed")
    assert "name" in result.reason


@pytest.mark.parametrize("key", ["two words", "1st", "run"])
def test_a_key_that_expressions_cannot_read_is_refused_with_its_name(key):
    form = Request.Config({"text": "Hello", "key": key})
    assert f"“{key}” is no name" in str(form.errors["key"])


def test_its_form_is_translated():
    form = Request.Config()
    with translation.override("de"):
        assert str(form["key"].label) == "Schlüssel"


@pytest.mark.django_db(transaction=True)
def test_a_crash_leaves_one_row_and_no_second(run_flow, crash_at):
    with crash_at("effect.after"):
        run_flow(STEP, state={"name": "Ada"})
    assert [text.text for text in Text.objects.all()] == ["Hello, Ada!"]


@pytest.mark.django_db
def test_the_page_is_for_those_who_may_see_texts(client, admin_client, run_flow):
    run_flow(STEP, state={"name": "<Ada>"})
    url = "/packs/http/"
    assert client.get(url).status_code == 403
    assert "Hello, &lt;Ada&gt;!" in admin_client.get(url).content.decode()


@pytest.mark.django_db
def test_what_happens_starts_the_flows_that_listen():
    document = {"flowcontrol": 1, "slug": "listens", "name": "Listens", "steps": []}
    import_flow({**document, "triggers": [{"on": "http.happened"}]})
    fire_trigger("http.happened")
    continue_flowruns()
    assert FlowRun.objects.get().status == "completed"
