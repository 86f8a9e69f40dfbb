"""What the plugin declares: thirteen actions, light to import, each saying the same as its class."""

from __future__ import annotations

import subprocess
import sys

import pytest
from flowcontrol.base import BaseAction, Effect
from flowcontrol.registry import ActionSpec, import_path
from flowcontrol_actions_builtin.plugin import flowcontrol_plugin_info, flowcontrol_register_actions

SPECS = list(flowcontrol_register_actions())
EACH = pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)


def test_the_plugin_brings_the_thirteen_actions() -> None:
    assert [spec.name.removeprefix("builtin.") for spec in SPECS] == [
        "if",
        "while",
        "for",
        "return",
        "leave_branch",
        "stop",
        "set_state",
        "update_state",
        "start_flow",
        "delay",
        "try",
        "wait_for_trigger",
        "call_flow",
    ]


def test_the_plugin_says_which_contract_it_needs() -> None:
    assert flowcontrol_plugin_info().api == "1.0"


def test_the_hook_module_imports_no_forms_models_or_actions() -> None:
    unwanted = "('django.forms', 'django.db.models', 'flowcontrol.base', 'flowcontrol.forms', 'dateutil')"
    code = (
        "import sys, flowcontrol_actions_builtin.plugin as plugin;"
        "list(plugin.flowcontrol_register_actions());"
        f"print([name for name in sys.modules if name.startswith({unwanted})])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@EACH
def test_a_declaration_names_a_class_of_that_name_and_label(spec: ActionSpec) -> None:
    action = import_path(spec.path_text)
    assert issubclass(action, BaseAction)
    assert (action.name, action.label) == (spec.name, spec.label)


@EACH
def test_only_what_starts_flows_touches_more_than_state_and_control_flow(spec: ActionSpec) -> None:
    starts = spec.name in ("builtin.start_flow", "builtin.call_flow")
    expected = Effect.DATABASE if starts else Effect.PURE
    assert import_path(spec.path_text).effect is expected
    assert spec.needs_permission is starts


@EACH
def test_every_field_explains_itself(spec: ActionSpec) -> None:
    fields = import_path(spec.path_text).Config().fields
    assert [name for name, field in fields.items() if not (field.label and field.help_text)] == []
