"""Credentials are kept sealed, opened only with their keys, and refused with the reason in all other cases."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from credential_kinds import KEYS, Basic, in_use, saved
from django import forms
from django.core.checks import run_checks
from django.db import connection
from django.test import override_settings
from flowcontrol import conf, registry, vault
from flowcontrol.credentials import (
    Credential,
    CredentialForm,
    SecretField,
    get_credential,
    is_host_pattern,
    save_credential,
)
from flowcontrol.exceptions import (
    ConfigurationError,
    CredentialInvalid,
    CredentialKindMissing,
    CredentialNotFound,
    CredentialOfAnotherKind,
    CredentialUndecryptable,
    CredentialVariableMissing,
    RegistrationError,
)
from flowcontrol.models import Credential as Row

pytestmark = pytest.mark.django_db

VARIABLE = "FLOWCONTROL_SECRET_SHOP"


@pytest.fixture(autouse=True)
def _kinds() -> Iterator[None]:
    with in_use():
        yield


def keys(*given: str) -> Any:
    return override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": list(given)})


# -- keeping -----------------------------------------------------------------------------------------------------


@pytest.mark.every_database
def test_what_was_stored_comes_back_cleaned(django_assert_num_queries: Any) -> None:
    saved(days="1.50", password="  hunter2 ö  ")
    with django_assert_num_queries(1):
        found = get_credential("shop", kinds=["test.basic"])
    assert (found.name, found.kind, found.hosts) == ("shop", "test.basic", ("api.example.org",))
    assert dict(found.values) == {
        "user": "ada",
        "password": "  hunter2 ö  ",
        "pin": "",
        "days": found.values["days"],
    }
    assert str(found.values["days"]) == "1.50"


@pytest.mark.every_database
def test_no_column_has_a_secret_in_the_open() -> None:
    saved(pin="9876-5432")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {Row._meta.db_table}")
        stored = repr(cursor.fetchall())
    assert "ada" in stored
    assert "correct horse" not in stored
    assert "9876-5432" not in stored


def test_storing_again_replaces(django_assert_num_queries: Any) -> None:
    saved(pin="1234")
    saved(password="another one", hosts=["*.example.org"])
    [row] = Row.objects.all()
    found = vault.open_credential(row)
    assert (found.values["password"], found.values["pin"], found.hosts) == (
        "another one",
        "",
        ("*.example.org",),
    )


@pytest.mark.parametrize(
    ("values", "options", "says"),
    [
        ({"user": ""}, {}, "the field user"),
        ({"password": "abc"}, {}, "the field password"),
        ({}, {"hosts": []}, "the hosts, of which it needs some"),
        ({}, {"hosts": ["https://example.org"]}, "the host 'https://example.org'"),
        ({}, {"hosts": ["exämple.org"]}, "the host 'exämple.org'"),
        ({}, {"name": "not a slug"}, "the name"),
        ({}, {"variables": {"password": "SECRET_KEY"}}, "may not read SECRET_KEY"),
        ({}, {"variables": {"password": "FLOWCONTROL_CREDENTIAL_KEYS"}}, "may not read FLOWCONTROL_CRED"),
        ({}, {"variables": {"user": VARIABLE}}, "the variable of user, which is no secret field"),
    ],
)
def test_what_cannot_be_right_is_not_stored_and_its_values_are_not_told(
    values: dict[str, str], options: dict[str, Any], says: str
) -> None:
    name = options.pop("name", "shop")
    options = {"hosts": ["api.example.org"], **options}
    with pytest.raises(CredentialInvalid, match=says) as caught:
        save_credential(name, "test.basic", {"user": "ada", "password": "correct horse", **values}, **options)
    assert "correct horse" not in str(caught.value)
    assert not Row.objects.exists()


def test_without_a_key_nothing_is_stored_and_the_way_out_is_told() -> None:
    with keys(), pytest.raises(ConfigurationError, match="credentials new-key"):
        saved()
    assert not Row.objects.exists()


# -- opening -----------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_told_with_what_is_meant() -> None:
    saved()
    with pytest.raises(CredentialNotFound, match='There is no credential "shopp".*shop'):
        get_credential("shopp")


def test_another_kind_than_will_do_is_refused() -> None:
    saved()
    with pytest.raises(
        CredentialOfAnotherKind, match=r"kind test.basic, and here is needed one of: test.hook"
    ):
        get_credential("shop", kinds=["test.hook"])


def test_without_the_plugin_of_its_kind_it_is_told_what_is_missing() -> None:
    saved()
    registry.credential_kinds.unregister("test.basic")
    with pytest.raises(CredentialKindMissing, match=r'"shop" cannot be used.*"test.basic" is missing'):
        get_credential("shop")


@pytest.mark.parametrize(("given", "says"), [([], "There are no keys"), ([KEYS[1]], "None of the 1 keys")])
def test_what_no_key_opens_is_an_error_and_never_silence(given: list[str], says: str) -> None:
    with keys(KEYS[0]):
        saved()
    with keys(*given), pytest.raises(CredentialUndecryptable, match=f'"shop" cannot be decrypted. {says}'):
        get_credential("shop")


@pytest.mark.parametrize(
    "change",
    [{"hosts": ["evil.example"]}, {"settings": {"user": "eve"}}, {"name": "other"}, {"kind": "test.hook"}],
)
def test_a_row_that_was_changed_past_flowcontrol_does_not_open(change: dict[str, Any]) -> None:
    saved()
    Row.objects.update(**change)
    with pytest.raises(CredentialUndecryptable, match="was changed past flowcontrol"):
        get_credential(Row.objects.get().name)


def test_secrets_that_were_moved_to_another_row_do_not_open() -> None:
    saved()
    saved("other", password="another one")
    Row.objects.filter(name="other").update(sealed=Row.objects.get(name="shop").sealed)
    with pytest.raises(CredentialUndecryptable):
        get_credential("other")


def test_what_no_longer_fits_its_form_is_told_by_fields_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    saved()
    stricter = copy.deepcopy(Basic.Form.base_fields)
    stricter["password"] = SecretField(max_length=5)
    monkeypatch.setattr(Basic.Form, "base_fields", stricter)
    with pytest.raises(
        CredentialInvalid, match="does not fit the form of test.basic: see password"
    ) as caught:
        get_credential("shop")
    assert "correct" not in str(caught.value)


# -- the environment ---------------------------------------------------------------------------------------------


def from_environment() -> None:
    save_credential(
        "shop", "test.basic", {"user": "ada"}, hosts=["api.example.org"], variables={"password": VARIABLE}
    )


def test_a_secret_of_the_environment_is_read_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with keys():
        from_environment()
        row = Row.objects.get()
        assert (row.sealed, row.source) == ("", "environment")
        for value in ("from outside", "changed since"):
            monkeypatch.setenv(VARIABLE, value)
            assert get_credential("shop").values["password"] == value


def test_a_variable_that_is_not_set_is_named() -> None:
    from_environment()
    with pytest.raises(CredentialVariableMissing, match=f"{VARIABLE}, which is not set"):
        get_credential("shop")


def test_a_variable_that_may_not_be_read_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise whoever may add a credential could have the project's own secrets sent to themselves."""
    from_environment()
    monkeypatch.setenv("DATABASE_URL", "postgresql://root:hunter2@db")
    Row.objects.update(variables={"password": "DATABASE_URL"})
    with pytest.raises(CredentialVariableMissing, match="may not read DATABASE_URL"):
        get_credential("shop")


