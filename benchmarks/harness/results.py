"""From the answers of all rounds to figures, a table and a verdict."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from .scenarios import Demand, Entry, Scenario


@dataclass(frozen=True)
class Figures:
    """Of one entry: the median over its rounds; of memory the most of any round."""

    entry: Entry
    answers: list[dict[str, Any]]

    @property
    def refused(self) -> str:
        return next((str(each["refused"]) for each in self.answers if "refused" in each), "")

    def value(self, name: str) -> float | None:
        if self.refused or not self.answers:
            return None
        if name == "peak_mb":
            return max(float(each["peak_mb"]) for each in self.answers)
        values = [value for each in self.answers if (value := _of(each, name)) is not None]
        return statistics.median(values) if values else None

    def spread(self) -> str:
        """Slowest and fastest round, as parts of the median."""
        rates = [_of(each, "rate") or 0.0 for each in self.answers]
        middle = statistics.median(rates)
        return f"{min(rates) / middle - 1:+.0%}…{max(rates) / middle - 1:+.0%}"

    def as_json(self) -> dict[str, Any]:
        names = ("rate", "ms", "statements", "all_statements", "messages", "peak_mb")
        return {
            "label": self.entry.label,
            "size": self.entry.size,
            **({"refused": self.refused} if self.refused else {name: self.value(name) for name in names}),
            "rounds": self.answers,
        }


def _of(answer: dict[str, Any], name: str) -> float | None:
    seconds, runs = answer["seconds"], answer["runs"]
    if name == "rate":
        return float(runs / seconds)
    if name == "ms":
        return float(seconds / runs * 1000)
    if name == "messages":
        return float(answer["messages"] / runs) if "messages" in answer else None
    if "statements" not in answer:
        return None
    return float(answer["statements"] if name == "all_statements" else answer["statements"] / runs)


class Results:
    def __init__(self) -> None:
        self.scenarios: dict[str, tuple[Scenario, dict[str, Figures]]] = {}

    def add(self, scenario: Scenario, answers: dict[str, list[dict[str, Any]]]) -> None:
        figures = {entry.label: Figures(entry, answers[entry.label]) for entry in scenario.entries}
        self.scenarios[scenario.name] = scenario, figures

    def value(self, where: tuple[str, str, str]) -> float | None:
        scenario, label, name = where
        if scenario not in self.scenarios:
            return None
        return self.scenarios[scenario][1][label].value(name)

    def judged(self, demand: Demand) -> dict[str, Any] | None:
        """What came of a demand; None when it was not measured."""
        left = self.value(demand.left)
        right = 1.0 if demand.right is None else self.value(demand.right)
        if left is None or right is None:
            return None
        value = left / right
        holds = (demand.at_least is None or value >= demand.at_least) and (
            demand.at_most is None or value <= demand.at_most
        )
        must = f">= {demand.at_least:g}" if demand.at_least is not None else f"<= {demand.at_most:g}"
        return {"demand": demand.text, "value": value, "must": must, "holds": holds}

    def table(self, scenario: str) -> str:
        described, figures = self.scenarios[scenario]
        lines = [f"\n{described.name}: {described.title}"]
        for label, each in figures.items():
            if each.refused:
                lines.append(f"  {label:<26}not measured: {each.refused}")
                continue
            value = each.value("ms" if described.unit == "ms" else "rate")
            count = each.value("statements")
            sent = each.value("messages")
            told = "" if count is None else f"{count:>12,.2f} statements each"
            told = told if sent is None else f"{sent:>12,.4f} messages each"
            lines.append(
                f"  {label:<26}{value or 0:>12,.1f} {described.unit:<9}{each.spread():>14}"
                f"{told:<30}{each.value('peak_mb') or 0:>8.1f} MB"
            )
        return "\n".join(lines)
