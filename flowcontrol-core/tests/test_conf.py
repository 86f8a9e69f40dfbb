"""The keys of settings.FLOWCONTROL: checked, explained, and alike in all the places that list them."""

from __future__ import annotations

import pytest
from django.test import override_settings
from flowcontrol import checks, conf
from flowcontrol.exceptions import ConfigurationError


def test_every_default_passes_its_own_check() -> None:
    assert [setting.clean(setting.default) for setting in conf.SETTINGS] == [
        setting.default for setting in conf.SETTINGS
    ]


def test_attributes_for_type_checkers_are_exactly_the_defined_keys() -> None:
    assert list(conf.Settings.__annotations__) == [setting.name for setting in conf.SETTINGS]


def test_every_number_says_what_it_counts() -> None:
    numbers = [s for s in conf.SETTINGS if type(s.default) is int]
    assert [s.name for s in numbers if not s.unit] == []


@override_settings(FLOWCONTROL={"LEASE_SECONDS": 5})
def test_what_is_not_written_has_its_default() -> None:
    assert (conf.settings.LEASE_SECONDS, conf.settings.MAX_CRASHES) == (5, 3)


def test_override_settings_is_honoured_inside_and_afterwards() -> None:
    before = conf.get("BATCH_SIZE")
    with override_settings(FLOWCONTROL={"BATCH_SIZE": 7}):
        assert conf.get("BATCH_SIZE") == 7
    assert conf.get("BATCH_SIZE") == before


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("LEASE_SECONDS", 0, "has to be a whole number, 1 or more"),
        ("LEASE_SECONDS", "60", "has to be a whole number, 1 or more"),
        ("LEASE_SECONDS", True, "has to be a whole number, 1 or more"),
        ("PLUGINS", "builtin", "has to be a list of text, in brackets"),
        ("PLUGINS", ["builtin", 3], "but 3 is none"),
        ("RUN_RETENTION_DAYS", -1, "has to be a whole number, 0 or more, or None"),
        ("LISTEN_NOTIFY", "no", "has to be True or False"),
        ("PLUGIN_ERRORS", "ignore", 'has to be one of "auto", "raise", "isolate"'),
        ("SCHEDULER", "", "has to be text, and not empty"),
        ("EXPRESSION_PROPERTIES", {"order": ["total"]}, "'order' is no \"app.model\""),
        (
            "EXPRESSION_PROPERTIES",
            {"shop.order": "total"},
            "the value of 'shop.order' has to be a list of text",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_key_value_and_the_way_out(key: str, value: object, says: str) -> None:
    with override_settings(FLOWCONTROL={key: value}):
        with pytest.raises(ConfigurationError) as caught:
            conf.get(key)
        message = str(caught.value)
        assert message.startswith(f'settings.FLOWCONTROL["{key}"] is {value!r}, but ')
        assert says in message
        assert "delete the key to have the default" in message
        assert conf.find_wrong() == [message]


@override_settings(FLOWCONTROL=["polling"])
def test_a_setting_that_is_no_dictionary_says_so_once() -> None:
    (sentence,) = conf.find_wrong()
    assert sentence.startswith("settings.FLOWCONTROL is ['polling'], but has to be a dictionary")
    assert conf.find_unknown() == []


@override_settings(FLOWCONTROL={"LEASE_SECOND": 5})
def test_an_unknown_key_is_named_with_the_one_that_was_meant() -> None:
    assert conf.find_unknown() == [
        "settings.FLOWCONTROL has no key 'LEASE_SECOND'. Did you mean “LEASE_SECONDS”?"
    ]


def test_asking_for_a_key_that_does_not_exist_is_an_error_and_no_default() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean “MAX_STEPS”"):
        conf.get("MAX_STEP")


@override_settings(FLOWCONTROL={"EXPRESSION_PROPERTIES": {"Shop.Order": ["total"]}})
def test_models_are_named_in_any_letter_case() -> None:
    assert conf.settings.EXPRESSION_PROPERTIES == {"shop.order": ("total",)}


@override_settings(USE_TZ=False)
def test_a_project_without_time_zones_is_warned() -> None:
    (found,) = checks.check_time_zone()
    assert (found.id, found.hint[:18]) == ("flowcontrol.W006", "Set USE_TZ = True.")
