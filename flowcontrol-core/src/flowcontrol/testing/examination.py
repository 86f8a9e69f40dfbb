"""Holding a pack to all rules, and telling what came of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from . import rules_of_actions, rules_of_apps, rules_of_credentials, rules_of_hooks, rules_of_packaging
from .rules import RULES, NotApplicable, Rule, Subject

__all__ = ["Result", "examine", "hold", "tier"]

#: The modules that declare rules: each does so when it is imported.
_MODULES = (rules_of_packaging, rules_of_hooks, rules_of_actions, rules_of_credentials, rules_of_apps)
_TIERS = ("bronze", "silver", "gold")


@dataclass(frozen=True)
class Result:
    """What came of one rule: ``problems`` are sentences; ``not_applicable`` says why it says nothing here."""

    rule: Rule
    problems: Sequence[str] = ()
    not_applicable: str = ""

    @property
    def outcome(self) -> str:
        if self.not_applicable:
            return "not applicable"
        return "failed" if self.problems else "passed"

    def __str__(self) -> str:
        rule = self.rule
        lines = [f"{rule.id} {rule.title}: {self.outcome}{self._because}"]
        lines += [f"  {problem}" for problem in self.problems]
        if self.problems:
            lines += [f"  Why: {rule.why}", f"  Mend it: {rule.fix}"]
        return "\n".join(lines)

    @property
    def _because(self) -> str:
        return f" ({self.not_applicable})" if self.not_applicable else ""


def hold(rule: Rule, subject: Subject) -> Result:
    """Hold the pack to one rule."""
    try:
        with rules_of_credentials.keys_at_hand(subject):
            return Result(rule, list(rule.check(subject)))
    except NotApplicable as reason:
        return Result(rule, not_applicable=str(reason))


def examine(subject: Subject, only: Collection[str] = ()) -> Iterator[Result]:
    """Hold the pack to every rule, one after the other, or to those with an id in ``only``."""
    assert _MODULES, "they have declared their rules"
    for rule in RULES:
        if not only or rule.id in only:
            yield hold(rule, subject)


def tier(results: Iterable[Result]) -> str:
    """The best of ``bronze``, ``silver`` and ``gold`` whose rules all hold; empty for none."""
    broken = {result.rule.tier for result in results if result.problems}
    earned = ""
    for each in _TIERS:
        if each in broken:
            break
        earned = each
    return earned