# -- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.every_database
def test_rotation_brings_all_under_the_first_key() -> None:
    with keys(KEYS[0]):
        saved()
        saved("other")
        before = dict(Row.objects.values_list("name", "updated_at"))
    with keys(KEYS[1], KEYS[0]):
        saved("new")
        assert [(one.name, one.is_changed, one.problem) for one in vault.rotate()] == [
            ("new", False, ""),
            ("other", True, ""),
            ("shop", True, ""),
        ]
    with keys(KEYS[1]):
        assert get_credential("shop").values["password"] == "correct horse"
        assert {row.name: row.updated_at for row in Row.objects.exclude(name="new")} == before


def test_what_cannot_be_rotated_is_told_and_stays_and_keeps_no_other_from_it() -> None:
    with keys(KEYS[0]):
        saved("ours")
    with keys(vault.new_key()):
        saved("lost")
    sealed = Row.objects.get(name="lost").sealed
    with keys(KEYS[1], KEYS[0]):
        lost, ours = vault.rotate()
    assert "None of the 2 keys" in lost.problem
    assert ours.is_changed
    assert Row.objects.get(name="lost").sealed == sealed


def test_keys_of_the_environment_take_the_place_of_those_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(conf.CREDENTIAL_KEYS_VARIABLE, f" {KEYS[1]} , {KEYS[0]},")
    assert conf.credential_keys() == (KEYS[1], KEYS[0])


@pytest.mark.parametrize(
    "wrong", ["hunter2-is-no-key", KEYS[0], [KEYS[0][:-4]], [b"x"]], ids=["word", "text", "short", "bytes"]
)
def test_a_key_that_is_none_is_refused_and_not_repeated(wrong: Any) -> None:
    with override_settings(FLOWCONTROL={"CREDENTIAL_KEYS": wrong}):
        with pytest.raises(ConfigurationError, match=r"CREDENTIAL_KEYS.* has to be a list of keys") as caught:
            conf.get("CREDENTIAL_KEYS")
        [told] = conf.find_wrong()
    for text in (str(caught.value), told):
        assert "hunter2" not in text
        assert KEYS[0][:20] not in text


