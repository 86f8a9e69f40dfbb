"""The rules as tests: a class to inherit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from ..exceptions import ConfigurationError
from .examination import hold
from .rules import RULES, Rule, Subject

__all__ = ["PackConformance"]


def _rules(*, needs_database: bool) -> pytest.MarkDecorator:
    chosen = [rule for rule in RULES if rule.needs_database is needs_database]
    return pytest.mark.parametrize("rule", chosen, ids=[rule.id for rule in chosen])


class PackConformance:
    """Inherit it, name the pack, and pytest holds it to every rule, in the project that the tests run in.

        class TestAcme(PackConformance):
            pack = "acme"
            samples = {"acme.send": [{"to": "ada@example.org"}]}

    A rule that does not hold yet stands in ``expected_failures`` with the reason; it fails again once it does hold.
    The tests themselves cannot be overridden.
    """

    #: Name of the plugin.
    pack: ClassVar[str]
    #: Right configurations of each action, by its name; one that requires nothing needs none.
    samples: ClassVar[Mapping[str, Sequence[Mapping[str, Any]]]] = {}
    #: Actions that cannot be run in a test, by name, with the reason.
    not_run: ClassVar[Mapping[str, str]] = {}
    #: Stored configurations of older versions: {name: [(version, config)]}.
    old_configs: ClassVar[Mapping[str, Sequence[tuple[int, Mapping[str, Any]]]]] = {}
    #: Actions that may touch the world twice without harm, by name, with the reason (rule A15).
    repeatable: ClassVar[Mapping[str, str]] = {}
    #: Right values of each kind of credential, by its name: {"acme.token": {"token": "a sample"}}. Samples of actions
    #: name the credential that is made of them "acme-token".
    credentials: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    #: Rules that do not hold yet, by id, with the reason.
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def prepare(self) -> None:
        """Called before actions are run: make what their samples refer to, such as flows and objects."""

    def count_effects(self, action: str) -> int:
        """How often this action has touched the world so far. Define it, and crashes are tried (rule A9)."""
        raise NotImplementedError

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        overridden = sorted({"test_rule", "test_rule_with_database"} & set(vars(cls)))
        if overridden:
            raise ConfigurationError(
                f"{cls.__qualname__} overrides {', '.join(overridden)}. The rules are the same for all packs; name one "
                "that does not hold yet in expected_failures, with the reason."
            )
        unexplained = [id_ for id_, reason in cls.expected_failures.items() if not str(reason).strip()]
        unknown = sorted(set(cls.expected_failures) - {rule.id for rule in RULES})
        if unexplained or unknown:
            raise ConfigurationError(
                f"{cls.__qualname__}.expected_failures: every rule needs a reason, and has to be one of "
                f"{', '.join(rule.id for rule in RULES)}: see {', '.join([*unexplained, *unknown])}."
            )

    @_rules(needs_database=False)
    def test_rule(self, rule: Rule) -> None:
        self._hold(rule)

    @pytest.mark.django_db(transaction=True)
    @_rules(needs_database=True)
    def test_rule_with_database(self, rule: Rule) -> None:
        self._hold(rule)

    def _hold(self, rule: Rule) -> None:
        result = hold(rule, self._subject())
        reason = self.expected_failures.get(rule.id)
        if result.not_applicable:
            pytest.skip(f"{rule.id} is not applicable: {result.not_applicable}")
        if result.problems and reason:
            pytest.xfail(reason)
        if result.problems:
            pytest.fail(str(result), pytrace=False)
        if reason:
            pytest.fail(f"{rule.id} holds now: take it out of expected_failures.", pytrace=False)

    def _subject(self) -> Subject:
        counts = type(self).count_effects is not PackConformance.count_effects
        count: Callable[[str], int] | None = self.count_effects if counts else None
        return Subject(
            self.pack,
            self.samples,
            self.not_run,
            self.old_configs,
            self.prepare,
            count,
            repeatable=self.repeatable,
            credentials=self.credentials,
        )
