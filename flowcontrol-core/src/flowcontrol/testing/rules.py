"""What a pack is held to: each rule with its id, why it is one, and how to mend what breaks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import importlib_metadata
from django.apps import AppConfig, apps

from .. import plugins, registry
from ..base import BaseAction
from ..plugins import PluginReport
from ..plugins.entry_points import Installed, canonical, installed_plugins
from ..registry import MissingAction

__all__ = ["RULES", "SECRET_NAMES", "NotApplicable", "Rule", "Subject", "rule"]

#: What the names of fields for secrets end with, or have in them.
SECRET_NAMES = ("password", "secret", "token", "api_key", "private_key")


class NotApplicable(Exception):
    """The rule says nothing about this pack; the text says why."""


@dataclass(frozen=True)
class Rule:
    """``check`` yields a sentence for each way in which the pack breaks the rule, or raises ``NotApplicable``."""

    id: str
    title: str
    why: str
    fix: str
    check: Callable[[Subject], Iterable[str]]
    #: What does not hold to it is no pack; the others are what good packs do.
    is_must: bool = True
    needs_database: bool = False

    @property
    def tier(self) -> str:
        """``bronze``: it can be trusted to be there; ``silver``: its actions, too; ``gold``: and it is a pleasure."""
        if not self.is_must:
            return "gold"
        return "silver" if self.id[0] in "ACT" else "bronze"


#: All rules: of packaging, imports, hooks, actions, kinds of credentials, triggers and apps.
RULES: list[Rule] = []
_ORDER = "PIHACTD"


def rule(
    id_: str, title: str, *, why: str, fix: str, is_must: bool = True, needs_database: bool = False
) -> Callable[[Callable[[Subject], Iterable[str]]], Callable[[Subject], Iterable[str]]]:
    """Make a function the check of a rule."""

    def declare(check: Callable[[Subject], Iterable[str]]) -> Callable[[Subject], Iterable[str]]:
        RULES.append(Rule(id_, title, why, fix, check, is_must, needs_database))
        RULES.sort(key=lambda rule: (_ORDER.index(rule.id[0]), int(rule.id[1:])))
        return check

    return declare


@dataclass
class Subject:
    """The pack that is examined, and what its author tells about it."""

    #: Name of the plugin.
    name: str
    #: Configurations of each action that are right, by the action's name.
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    #: Actions that are not run here, by name, and why not.
    not_run: Mapping[str, str] = field(default_factory=dict)
    #: Stored configurations of older versions, by the action's name: (version, configuration).
    old_configs: Mapping[str, Sequence[tuple[int, Mapping[str, Any]]]] = field(default_factory=dict)
    #: Called before actions are run: makes what their samples refer to.
    prepare: Callable[[], None] | None = None
    #: How often an action has touched the world so far, by its name.
    count_effects: Callable[[str], int] | None = None
    #: Actions that may touch the world twice without harm, by name, and why.
    repeatable: Mapping[str, str] = field(default_factory=dict)
    #: Right values of each kind of credential, by its name. Samples of actions name the credential ``acme-token`` for
    #: the kind ``acme.token``.
    credentials: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def installed(self) -> Installed | None:
        """What its distribution announces; None when none does."""
        wanted = canonical(self.name)
        found = [one for one in installed_plugins() if wanted in map(canonical, (one.name, one.distribution))]
        return found[0] if found else None

    @property
    def report(self) -> PluginReport | None:
        name = self.installed.name if self.installed else self.name
        return plugins.current().report(name)

    @cached_property
    def distribution(self) -> Any:
        if self.installed is None or not self.installed.distribution:
            raise NotApplicable("it is not installed as a distribution")
        return importlib_metadata.distribution(self.installed.distribution)

    @property
    def actions(self) -> dict[str, BaseAction]:
        """Those that can be imported."""
        found = {name: registry.actions.resolve(name) for name in self._declared("actions")}
        return {name: one for name, one in found.items() if not isinstance(one, MissingAction)}

    @property
    def config(self) -> AppConfig:
        """Its app."""
        path = self.installed.app if self.installed else ""
        if not path:
            raise NotApplicable("the pack has no app")
        for config in apps.get_app_configs():
            if f"{type(config).__module__}.{type(config).__qualname__}" == path:
                return config
        raise NotApplicable(f"{path} is not in INSTALLED_APPS")

    @cached_property
    def imported(self) -> Mapping[str, Any]:
        """What importing the hook module does, in a process of its own. Raises ``NotApplicable`` without one."""
        return self.import_anew()

    def import_anew(self) -> Mapping[str, Any]:
        """The same once more: how long it takes depends on what else the machine does."""
        module = self.installed.module if self.installed else ""
        if not module:
            raise NotApplicable("the pack has no hook module")
        # Not what importing it here has changed already.
        environment = {name: value for name, value in os.environ.items() if name in _KEPT}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        code = [sys.executable, "-c", _IMPORT, module.partition(":")[0]]
        done = subprocess.run(code, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1]}
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told

    def _declared(self, kind: str) -> Sequence[str]:
        found: Sequence[str] = getattr(self.report, kind, ())
        return found


#: Variables without which Python may not start.
_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR")

#: Prints, as JSON: the milliseconds, the modules it brings, threads and variables that are there afterwards, and what
#: it does to the world.
_IMPORT = """
import json, os, sys, threading, time
import flowcontrol.hookspecs, flowcontrol.registry

does, WRITES = [], os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
FILES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.link", "os.symlink", "os.chmod"}
PROCESSES = {"subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.exec"}

def hear(event, arguments):
    what = arguments[0] if arguments else ""
    # Python's own copies of what it compiled are nobody's effect.
    if event == "open" and arguments[2] & WRITES and isinstance(what, str) and "__pycache__" not in what:
        does.append(f"writes the file {what}")
    elif event in FILES and "__pycache__" not in str(what):
        does.append(f"changes the file {what} ({event})")
    elif event in PROCESSES:
        does.append(f"starts the process {what}".rstrip())
    elif event in ("socket.connect", "socket.bind"):
        does.append(f"opens a connection ({event}: {arguments[-1]})")

sys.addaudithook(hear)
before, environment = set(sys.modules), dict(os.environ)
began = time.perf_counter()
__import__(sys.argv[1])
done = (time.perf_counter() - began) * 1000
print(json.dumps({
    "ms": done,
    "modules": sorted(set(sys.modules) - before),
    "threads": threading.active_count() - 1,
    "environment": sorted(name for name in {**environment, **os.environ}
                          if environment.get(name) != os.environ.get(name)),
    "does": does[:5],
}))
"""
