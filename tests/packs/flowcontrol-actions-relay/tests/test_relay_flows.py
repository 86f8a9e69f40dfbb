"""The pack at work, in flows."""

import pytest
from django.utils import translation
from flowcontrol.documents import import_flow
from flowcontrol.engine import start_flow
from flowcontrol.models import FlowRun
from flowcontrol.schedulers import get_scheduler

from flowcontrol_actions_relay.actions import Compose

STEP = {
    "id": "it",
    "action": "relay.compose",
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
    form = Compose.Config({"text": "Hello", "key": key})
    assert f"“{key}” is no name" in str(form.errors["key"])


def test_its_form_is_translated():
    form = Compose.Config()
    with translation.override("de"):
        assert str(form["key"].label) == "Schlüssel"


@pytest.fixture
def relay(settings):
    settings.FLOWCONTROL = {**settings.FLOWCONTROL, "SCHEDULER": "relay"}
    return get_scheduler()


@pytest.mark.django_db(transaction=True)
def test_a_run_is_executed_without_a_worker(relay):
    import_flow({"flowcontrol": 1, "slug": "greet", "name": "Greet", "steps": [STEP]})
    started = start_flow("greet", state={"name": "Ada"})
    assert relay.stop(30)
    run = FlowRun.objects.get(pk=started.run.pk)
    assert (run.status, run.state["greeting"]) == ("completed", "Hello, Ada!")
