"""Which plugins a list selects, in which order, and what it says about the entries that it cannot honour."""

from __future__ import annotations

import pytest
from flowcontrol.plugins.entry_points import Installed
from flowcontrol.plugins.report import Problem
from flowcontrol.plugins.selection import in_force, select
from flowcontrol.plugins.versions import is_bound, satisfies
from hypothesis import given
from hypothesis import strategies as st


def plugin(name: str, distribution: str = "", version: str = "1.0", **more: str) -> Installed:
    module = more.pop("module", f"{name}.plugin")
    return Installed(name, distribution or f"flowcontrol-actions-{name}", version, module=module, **more)


BUILTIN = plugin("builtin")
HTTP = plugin("http", version="0.2.0")
MAIL = plugin("acme_mail", "acme-mail")
LEGACY = plugin("acme_legacy", "acme-legacy")
ALL = (MAIL, LEGACY, HTTP, BUILTIN)


@pytest.mark.parametrize(
    ("entries", "names"),
    [
        (["*"], ["acme_legacy", "acme_mail", "builtin", "http"]),
        ([], []),
        (["http", "builtin"], ["http", "builtin"]),
        (["http", "*"], ["http", "acme_legacy", "acme_mail", "builtin"]),
        (["*", "builtin"], ["acme_legacy", "acme_mail", "http", "builtin"]),
        (["builtin", "http>=0.1", "acme-*", "-acme-legacy"], ["builtin", "http", "acme_mail"]),
        (["-http", "*"], ["acme_legacy", "acme_mail", "builtin"]),
        (["*", "-acme-*"], ["builtin", "http"]),
        (["flowcontrol-actions-http"], ["http"]),
        (["Flowcontrol.Actions_HTTP"], ["http"]),
        (["Acme-Mail"], ["acme_mail"]),
        (["flowcontrol-*"], ["builtin", "http"]),
        (["-*", "*"], []),
        (["other-*"], []),
        (["acme_mai?"], ["acme_mail"]),
        (["http >= 0.1, <0.3"], ["http"]),
        (["http", "http"], ["http"]),
    ],
)
def test_a_list_selects_in_its_own_order(entries: list[str], names: list[str]) -> None:
    for installed in (ALL, tuple(reversed(ALL))):
        selection = select(entries, installed)
        assert [one.name for one in selection.chosen] == names
        assert sorted(one.name for one in selection.disabled) == sorted(
            {one.name for one in ALL} - set(names)
        )
        assert (selection.rejected, selection.malformed) == ((), ())


def test_a_name_that_is_not_installed_is_missing_with_a_suggestion_and_the_pip_line() -> None:
    (missing,) = select(["htpp"], ALL).rejected
    assert missing.problem is Problem.MISSING
    assert missing.reason == 'The list of plugins names "htpp", which is not installed.'
    assert missing.hint == (
        "Did you mean “http”? Otherwise: pip install flowcontrol-actions-htpp, or take it off the list."
    )


def test_a_name_that_is_also_removed_is_not_required() -> None:
    assert select(["gone", "-gone"], ALL).rejected == ()


def test_a_plugin_outside_the_bounds_is_not_used_and_the_line_to_install_is_given() -> None:
    selection = select(["http>=0.3,<1"], ALL)
    (rejected,) = selection.rejected
    assert (selection.chosen, rejected.problem) == ((), Problem.VERSION)
    assert rejected.reason == (
        'flowcontrol-actions-http 0.2.0 is installed, but the list of plugins asks for "http>=0.3,<1".'
    )
    assert rejected.hint == 'pip install "flowcontrol-actions-http>=0.3,<1", or change the list.'


@pytest.mark.parametrize(
    "entry", ["acme-*>=1", "-http>=1", "http>=", "http=1", "http>=x", "", "-", "http!", "a b", "§"]
)
def test_an_entry_that_means_nothing_is_reported_and_the_rest_still_counts(entry: str) -> None:
    selection = select([entry, "http"], ALL)
    assert [one.name for one in selection.chosen] == ["http"]
    (sentence,) = selection.malformed
    assert repr(entry) in sentence