def test_a_wrong_key_in_the_environment_is_told_by_the_check_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(conf.CREDENTIAL_KEYS_VARIABLE, "hunter2")
    [told] = [one for one in run_checks() if one.id == "flowcontrol.E008"]
    assert "FLOWCONTROL_CREDENTIAL_KEYS has to be a list of keys" in told.msg
    assert "hunter2" not in told.msg


def test_the_check_with_a_database_finds_what_no_key_opens() -> None:
    saved()
    assert not [one for one in run_checks(databases=["default"]) if one.id == "flowcontrol.E012"]
    with keys():
        [told] = [one for one in run_checks(databases=["default"]) if one.id == "flowcontrol.E012"]
        assert not [one for one in run_checks() if one.id == "flowcontrol.E012"]
    assert 'The credential "shop" cannot be decrypted. There are no keys' in told.msg


# -- showing nothing ---------------------------------------------------------------------------------------------


def test_neither_a_credential_nor_its_values_show_a_secret() -> None:
    saved(pin="9876-5432")
    found = get_credential("shop")
    shown = [
        repr(found),
        str(found),
        f"{found}",
        repr(found.values),
        str(found.values),
        f"{found.values!s:>5}",
    ]
    assert shown[0] == '<Credential "shop" (test.basic)>'
    assert repr(found.values) == "{'user': 'ada', 'password': '•••', 'pin': '•••', 'days': None}"
    assert not [text for text in shown if "correct horse" in text or "9876" in text]


@pytest.mark.parametrize("part", [lambda one: one, lambda one: one.values], ids=["credential", "values"])
def test_a_credential_is_not_pickled(part: Any) -> None:
    saved()
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(part(get_credential("shop")))
    with pytest.raises(TypeError):
        json.dumps(part(get_credential("shop")))


def test_a_credential_has_no_dictionary_and_copies_to_itself() -> None:
    saved()
    found = get_credential("shop")
    assert not hasattr(found, "__dict__")
    assert copy.deepcopy(found) is found is copy.copy(found)


@pytest.mark.parametrize("widget", [forms.PasswordInput(render_value=True), forms.Textarea()])
def test_no_widget_draws_a_secret_not_even_one_that_was_just_typed(widget: forms.Widget) -> None:
    class Form(CredentialForm):
        key = SecretField(widget=widget, initial="correct horse")

    for form in (Form(), Form({"key": "correct horse"}), Form(initial={"key": "correct horse"})):
        assert "correct horse" not in form.as_p()


def test_made_by_hand_every_value_is_a_secret() -> None:
    made = Credential("x", "test.basic", (), {"user": "ada"})
    assert repr(made.values) == "{'user': '•••'}"


# -- hosts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "host", "is_allowed"),
    [
        (["api.example.org"], "api.example.org", True),
        (["api.example.org"], "API.Example.ORG.", True),
        (["api.example.org"], "example.org", False),
        (["api.example.org"], "api.example.org.evil.example", False),
        (["api.example.org"], "evil-api.example.org", False),
        (["api.example.org"], "api.example.org:80", False),
        (["api.example.org"], "", False),
        (["*.example.org"], "a.b.example.org", True),
        (["*.example.org"], "example.org", False),
        (["*.example.org"], ".example.org", False),
        (["*.example.org"], "badexample.org", False),
        (["*"], "anything.example", True),
        (["::1"], "[::1]", True),
        (["127.0.0.1"], "127.0.0.1", True),
        # Letters that some library takes for others: of those nobody says what is connected to.
        (["fass.de"], "faß.de", False),
        (["kelvin.example"], "\u212aelvin.example", False),
        (["*"], "exämple.org", False),
        # n8n looked at hosts only when there were some.
        ([], "api.example.org", False),
    ],
)
def test_a_credential_may_be_sent_to_its_hosts_alone(hosts: list[str], host: str, is_allowed: bool) -> None:
    assert Credential("x", "test.basic", tuple(hosts), {}).allows_host(host) is is_allowed


@pytest.mark.parametrize(
    "text", ["https://a.org", "a.org:80", "a.org/x", "*a.org", "a.*.org", "", "A.org", "a..org"]
)
def test_what_is_no_host_cannot_stand_among_them(text: str) -> None:
    assert not is_host_pattern(text)


# -- registering -------------------------------------------------------------------------------------------------


def test_what_is_no_kind_of_credential_is_not_registered() -> None:
    with pytest.raises(
        RegistrationError, match="a class that inherits flowcontrol.credentials.CredentialKind"
    ):
        registry.register_credential_kind(dict)  # type: ignore[type-var]


def test_a_kind_that_cannot_be_imported_says_so_when_it_is_used(caplog: pytest.LogCaptureFixture) -> None:
    registry.credential_kinds.register(registry.CredentialKindSpec("test.gone", "nowhere.at:All"), "the test")
    with pytest.raises(
        CredentialKindMissing, match="cannot be imported from nowhere.at:All: ModuleNotFoundError"
    ):
        registry.credential_kinds.load("test.gone")
    assert "kind of credential cannot be imported" in caplog.text
