"""What is known about each plugin after loading: the one answer for checks, command line and admin."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["PluginReport", "Problem", "State"]


class State(StrEnum):
    ACTIVE = "active"
    #: Installed, but the project's list leaves it out.
    DISABLED = "disabled"
    #: It is on the list and cannot be used; nothing of it is registered.
    QUARANTINED = "quarantined"
    #: The list names it and it is not installed.
    MISSING = "missing"


class Problem(StrEnum):
    """Why a plugin on the list is not active."""

    MISSING = "missing"
    #: Its code raised or answered with something that cannot be used.
    BROKEN = "broken"
    #: Several distributions claim its name.
    CLASH = "clash"
    #: It needs another version of the contract.
    API = "api"
    #: The project asks for another version of it.
    VERSION = "version"
    #: The module ``flow_actions`` of an app of the project cannot be imported.
    APP = "app"


@dataclass(frozen=True, eq=False)
class PluginReport:
    """One plugin: where it comes from, whether it is active and, if not, why and what to do."""

    name: str
    state: State
    distribution: str = ""
    version: str = ""
    #: ``wheel``, ``editable <folder>``, ``project`` (a hook module of its own) or ``app`` (``flow_actions``).
    source: str = ""
    problem: Problem | None = None
    #: What was being done when it failed: ``import``, ``hooks``, ``info``, ``declarations`` …
    phase: str = ""
    reason: str = ""
    hint: str = ""
    label: str = ""
    description: str = ""
    #: Version of the contract it asks for.
    api: str = ""
    #: Dotted path of its AppConfig, if it has one.
    app: str = ""
    actions: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    schedulers: tuple[str, ...] = ()
    credential_kinds: tuple[str, ...] = ()
    #: Dotted path of the module with its pages, if it has some.
    urls: str = ""
    #: Names of the hooks it implements.
    hooks: tuple[str, ...] = ()
    #: What is odd about it, though it works.
    warnings: tuple[str, ...] = ()
    import_ms: float = 0.0
    #: What its code raised, for the traceback.
    error: BaseException | None = field(default=None, repr=False)

    @property
    def is_active(self) -> bool:
        return self.state is State.ACTIVE

    @property
    def title(self) -> str:
        """For messages: ``plugin "http" (flowcontrol-actions-http 0.1.0)``."""
        if self.problem is Problem.APP:
            return f'app "{self.name}"'
        origin = " ".join(part for part in (self.distribution, self.version) if part)
        return f'plugin "{self.name}" ({origin})' if origin else f'plugin "{self.name}"'