def test_a_dotted_path_is_a_hook_module_of_the_project_unless_a_distribution_has_the_name() -> None:
    (module,) = select(["shop.workflows"], ALL).chosen
    assert module == Installed("shop.workflows", module="shop.workflows")
    dotted = plugin("erp", "shop.workflows")
    assert select(["shop.workflows"], (dotted,)).chosen == (dotted,)


def test_a_hook_module_of_the_project_can_be_removed_by_the_environment() -> None:
    assert select(["shop.workflows", "-shop.workflows"], ALL).chosen == ()


RIVAL = plugin("http", "acme-http", "3.0")


def test_two_distributions_that_claim_one_name_are_both_refused_and_both_named() -> None:
    selection = select(["*"], (*ALL, RIVAL))
    assert HTTP not in selection.chosen
    assert RIVAL not in selection.chosen
    assert [one.problem for one in selection.rejected] == [Problem.CLASH, Problem.CLASH]
    (reason,) = {one.reason for one in selection.rejected}
    assert "flowcontrol-actions-http 0.2.0" in reason
    assert "acme-http 3.0" in reason


@pytest.mark.parametrize(
    "entries", [["acme-http", "*"], ["*", "acme-http"], ["acme-http"], ["http", "acme-http"]]
)
def test_between_rivals_the_one_named_by_its_distribution_is_used(entries: list[str]) -> None:
    selection = select(entries, (HTTP, RIVAL))
    assert (selection.chosen, selection.disabled, selection.rejected) == ((RIVAL,), (HTTP,), ())


def test_removing_one_rival_by_its_distribution_settles_it_too() -> None:
    selection = select(["*", "-acme-http"], (HTTP, RIVAL))
    assert (selection.chosen, selection.rejected) == ((HTTP,), ())


@pytest.mark.parametrize(
    ("environment", "answer"),
    [
        ({}, (("a",), False)),
        ({"FLOWCONTROL_PLUGINS": ""}, ((), True)),
        ({"FLOWCONTROL_PLUGINS": "*, -http"}, (("*", "-http"), True)),
        ({"FLOWCONTROL_PLUGINS": "http>=0.1,<0.3,builtin"}, (("http>=0.1,<0.3", "builtin"), True)),
    ],
)
def test_the_environment_replaces_the_list(environment: dict[str, str], answer: object) -> None:
    assert in_force(["a"], environment) == answer


@pytest.mark.parametrize(
    ("version", "bounds", "fits"),
    [
        ("0.1", ">=0.1", True),
        ("0.10", ">=0.9", True),
        ("1", "==1.0.0", True),
        ("1.0rc1", ">=1.0", False),
        ("1.0rc1", "<1.0", True),
        ("1.0.dev3", "<1.0a1", True),
        ("1.0.post1", ">1.0", True),
        ("0.2.5", "~=0.2.1", True),
        ("0.3.0", "~=0.2.1", False),
        ("1.9", "~=1.4", True),
        ("2.0", "~=1.4", False),
        ("1.0+local", "==1.0", True),
        ("1.0", "!=1.0", False),
        ("nonsense", ">=0", False),
        ("", ">=0", False),
    ],
)
def test_versions_compare_as_pythons_do(version: str, bounds: str, fits: bool) -> None:
    assert is_bound(bounds)
    assert satisfies(version, (bounds,)) is fits


entry_texts = st.one_of(
    st.text(max_size=12), st.sampled_from(["*", "-*", "http", "-http", "acme-*", "http>=0.1", "a.b", "gone"])
)


@given(st.lists(entry_texts, max_size=6), st.permutations((*ALL, RIVAL)))
def test_no_list_raises_and_every_installed_plugin_is_accounted_for_once(
    entries: list[str], installed: list[Installed]
) -> None:
    selection = select(entries, installed)
    assert selection.chosen == select(entries, installed[::-1]).chosen
    named = [*selection.chosen, *selection.disabled, *(one.plugin for one in selection.rejected)]
    assert all(named.count(one) == 1 for one in installed)
