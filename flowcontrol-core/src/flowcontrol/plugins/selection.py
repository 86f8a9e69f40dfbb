"""Which of the installed plugins a project uses, in which order. Pure: a list and what is installed go in.

The list is ``FLOWCONTROL["PLUGINS"]``, or the environment's ``FLOWCONTROL_PLUGINS``. Each entry is one of

=====================  ======================================================================================
``http``               the plugin or distribution of this name; reported when it is not installed
``http>=0.1,<0.3``     the same, in such a version
``acme-*``             whatever is installed under such a name of plugin or distribution; ``*`` is everything
``-acme-legacy``       not this one (a name or a pattern), wherever in the list it stands
``project.workflows``  a hook module of the project's own, by its dotted path
=====================  ======================================================================================

Plugins come in the order of the list. A pattern brings those that are named nowhere else, sorted by name.
Letter case and ``-``, ``_``, ``.`` make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from ..suggestions import did_you_mean
from .entry_points import Installed, canonical
from .report import Problem
from .versions import is_bound, satisfies

__all__ = ["DEFAULT", "ENVIRONMENT", "Rejected", "Selection", "in_force", "removal_of", "select"]

#: Replaces the project's list.
ENVIRONMENT = "FLOWCONTROL_PLUGINS"

DEFAULT = ("*",)

_ENTRY = re.compile(r"(-?)\s*([A-Za-z0-9_*?][A-Za-z0-9_.*?-]*?)\s*([<>=!~].*)?")


class Rejected(NamedTuple):
    """A plugin on the list that cannot even be tried."""

    plugin: Installed
    problem: Problem
    reason: str
    hint: str


class Selection(NamedTuple):
    #: To be loaded, in this order.
    chosen: tuple[Installed, ...] = ()
    #: Installed and left out.
    disabled: tuple[Installed, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    #: A sentence for each entry of the list that means nothing.
    malformed: tuple[str, ...] = ()


class _Entry(NamedTuple):
    text: str
    body: str
    is_removal: bool
    bounds: tuple[str, ...]

    @property
    def is_pattern(self) -> bool:
        return "*" in self.body or "?" in self.body

    @property
    def is_module(self) -> bool:
        name = re.split(r"[<>=!~]", self.text)[0].strip()
        return "." in name and all(part.isidentifier() for part in name.split("."))

    def matches(self, plugin: Installed) -> bool:
        names = (canonical(plugin.name), canonical(plugin.distribution))
        if self.is_pattern:
            return any(fnmatchcase(name, self.body) for name in names if name)
        return self.body in names


def in_force(written: Iterable[str], environment: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """The list that counts, and whether it comes from the environment."""
    replacement = environment.get(ENVIRONMENT)
    if replacement is None:
        return tuple(written), False
    # A comma before an operator belongs to the bounds of one entry.
    parts = re.split(r",(?!\s*[<>=!~])", replacement)
    return tuple(part.strip() for part in parts if part.strip()), True


def select(entries: Sequence[str], installed: Sequence[Installed]) -> Selection:
    """Apply the list. Never raises: what is wrong with the list is part of the answer."""
    parsed, malformed = _parse(entries)
    removals = [entry for entry in parsed if entry.is_removal]
    wanted = [entry for entry in parsed if not entry.is_removal]
    chosen: dict[Installed, _Entry] = {}
    missing: list[Rejected] = []
    for entry, matches in _matches(wanted, installed):
        kept = [plugin for plugin in matches if not any(removal.matches(plugin) for removal in removals)]
        chosen.update((plugin, entry) for plugin in kept if plugin not in chosen)
        if not matches and not entry.is_pattern and not _is_removed(entry, removals):
            missing.append(_missing(entry, installed))
    rejected = [*_outside_bounds(chosen), *_clashes(chosen, wanted)]
    out = {one.plugin for one in rejected}
    losers = _losers(chosen, wanted)
    return Selection(
        chosen=tuple(plugin for plugin in chosen if plugin not in out and plugin not in losers),
        disabled=tuple(plugin for plugin in installed if plugin not in chosen or plugin in losers),
        rejected=(*rejected, *missing),
        malformed=tuple(malformed),
    )


def removal_of(plugin: Installed, entries: Sequence[str]) -> str:
    """The entry of the list that takes the plugin out; empty when it is just not named."""
    parsed, _ = _parse(entries)
    return next((entry.text for entry in parsed if entry.is_removal and entry.matches(plugin)), "")


def _parse(entries: Sequence[str]) -> tuple[list[_Entry], list[str]]:
    parsed: list[_Entry] = []
    malformed: list[str] = []
    for text in entries:
        match = _ENTRY.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            malformed.append(
                f"{text!r} is no entry of a list of plugins. Write a name (http), a pattern (acme-*), "
                "a removal (-http), or the dotted path of a module."
            )
            continue
        bounds = tuple(
            bound.strip() for bound in re.split(r"[,\s]+(?=[<>=!~])", match[3] or "") if bound.strip()
        )
        entry = _Entry(text.strip(), canonical(match[2]), bool(match[1]), bounds)
        if bounds and (entry.is_removal or entry.is_pattern or not all(map(is_bound, bounds))):
            malformed.append(
                f"{text!r} has a version that means nothing there. Only a plain name takes bounds: http>=0.1."
            )
            continue
        parsed.append(entry)
    return parsed, malformed


def _matches(
    wanted: list[_Entry], installed: Sequence[Installed]
) -> Iterable[tuple[_Entry, list[Installed]]]:
    """For each entry the plugins in its place: a plugin that is named stands there, not at a pattern."""
    named = {plugin for entry in wanted if not entry.is_pattern for plugin in _named(entry, installed)}
    for entry in wanted:
        if entry.is_pattern:
            found = [plugin for plugin in installed if entry.matches(plugin) and plugin not in named]
            yield (
                entry,
                sorted(found, key=lambda plugin: (canonical(plugin.name), canonical(plugin.distribution))),
            )
        else:
            found = _named(entry, installed)
            if not found and entry.is_module:
                found = [Installed(entry.text, module=entry.text)]
            yield entry, found


def _named(entry: _Entry, installed: Sequence[Installed]) -> list[Installed]:
    """Plugins of this name or, when there is none, those of the distribution of this name."""
    by_name = [plugin for plugin in installed if canonical(plugin.name) == entry.body]
    return by_name or [plugin for plugin in installed if canonical(plugin.distribution) == entry.body]


def _is_removed(entry: _Entry, removals: list[_Entry]) -> bool:
    nobody = Installed(entry.body)
    return any(removal.matches(nobody) for removal in removals)


def _missing(entry: _Entry, installed: Sequence[Installed]) -> Rejected:
    names = {plugin.name for plugin in installed} | {plugin.distribution for plugin in installed}
    name = entry.body.removeprefix("flowcontrol_actions_")
    guess = f"pip install flowcontrol-actions-{name.replace('_', '-')}, or take it off the list."
    suggestion = did_you_mean(re.split(r"[<>=!~]", entry.text)[0].strip(), names)
    return Rejected(
        Installed(name),
        Problem.MISSING,
        f'The list of plugins names "{entry.text}", which is not installed.',
        f"{suggestion} Otherwise: {guess}" if suggestion else f"Try: {guess}",
    )


def _outside_bounds(chosen: Mapping[Installed, _Entry]) -> list[Rejected]:
    return [
        Rejected(
            plugin,
            Problem.VERSION,
            f"{plugin.distribution or plugin.name} {plugin.version} is installed, but the list of plugins "
            f'asks for "{entry.text}".',
            f'pip install "{plugin.distribution or plugin.name}{",".join(entry.bounds)}", '
            "or change the list.",
        )
        for plugin, entry in chosen.items()
        if entry.bounds and not satisfies(plugin.version, entry.bounds)
    ]


def _rivals(chosen: Iterable[Installed]) -> list[list[Installed]]:
    by_name: dict[str, list[Installed]] = {}
    for plugin in chosen:
        by_name.setdefault(canonical(plugin.name), []).append(plugin)
    return [rivals for rivals in by_name.values() if len(rivals) > 1]


def _preferred(rivals: list[Installed], wanted: list[_Entry]) -> list[Installed]:
    """Those that the list names by their distribution: the project's own decision between rivals."""
    bodies = {entry.body for entry in wanted if not entry.is_pattern}
    return [plugin for plugin in rivals if canonical(plugin.distribution) in bodies]


def _clashes(chosen: Iterable[Installed], wanted: list[_Entry]) -> list[Rejected]:
    rejected = []
    for rivals in _rivals(chosen):
        if len(_preferred(rivals, wanted)) == 1:
            continue
        claims = " and ".join(f"{plugin.distribution} {plugin.version}" for plugin in rivals)
        hint = (
            f'Uninstall one, or name the one to use by its distribution in FLOWCONTROL["PLUGINS"]: '
            f'"{rivals[0].distribution}".'
        )
        reason = f'Several distributions claim the name "{rivals[0].name}": {claims}. None of them is used.'
        rejected += [Rejected(plugin, Problem.CLASH, reason, hint) for plugin in rivals]
    return rejected


def _losers(chosen: Iterable[Installed], wanted: list[_Entry]) -> set[Installed]:
    losers: set[Installed] = set()
    for rivals in _rivals(chosen):
        preferred = _preferred(rivals, wanted)
        if len(preferred) == 1:
            losers.update(plugin for plugin in rivals if plugin not in preferred)
    return losers
