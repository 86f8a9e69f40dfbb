"""The action in runs of flows, that of the README among them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
{%- if cookiecutter.kind == "app" %}
from django.contrib.auth.models import Permission, User
from django.test import Client
{%- endif %}
from django.utils import translation
{%- if cookiecutter.trigger %}
from flowcontrol.documents import import_flow, parse_yaml
from flowcontrol.models import FlowRun
{%- endif %}

from {{ cookiecutter.__module }}.actions import {{ cookiecutter.__class }}
{%- if cookiecutter.kind == "app" %}
from {{ cookiecutter.__module }}.models import Entry
{%- endif %}
{%- if cookiecutter.trigger %}
from {{ cookiecutter.__module }}.triggers import received
{%- endif %}

README = Path(__file__).parents[1] / "README.md"
ACTION = "{{ cookiecutter.__pack }}.{{ cookiecutter.__action }}"


def example() -> str:
    """The flow of the README."""
    (source,) = re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return str(source)


def test_the_flow_of_the_readme_writes_its_text(run_flow: Any) -> None:
    result = run_flow(example(), expect="completed")
    assert result.state == {"note": f"Run {result.run.pk} was here."}


def test_expressions_in_the_text_read_the_state(run_flow: Any) -> None:
    steps = [{"action": ACTION, "config": {"text": "{% raw %}{{ name }}{% endraw %}, hello"}}]
    result = run_flow(steps, state={"name": "Ada"})
    assert result.state == {"name": "Ada", "text": "Ada, hello"}


@pytest.mark.parametrize("name", ["two words", "1st", "run"])
def test_a_key_that_expressions_cannot_read_is_refused_with_its_name(name: str) -> None:
    form = {{ cookiecutter.__class }}.Config({"text": "Hello", "save_as": name})
    assert f"“{name}” is no name" in str(form.errors["save_as"])


def test_the_form_is_translated() -> None:
    form = {{ cookiecutter.__class }}.Config()
    with translation.override("de"):
        assert str(form["save_as"].label) == "Speichern unter"
{%- if cookiecutter.trigger %}


def test_the_trigger_starts_a_flow_with_its_text(run_flow: Any) -> None:
    import_flow(parse_yaml(example())[0])
    received("Hello")
    run_flow.execute()
    run = FlowRun.objects.get()
    assert run.status == "completed", run.reason
    assert run.state["text"] == "Hello"
{%- endif %}
{%- if cookiecutter.kind == "app" %}


def test_a_crash_after_the_entry_was_written_leaves_one_entry(run_flow: Any, crash_at: Any) -> None:
    crash_at("effect.after")
    result = run_flow(example(), expect="completed")
    assert result.crashes == 1
    assert [entry.text for entry in Entry.objects.all()] == [result.state["note"]]


def test_an_entry_outlives_its_run(run_flow: Any) -> None:
    run_flow(example()).run.delete()
    assert Entry.objects.get().run is None


def test_the_page_shows_entries_to_those_who_may_see_them(run_flow: Any, client: Client) -> None:
    run_flow([{"action": ACTION, "config": {"text": "<b>Hello</b>"}}])
    page = "/flowcontrol/packs/{{ cookiecutter.__pack }}/"
    assert client.get(page).status_code == 302
    user = User.objects.create_user("ada")
    client.force_login(user)
    assert client.get(page).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_entry"))
    assert "&lt;b&gt;Hello&lt;/b&gt;" in client.get(page).content.decode()
{%- endif %}
